"""Slack: incoming webhooks.

Pages: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, .../reference/block-kit/blocks.
Answers are text: `ok`, or a word with a 4xx. Short bursts, which Slack tolerates, are refused here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from bot.sandbox.wire import Answer, Request, text_answer
from bot.sandbox.world import World

PERIOD_S = 1.0
MAX_TEXT = 40_000
MAX_BLOCKS = 50
MAX_ATTACHMENTS = 100
HOOK = re.compile(r"/services/([^/]+)/([^/]+)/([^/]+)\Z")

_STATUS = {
    "no_service": 404,
    "no_service_id": 410,
    "no_active_hooks": 404,
    "no_team": 404,
    "team_disabled": 403,
    "invalid_token": 403,
    "action_prohibited": 403,
    "posting_to_general_channel_denied": 403,
    "user_not_found": 404,
    "channel_not_found": 404,
    "channel_is_archived": 410,
    "rate_limited": 429,
}


class _Bad(Exception):
    def __init__(self, word: str, why: str = "") -> None:
        self.word = word
        self.why = why
        super().__init__(word)


def _blocks_error(why: str) -> _Bad:
    return _Bad("invalid_blocks", why)


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _blocks_error(f"{where} should be an object")
    return value


def _text(value: Any, where: str, most: int, *, plain: bool = False) -> None:
    part = _object(value, where)
    if part.get("type") not in (("plain_text",) if plain else ("plain_text", "mrkdwn")):
        raise _blocks_error(f"{where}.type {part.get('type')!r}")
    text = part.get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= most:
        raise _blocks_error(f"{where}.text must have 1 to {most} characters")
    allowed = {"type", "text", "emoji"} if part["type"] == "plain_text" else {"type", "text", "verbatim"}
    if set(part) - allowed:
        raise _blocks_error(f"{where} has unknown members")
    for flag in ("emoji", "verbatim"):
        if not isinstance(part.get(flag, False), bool):
            raise _blocks_error(f"{where}.{flag}")


def _items(value: Any, where: str, most: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise _blocks_error(f"{where} must have 1 to {most} items")
    return value


def _short(part: Mapping[str, Any], name: str, where: str, most: int) -> None:
    value = part.get(name)
    if value is not None and (not isinstance(value, str) or not 1 <= len(value) <= most):
        raise _blocks_error(f"{where}.{name} must have 1 to {most} characters")


def _url(part: Mapping[str, Any], name: str, where: str) -> None:
    value = part.get(name)
    if not isinstance(value, str) or len(value) > 3000 or not re.match(r"https?://[^\s]", value):
        raise _blocks_error(f"{where}.{name} is not a URL")


def _image(part: Mapping[str, Any], where: str) -> None:
    _url(part, "image_url", where)
    if not isinstance(part.get("alt_text"), str) or len(part["alt_text"]) > 2000:
        raise _blocks_error(f"{where}.alt_text")


def _button(part: Mapping[str, Any], where: str) -> None:
    _text(part.get("text"), f"{where}.text", 75, plain=True)
    _short(part, "action_id", where, 255)
    _short(part, "value", where, 2000)
    if "url" in part:
        _url(part, "url", where)
    if part.get("style", "primary") not in ("primary", "danger"):
        raise _blocks_error(f"{where}.style")


def _element(value: Any, where: str) -> None:
    part = _object(value, where)
    if part.get("type") != "button":
        raise _blocks_error(f"{where}.type {part.get('type')!r}")
    _button(part, where)


def _block(value: Any, where: str) -> None:
    part = _object(value, where)
    kind = part.get("type")
    _short(part, "block_id", where, 255)
    if kind == "header":
        _text(part.get("text"), f"{where}.text", 150, plain=True)
    elif kind == "section":
        if "text" not in part and "fields" not in part:
            raise _blocks_error(f"{where} has neither text nor fields")
        if "text" in part:
            _text(part["text"], f"{where}.text", 3000)
        for i, one in enumerate(_items(part["fields"], f"{where}.fields", 10) if "fields" in part else []):
            _text(one, f"{where}.fields[{i}]", 2000)
        if "accessory" in part:
            _element(part["accessory"], f"{where}.accessory")
    elif kind == "context":
        for i, one in enumerate(_items(part.get("elements"), f"{where}.elements", 10)):
            if _object(one, f"{where}.elements[{i}]").get("type") == "image":
                _image(one, f"{where}.elements[{i}]")
            else:
                _text(one, f"{where}.elements[{i}]", 3000)
    elif kind == "actions":
        ids = []
        for i, one in enumerate(_items(part.get("elements"), f"{where}.elements", 25)):
            _element(one, f"{where}.elements[{i}]")
            ids.append(one.get("action_id"))
        given = [one for one in ids if one is not None]
        if len(given) != len(set(given)):
            raise _blocks_error(f"{where}: action_id twice")
    elif kind == "image":
        _image(part, where)
    elif kind == "markdown":
        text = part.get("text")
        if not isinstance(text, str) or not 1 <= len(text) <= 12_000:
            raise _blocks_error(f"{where}.text must have 1 to 12000 characters")
    elif kind != "divider":
        raise _blocks_error(f"{where}.type {kind!r} is unknown")


def _check_blocks(value: Any, where: str) -> None:
    ids = []
    for i, one in enumerate(_items(value, where, MAX_BLOCKS)):
        _block(one, f"{where}[{i}]")
        ids.append(one.get("block_id"))
    given = [one for one in ids if one is not None]
    if len(given) != len(set(given)):
        raise _blocks_error(f"{where}: block_id twice")


def check_message(message: Mapping[str, Any]) -> None:
    """Raise `_Bad` unless a webhook may post this."""
    text, blocks, attachments = message.get("text"), message.get("blocks"), message.get("attachments")
    if text is not None and not isinstance(text, str):
        raise _Bad("invalid_payload", "text should be a text")
    if not text and not blocks and not attachments:
        raise _Bad("no_text")
    if text is not None and len(text) > MAX_TEXT:
        raise _Bad("msg_too_long")
    if blocks is not None:
        _check_blocks(blocks, "blocks")
    if attachments is not None:
        if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
            raise _Bad("invalid_payload", "attachments")
        if len(attachments) > MAX_ATTACHMENTS:
            raise _Bad("too_many_attachments")
        for i, one in enumerate(attachments):
            if "blocks" in one:
                _check_blocks(one["blocks"], f"attachments[{i}].blocks")
            elif not isinstance(one.get("text") or one.get("fallback"), str):
                raise _Bad("no_text")
            if not isinstance(one.get("color", ""), str):
                raise _Bad("invalid_payload", "color")


def refused_message(message: Mapping[str, Any]) -> tuple[str, str] | None:
    """Word and reason of a refusal, None when the message is well formed; for the other ways into a channel."""
    try:
        check_message(message)
    except _Bad as bad:
        return bad.word, bad.why
    return None


class Slack:
    """`hooks.slack.com/services`."""

    name = "slack"

    def __init__(self, world: World) -> None:
        self.world = world

    def owns(self, request: Request) -> bool:
        return request.path.startswith("/services/")

    def keys(self, request: Request) -> tuple[str, ...]:
        hook = HOOK.match(request.path)
        return (*((f"slack:{self.token(hook)}",) if hook else ()), f"slack:{request.path}", "slack")

    @staticmethod
    def token(hook: re.Match[str]) -> str:
        """The robot's token in the world: `T0001/B0001/secret`."""
        return "/".join(hook.groups())

    def refusal(self, code: str | int, text: str) -> Answer:
        word = str(code)
        status = _STATUS.get(word, 400)
        return text_answer(text or word, status, (("Retry-After", "1"),) if status == 429 else ())

    def answer(self, request: Request) -> Answer:
        hook = HOOK.match(request.path)
        if hook is None:
            return text_answer("no_team", 404)
        token = self.token(hook)
        robot = self.world.robot("slack", token)
        place = robot.group if robot else ""
        message: Any = None
        try:
            if request.method != "POST":
                raise _Bad("invalid_payload", "not a POST")
            if robot is None:
                raise _Bad("no_service")
            if not robot.enabled:
                raise _Bad("no_active_hooks")
            if self.world.group("slack", robot.group) is None:
                raise _Bad("channel_not_found")
            last = self.world.recall(f"slack:last:{token}")
            if last is not None and self.world.now() < last + PERIOD_S:
                wait = str(max(1, math.ceil(last + PERIOD_S - self.world.now())))
                self.world.happen("refused", "slack", place, None, robot=token, note="rate_limited")
                return text_answer("rate_limited", 429, (("Retry-After", wait),))
            self.world.remember(f"slack:last:{token}", self.world.now())
            message = self._message(request)
            check_message(message)
        except _Bad as bad:
            note = f"{bad.word}: {bad.why}" if bad.why else bad.word
            self.world.happen("refused", "slack", place, message, robot=token, note=note)
            return self.refusal(bad.word, "")
        self.world.happen("card", "slack", place, message, robot=token)
        return text_answer("ok")

    def _message(self, request: Request) -> dict[str, Any]:
        """JSON, or JSON in the form field `payload`."""
        body = request.body
        if request.content_type == "application/x-www-form-urlencoded":
            try:
                body = parse_qs(body.decode("utf-8"))["payload"][0].encode("utf-8")
            except (KeyError, ValueError) as error:
                raise _Bad("invalid_payload", "no payload") from error
        elif request.content_type != "application/json":
            raise _Bad("invalid_payload", "content type")
        try:
            message = Request("POST", "/", {}, body).json()
        except ValueError as error:
            raise _Bad("invalid_payload", "not JSON") from error
        if not isinstance(message, dict):
            raise _Bad("invalid_payload", "not an object")
        return message

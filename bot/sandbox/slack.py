"""Slack: incoming webhooks.

Pages: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, .../reference/block-kit/blocks.
Answers are text: `ok`, or a word with a 4xx. Short bursts, which Slack tolerates, are refused here.
"""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import parse_qs

from bot.sandbox.slack_blocks import Bad, check_message
from bot.sandbox.wire import Answer, Request, text_answer
from bot.sandbox.world import World

PERIOD_S = 1.0
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
                raise Bad("invalid_payload", "not a POST")
            if robot is None:
                raise Bad("no_service")
            if not robot.enabled:
                raise Bad("no_active_hooks")
            if self.world.group("slack", robot.group) is None:
                raise Bad("channel_not_found")
            last = self.world.recall(f"slack:last:{token}")
            if last is not None and self.world.now() < last + PERIOD_S:
                wait = str(max(1, math.ceil(last + PERIOD_S - self.world.now())))
                self.world.happen("refused", "slack", place, None, robot=token, note="rate_limited")
                return text_answer("rate_limited", 429, (("Retry-After", wait),))
            self.world.remember(f"slack:last:{token}", self.world.now())
            message = self._message(request)
            check_message(message)
        except Bad as bad:
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
                raise Bad("invalid_payload", "no payload") from error
        elif request.content_type != "application/json":
            raise Bad("invalid_payload", "content type")
        try:
            message = Request("POST", "/", {}, body).json()
        except ValueError as error:
            raise Bad("invalid_payload", "not JSON") from error
        if not isinstance(message, dict):
            raise Bad("invalid_payload", "not an object")
        return message

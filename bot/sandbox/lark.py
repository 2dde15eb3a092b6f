"""Feishu / Lark: the webhook of group bots.

Page: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot. Which HTTP status goes with a refusal is not
documented; 9499 comes with 400 here and everything else with 200, so that a client must look at the body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from bot.sandbox import lark_card2
from bot.sandbox.directory import Robot
from bot.sandbox.lark_card2 import TEMPLATES, BadCard
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

PER_MINUTE = 100
PER_SECOND = 5
MAX_BYTES = 20 * 1024
MAX_SKEW_S = 3600
HOOK = re.compile(r"/open-apis/bot/v2/hook/([^/]+)\Z")
AT_ALL = re.compile(r"<at\s+(?:user_)?id=[\"']?all", re.IGNORECASE)

_USUAL_WORDS = {
    "9499": "Bad Request",
    "11232": "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]",
    "19001": "param invalid: incoming webhook access token invalid",
    "19002": "params error, msg_type need",
    "19007": "Bot Not Enabled",
    "19021": "sign match fail or timestamp is not within one hour from current time",
    "19022": "Ip Not Allowed",
    "19024": "Key Words Not Found",
}


class _Bad(Exception):
    def __init__(self, code: int, text: str = "") -> None:
        self.code = code
        self.text = text or _USUAL_WORDS.get(str(code), "")
        super().__init__(self.text)


def hook_sign(secret: str, timestamp: str) -> str:
    """The string to sign is the key, the message is empty."""
    key = f"{timestamp}\n{secret}".encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()


def _bad(where: str) -> _Bad:
    return _Bad(9499, f"Bad Request: {where}")


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{where} should be an object")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _bad(f"{where} should be a list with something in it")
    return value


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _bad(f"{where} should be a text")
    return value


def _href(value: Any, where: str) -> None:
    url = _string(value, where)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "lark", "feishu") or not parts.netloc:
        raise _bad(f"{where} is not a URL")


# -- cards 1.0: https://open.feishu.cn/document/common-capabilities/message-card/message-cards-content


def _text(value: Any, where: str, tags: tuple[str, ...] = ("plain_text", "lark_md")) -> None:
    part = _object(value, where)
    if part.get("tag") not in tags:
        raise _bad(f"{where}.tag {part.get('tag')!r} is not one of {tags}")
    if not isinstance(part.get("content"), str):
        raise _bad(f"{where}.content should be a text")


def _button(value: Mapping[str, Any], where: str) -> None:
    _text(value.get("text"), f"{where}.text")
    if value.get("type", "default") not in ("default", "primary", "danger"):
        raise _bad(f"{where}.type")
    if "url" in value:
        _href(value["url"], f"{where}.url")
    if "multi_url" in value:
        _href(_object(value["multi_url"], f"{where}.multi_url").get("url"), f"{where}.multi_url.url")
    if "value" in value:
        _object(value["value"], f"{where}.value")


def _div(value: Mapping[str, Any], where: str) -> None:
    if "text" not in value and "fields" not in value:
        raise _bad(f"{where} has neither text nor fields")
    if "text" in value:
        _text(value["text"], f"{where}.text")
    for i, one in enumerate(_list(value["fields"], f"{where}.fields") if "fields" in value else []):
        item = _object(one, f"{where}.fields[{i}]")
        if not isinstance(item.get("is_short", False), bool):
            raise _bad(f"{where}.fields[{i}].is_short")
        _text(item.get("text"), f"{where}.fields[{i}].text")
    if "extra" in value:
        _one_of(value["extra"], f"{where}.extra", {"button": _button, "img": _image})


def _image(value: Mapping[str, Any], where: str) -> None:
    _string(value.get("img_key"), f"{where}.img_key")
    _text(value.get("alt"), f"{where}.alt", ("plain_text",))


def _markdown(value: Mapping[str, Any], where: str) -> None:
    if not isinstance(value.get("content"), str):
        raise _bad(f"{where}.content should be a text")


def _action(value: Mapping[str, Any], where: str) -> None:
    for i, one in enumerate(_list(value.get("actions"), f"{where}.actions")):
        _one_of(one, f"{where}.actions[{i}]", {"button": _button})


def _note(value: Mapping[str, Any], where: str) -> None:
    for i, one in enumerate(_list(value.get("elements"), f"{where}.elements")):
        at = f"{where}.elements[{i}]"
        if _object(one, at).get("tag") == "img":
            _image(one, at)
        else:
            _text(one, at)


def _columns(value: Mapping[str, Any], where: str) -> None:
    for i, one in enumerate(_list(value.get("columns"), f"{where}.columns")):
        column = _object(one, f"{where}.columns[{i}]")
        if column.get("tag") != "column":
            raise _bad(f"{where}.columns[{i}].tag")
        _elements(column.get("elements"), f"{where}.columns[{i}].elements")


def _one_of(value: Any, where: str, known: Mapping[str, Callable[[Mapping[str, Any], str], None]]) -> None:
    part = _object(value, where)
    tag = part.get("tag")
    check = known.get(tag) if isinstance(tag, str) else None
    if check is None:
        raise _bad(f"{where}.tag {tag!r} is unknown")
    check(part, where)


_ELEMENTS: dict[str, Callable[[Mapping[str, Any], str], None]] = {
    "div": _div,
    "markdown": _markdown,
    "hr": lambda value, where: None,  # noqa: ARG005  (nothing in it)
    "img": _image,
    "action": _action,
    "note": _note,
    "column_set": _columns,
}


def _elements(value: Any, where: str) -> None:
    for i, one in enumerate(_list(value, where)):
        _one_of(one, f"{where}[{i}]", _ELEMENTS)


def check_card(card: Any) -> None:
    """Raise `_Bad` unless this is a card of version 1.0 or 2.0."""
    part = _object(card, "card")
    if not isinstance(part.get("config", {}), dict):
        raise _bad("card.config should be an object")
    if part.get("schema") == "2.0":
        try:
            lark_card2.check(part)
        except BadCard as bad:
            raise _bad(bad.text) from bad
        return
    if "header" in part:
        header = _object(part["header"], "card.header")
        _text(header.get("title"), "card.header.title", ("plain_text",))
        if header.get("template", "default") not in TEMPLATES:
            raise _bad("card.header.template")
    if "i18n_elements" in part:
        for language, elements in _object(part["i18n_elements"], "card.i18n_elements").items():
            _elements(elements, f"card.i18n_elements.{language}")
    else:
        _elements(part.get("elements"), "card.elements")
    for name in set(part) - {"config", "header", "elements", "i18n_elements", "card_link"}:
        raise _bad(f"card.{name} is unknown")


def refused_card(card: Any) -> tuple[int, str] | None:
    """Why this is no card of version 1.0 or 2.0: sub-code and words. None when it is one."""
    try:
        check_card(card)
    except _Bad as bad:
        cause = bad.__cause__
        return (cause.code, cause.text) if isinstance(cause, BadCard) else (200621, bad.text)
    return None


def _check_post(post: Any) -> None:
    locales = _object(post, "content.post")
    if not locales:
        raise _bad("content.post is empty")
    for language, text in locales.items():
        where = f"content.post.{language}"
        if not isinstance(_object(text, where).get("title", ""), str):
            raise _bad(f"{where}.title")
        for i, line in enumerate(_list(text.get("content"), f"{where}.content")):
            if not isinstance(line, list):
                raise _bad(f"{where}.content[{i}] should be a list")
            for j, one in enumerate(line):
                at = f"{where}.content[{i}][{j}]"
                node = _object(one, at)
                tag = node.get("tag")
                if tag not in ("text", "a", "at", "img"):
                    raise _bad(f"{at}.tag {tag!r} is unknown")
                if tag in ("text", "a") and not isinstance(node.get("text"), str):
                    raise _bad(f"{at}.text should be a text")
                if tag == "a":
                    _href(node.get("href"), f"{at}.href")
                if tag == "at":
                    _string(node.get("user_id"), f"{at}.user_id")
                if tag == "img":
                    _string(node.get("image_key"), f"{at}.image_key")


def check_message(message: Mapping[str, Any]) -> None:
    """Raise `_Bad` unless a group bot may send this."""
    kind = message.get("msg_type")
    if not kind:
        raise _Bad(19002)
    if kind == "interactive":
        check_card(message.get("card"))
        return
    content = _object(message.get("content"), "content")
    if kind == "text":
        _string(content.get("text"), "content.text")
    elif kind == "post":
        _check_post(content.get("post"))
    elif kind == "image":
        _string(content.get("image_key"), "content.image_key")
    elif kind == "share_chat":
        _string(content.get("share_chat_id"), "content.share_chat_id")
    else:
        raise _bad(f"msg_type {kind!r} is unknown")


def _texts(value: Any) -> Iterator[str]:
    """Values of texts and titles anywhere in the message, addresses of links not."""
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if isinstance(one, str):
                if name in ("text", "title", "content"):
                    yield one
            else:
                yield from _texts(one)


def _markdowns(value: Any) -> Iterator[str]:
    """Texts of a card in which mentions are mentions; in `plain_text` they are only words."""
    if (
        isinstance(value, dict)
        and value.get("tag") in ("markdown", "lark_md")
        and isinstance(value.get("content"), str)
    ):
        yield value["content"]
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _markdowns(one)


class Lark:
    """`open.feishu.cn` and `open.larksuite.com`, `/open-apis/bot/v2/hook/<token>`.

    at_all  groups let bots mention everybody; where they do not, such a card fails as a whole
    """

    name = "lark"

    def __init__(self, world: World) -> None:
        self.world = world
        self.at_all = False

    def owns(self, request: Request) -> bool:
        return request.path.startswith("/open-apis/")

    def keys(self, request: Request) -> tuple[str, ...]:
        hook = HOOK.match(request.path)
        return (*((f"lark:{hook[1]}",) if hook else ()), f"lark:{request.path}", "lark")

    def refusal(self, code: str | int, text: str) -> Answer:
        number = int(code)
        return json_answer(
            {"code": number, "data": {}, "msg": text or _USUAL_WORDS.get(str(code), "refused")},
            400 if number == 9499 else 200,
        )

    def answer(self, request: Request) -> Answer:
        hook = HOOK.match(request.path)
        if hook is None:
            return json_answer({"code": 404, "msg": "404 page not found"}, 404)
        token = hook[1]
        robot = self.world.robot("lark", token)
        place = robot.group if robot else ""
        message: Any = None
        try:
            if request.method != "POST":
                raise _Bad(19002)
            if robot is None:
                raise _Bad(19001)
            if not robot.enabled:
                raise _Bad(19007)
            self._check_rate(token)
            if len(request.body) > MAX_BYTES:
                raise _bad(f"body larger than {MAX_BYTES} bytes")
            message = request.shown
            if not isinstance(message, dict) or request.content_type != "application/json":
                raise _Bad(9499)
            self._check_sender(robot, request.client, message)
            check_message(message)
            parts = [message.get("content"), message.get("card")]
            if not self.at_all and any(map(AT_ALL.search, _markdowns(message.get("card")))):
                raise _bad("card mentions everybody")
            if robot.keywords and not any(word in text for word in robot.keywords for text in _texts(parts)):
                raise _Bad(19024)
        except _Bad as bad:
            self.world.happen("refused", "lark", place, message, robot=token, note=str(bad.code))
            return self.refusal(bad.code, bad.text)
        shown = {name: value for name, value in message.items() if name not in ("timestamp", "sign")}
        self.world.happen("card", "lark", place, shown, robot=token)
        return json_answer({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"})

    def _check_rate(self, token: str) -> None:
        key = f"lark:robot:{token}"
        if self.world.hits(key, 60.0) >= PER_MINUTE or self.world.hits(key, 1.0) >= PER_SECOND:
            raise _Bad(11232)
        self.world.hit(key)

    def _check_sender(self, robot: Robot, client: str, message: Mapping[str, Any]) -> None:
        if not robot.lets_in(client):
            raise _Bad(19022)
        if not robot.secret:
            return
        stamp, sign = message.get("timestamp"), message.get("sign")
        if not (isinstance(stamp, str) and isinstance(sign, str) and stamp.isascii() and stamp.isdigit()):
            raise _Bad(19021)
        if len(stamp) > 15 or abs(self.world.now() - int(stamp)) > MAX_SKEW_S:
            raise _Bad(19021)
        if not hmac.compare_digest(hook_sign(robot.secret, stamp).encode(), sign.encode("utf-8", "surrogatepass")):
            raise _Bad(19021)

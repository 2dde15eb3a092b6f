"""WeCom: the webhook of group robots.

Page: https://developer.work.weixin.qq.com/document/path/91770. Every answer is HTTP 200; `errcode` tells. Bytes are
counted on the decoded content. Unknown members are ignored, as the service does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

PER_MINUTE = 20
TEXT_MAX_BYTES = 2048
MARKDOWN_MAX_BYTES = 4096
IMAGE_MAX_BYTES = 2 * 1024 * 1024
MAX_ARTICLES = 8
MAX_FACTS = 6
MAX_JUMPS = 3
MAX_VERTICAL = 4
TASK_ID_MAX_BYTES = 128

_USUAL_WORDS = {
    "-1": "system busy",
    "40008": "invalid message type",
    "40058": "invalid Request Parameter",
    "44004": "empty content",
    "45008": "article count limit",
    "45009": "api freq out of limit",
    "45034": "url without scheme",
    "93000": "invalid webhook url",
    "93004": "robot is disabled",
    "93008": "robot not in the group",
    "93017": "empty request",
}


class Bad(Exception):
    def __init__(self, code: int, text: str = "") -> None:
        self.code = code
        self.text = text or _USUAL_WORDS.get(str(code), "")
        super().__init__(self.text)


def _answer(code: int, text: str, client: str = "127.0.0.1") -> Answer:
    if code:
        hint = secrets.randbelow(10**18)
        text += f", hint: [{hint}], from ip: {client}"
        text += f", more info at https://open.work.weixin.qq.com/devtool/query?e={code}"
    return json_answer({"errcode": code, "errmsg": text})


def _text(part: Mapping[str, Any], name: str, where: str, max_bytes: int | None = None) -> str:
    value = part.get(name)
    if value is None or value == "":
        raise Bad(44004)
    if not isinstance(value, str):
        raise Bad(40058, f"{where}.{name} should be a string. invalid Request Parameter")
    if max_bytes is not None and len(value.encode("utf-8", "surrogatepass")) > max_bytes:
        raise Bad(40058, f"{where}.{name} exceed max length {max_bytes}. invalid Request Parameter")
    return value


def _url(part: Mapping[str, Any], name: str, where: str) -> None:
    value = part.get(name)
    if not isinstance(value, str) or not value:
        raise Bad(40058, f"{where}.{name} missing. invalid Request Parameter")
    if not value.startswith(("http://", "https://")):
        raise Bad(45034)


def _objects(value: Any, where: str, least: int, most: int) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Bad(40058, f"{where} should be an array. invalid Request Parameter")
    if not least <= len(value) <= most:
        raise Bad(40058, f"{where} has {len(value)} items. invalid Request Parameter")
    return value


def _names(part: Mapping[str, Any], name: str) -> None:
    people = part.get(name, [])
    if not isinstance(people, list) or not all(isinstance(one, str) for one in people):
        raise Bad(40058, f"text.{name} should be an array. invalid Request Parameter")


def check_notice(card: Mapping[str, Any]) -> None:
    """https://developer.work.weixin.qq.com/document/path/91770, template cards a robot may send."""
    where = "template_card"
    kind = card.get("card_type")
    if kind not in ("text_notice", "news_notice"):
        raise Bad(40058, f"{where}.card_type not supported. invalid Request Parameter")
    for name in ("main_title", "source", "emphasis_content", "quote_area", "card_image", "image_text_area"):
        if not isinstance(card.get(name, {}), dict):
            raise Bad(40058, f"{where}.{name} should be an object. invalid Request Parameter")
    title = card.get("main_title", {}).get("title")
    if kind == "text_notice" and not title and not card.get("sub_title_text"):
        raise Bad(40058, f"{where}.main_title.title or sub_title_text missing. invalid Request Parameter")
    if kind == "news_notice":
        if not title:
            raise Bad(40058, f"{where}.main_title.title missing. invalid Request Parameter")
        _url(card.get("card_image", {}), "url", f"{where}.card_image")
        ratio = card["card_image"].get("aspect_ratio", 1.3)
        if not isinstance(ratio, int | float) or not 1.3 <= ratio <= 2.25:
            raise Bad(40058, f"{where}.card_image.aspect_ratio. invalid Request Parameter")
    for text in (title, card.get("sub_title_text"), card.get("main_title", {}).get("desc")):
        if text is not None and not isinstance(text, str):
            raise Bad(40058, f"{where} texts should be strings. invalid Request Parameter")
    action = card.get("card_action")
    if not isinstance(action, dict) or action.get("type") not in (1, 2):
        raise Bad(40058, f"{where}.card_action.type missing. invalid Request Parameter")
    if action["type"] == 1:
        _url(action, "url", f"{where}.card_action")
    elif not action.get("appid"):
        raise Bad(40058, f"{where}.card_action.appid missing. invalid Request Parameter")
    for fact in _objects(card.get("horizontal_content_list", []), f"{where}.horizontal_content_list", 0, MAX_FACTS):
        if not isinstance(fact.get("keyname"), str) or not fact["keyname"]:
            raise Bad(40058, f"{where}.horizontal_content_list.keyname missing. invalid Request Parameter")
        if not isinstance(fact.get("value", ""), str):
            raise Bad(40058, f"{where}.horizontal_content_list.value should be a string. invalid Request Parameter")
        if fact.get("type", 0) == 1:
            _url(fact, "url", f"{where}.horizontal_content_list")
        elif fact.get("type", 0) not in (0, 2, 3):
            raise Bad(40058, f"{where}.horizontal_content_list.type. invalid Request Parameter")
    for jump in _objects(card.get("jump_list", []), f"{where}.jump_list", 0, MAX_JUMPS):
        if not isinstance(jump.get("title"), str) or not jump["title"]:
            raise Bad(40058, f"{where}.jump_list.title missing. invalid Request Parameter")
        if jump.get("type", 0) == 1:
            _url(jump, "url", f"{where}.jump_list")
        elif jump.get("type", 0) not in (0, 2):
            raise Bad(40058, f"{where}.jump_list.type. invalid Request Parameter")
    _objects(card.get("vertical_content_list", []), f"{where}.vertical_content_list", 0, MAX_VERTICAL)
    task = card.get("task_id", "x")
    if not isinstance(task, str) or not task or len(task.encode()) > TASK_ID_MAX_BYTES:
        raise Bad(40058, f"{where}.task_id. invalid Request Parameter")


def check_message(message: Mapping[str, Any]) -> None:
    """Raise `Bad` unless a group robot may send this."""
    kind = message.get("msgtype")
    if kind not in ("text", "markdown", "markdown_v2", "image", "news", "file", "voice", "template_card"):
        raise Bad(40008)
    part = message.get(kind)
    if not isinstance(part, dict):
        raise Bad(40058, f"{kind} missing. invalid Request Parameter")
    if kind == "text":
        _text(part, "content", kind, TEXT_MAX_BYTES)
        _names(part, "mentioned_list")
        _names(part, "mentioned_mobile_list")
    elif kind in ("markdown", "markdown_v2"):
        _text(part, "content", kind, MARKDOWN_MAX_BYTES)
    elif kind == "image":
        try:
            raw = base64.b64decode(_text(part, "base64", kind), validate=True)
        except (binascii.Error, ValueError) as error:
            raise Bad(40058, "image.base64. invalid Request Parameter") from error
        if len(raw) > IMAGE_MAX_BYTES:
            raise Bad(93018, "image too big")
        if hashlib.md5(raw, usedforsecurity=False).hexdigest() != part.get("md5"):
            raise Bad(40058, "image.md5. invalid Request Parameter")
    elif kind == "news":
        articles = part.get("articles")
        if isinstance(articles, list) and len(articles) > MAX_ARTICLES:
            raise Bad(45008)
        for article in _objects(articles, "news.articles", 1, MAX_ARTICLES):
            _text(article, "title", "news.articles")
            _url(article, "url", "news.articles")
    elif kind in ("file", "voice"):
        # Nothing can be uploaded here, so every media id is unknown.
        _text(part, "media_id", kind)
        raise Bad(40007, "invalid media_id")
    else:
        check_notice(part)


class WeCom:
    """`qyapi.weixin.qq.com/cgi-bin/webhook/`."""

    name = "wecom"

    def __init__(self, world: World) -> None:
        self.world = world

    def owns(self, request: Request) -> bool:
        return request.path.startswith("/cgi-bin/")

    def keys(self, request: Request) -> tuple[str, ...]:
        return (f"wecom:{request.query.get('key', '')}", f"wecom:{request.path}", "wecom")

    def refusal(self, code: str | int, text: str) -> Answer:
        return _answer(int(code), text or _USUAL_WORDS.get(str(code), "refused"))

    def answer(self, request: Request) -> Answer:
        if request.path != "/cgi-bin/webhook/send":
            return json_answer({"errcode": 404, "errmsg": "no such interface"}, 404)
        key = request.query.get("key", "")
        robot = self.world.robot("wecom", key)
        place = robot.group if robot else ""
        message: Any = None
        try:
            if request.method != "POST":
                raise Bad(40058, "http method should be POST. invalid Request Parameter")
            if robot is None:
                raise Bad(93000)
            if not robot.enabled:
                raise Bad(93004)
            if self.world.group("wecom", robot.group) is None:
                raise Bad(93008)
            if self.world.hits(f"wecom:robot:{key}", 60.0) >= PER_MINUTE:
                raise Bad(45009)
            if not request.body:
                raise Bad(93017)
            self.world.hit(f"wecom:robot:{key}")
            message = request.shown
            if not isinstance(message, dict) or request.content_type not in ("application/json", "text/json"):
                raise Bad(40008, "Warning: wrong json format. invalid message type")
            check_message(message)
        except Bad as bad:
            self.world.happen("refused", "wecom", place, message, robot=key, note=str(bad.code))
            return _answer(bad.code, bad.text, request.client)
        self.world.happen("card", "wecom", place, message, robot=key)
        return _answer(0, "ok")

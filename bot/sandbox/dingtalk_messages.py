"""DingTalk: the form of robot messages, as the webhook, a session and the answer to a callback want it.

Where the documentation leaves something open, the strict side is taken: a list that should be a list must be one.
Page: https://open.dingtalk.com/document/development/robot-message-type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_AT = 50

USUAL_WORDS = {
    "-1": "系统繁忙",
    "130101": "send too fast, exceed 20 times per minute",
    "410100": "发送速度太快而限流",
    "90030": "webhook over limit",
    "300005": "token is not exist",
    "300001": "token is not exist",
    "400013": "群已被解散",
    "400101": "access_token不存在",
    "400102": "机器人已停用",
    "400105": "不支持的消息类型",
    "400106": "机器人不存在",
    "430101": "含有不安全的外链",
    "430104": "含有不合适的内容",
}

_TRUSTED_LINK = re.compile(r"(?:https?|dingtalk|dtmd)://[^\s]+\Z", re.IGNORECASE)
_MARKDOWN_LINK = re.compile(r"\]\(\s*([a-zA-Z][a-zA-Z0-9+.-]*):")


class Bad(Exception):
    """A message that the platform refuses: code and words."""

    def __init__(self, code: int, text: str = "") -> None:
        self.code = code
        self.text = text or USUAL_WORDS.get(str(code), "")
        super().__init__(self.text)


def _text_of(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Bad(40035, f"缺少参数 {name}")
    return value


def _link_of(value: Any, name: str) -> str:
    url = _text_of(value, name)
    if not _TRUSTED_LINK.match(url):
        raise Bad(430101)
    return url


def _items_of(value: Any, name: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        raise Bad(40035, f"缺少参数 {name}")
    return value


def _no_bad_link(markdown: str) -> None:
    if any(scheme.lower() not in ("http", "https", "dingtalk", "dtmd") for scheme in _MARKDOWN_LINK.findall(markdown)):
        raise Bad(430101)


def message_texts(message: Mapping[str, Any]) -> list[str]:
    """The texts of a message in which a keyword is looked for, after checking its whole form; raises `Bad`."""
    kind = message.get("msgtype")
    if not isinstance(kind, str):
        raise Bad(40035, "缺少参数 msgtype")
    if kind not in ("text", "link", "markdown", "actionCard", "feedCard"):
        raise Bad(400105)
    part = message.get(kind)
    if not isinstance(part, dict):
        raise Bad(40035, f"缺少参数 {kind}")
    _check_at(message)
    if "msgUuid" in message and not isinstance(message["msgUuid"], str):
        raise Bad(40035, "不合法的参数 msgUuid")
    if kind == "text":
        return [_text_of(part.get("content"), "text.content")]
    if kind == "feedCard":
        titles = []
        for item in _items_of(part.get("links"), "feedCard.links"):
            titles.append(_text_of(item.get("title"), "title"))
            _link_of(item.get("messageURL"), "messageURL")
            _link_of(item.get("picURL"), "picURL")
        return [" ".join(titles)]
    title, text = _text_of(part.get("title"), f"{kind}.title"), _text_of(part.get("text"), f"{kind}.text")
    if kind == "link":
        _link_of(part.get("messageUrl"), "link.messageUrl")
    else:
        _no_bad_link(text)
    if kind == "actionCard":
        _check_buttons(part)
    return [title, text]


def _check_at(message: Mapping[str, Any]) -> None:
    at = message.get("at", {})
    if not isinstance(at, dict):
        raise Bad(40035, "不合法的参数 at")
    count = 0
    for name in ("atMobiles", "atUserIds"):
        people = at.get(name, [])
        if not isinstance(people, list) or not all(isinstance(one, str) for one in people):
            raise Bad(40035, f"不合法的参数 {name}")
        count += len(people)
    if not isinstance(at.get("isAtAll", False), bool):
        raise Bad(40035, "不合法的参数 isAtAll")
    if count > MAX_AT:
        raise Bad(40035, "at 人数超过 50")


def _check_buttons(card: Mapping[str, Any]) -> None:
    for name in ("btnOrientation", "hideAvatar"):
        if card.get(name, "0") not in ("0", "1"):
            raise Bad(40035, f"不合法的参数 {name}")
    if "singleTitle" in card or "singleURL" in card:
        _text_of(card.get("singleTitle"), "singleTitle")
        _link_of(card.get("singleURL"), "singleURL")
        return
    for button in _items_of(card.get("btns"), "btns"):
        _text_of(button.get("title"), "btns.title")
        _link_of(button.get("actionURL"), "btns.actionURL")

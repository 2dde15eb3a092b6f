"""A message that was posted for a robot of the same platform, made fit to go out through ours: its own form.

It stays as its sender wrote it, mentions included. Added is what our robots need: the keyword, the key of the delivery.
What does not fit is no concern of this module: it answers None, and the message goes out as an ordinary card.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.channels.contract import Message
from bot.http import encoded

WECOM_MAX_BYTES = {"text": 2048, "markdown": 4096, "markdown_v2": 4096}
"""Of `content`, https://developer.work.weixin.qq.com/document/path/91770."""

WECOM_BODY_MAX_BYTES = 20_000
SLACK_TEXT_MAX_CHARS = 40_000
"""Slack cuts longer ones, https://api.slack.com/methods/chat.postMessage#truncating."""

SLACK_BLOCKS = 50
SLACK_ATTACHMENTS = 100
SLACK_BODY_MAX_BYTES = 50_000

TITLED = ("link", "markdown", "actionCard")
"""DingTalk's messages with a title and a text; the keyword has to be in both."""


def _own(message: Message) -> Mapping[str, Any] | None:
    return None if message.plain or message.kind != "alert" else message.post


def dingtalk(message: Message, keyword: str, max_bytes: int) -> dict[str, Any] | None:
    """The message for a DingTalk robot: the keyword byte for byte in whatever DingTalk may look at."""
    own = _own(message)
    if own is None:
        return None
    kind = own["msgtype"]
    part = dict(own[kind])
    if kind == "text":
        part["content"] = _with(keyword, str(part.get("content", "")), " ")
    elif kind in TITLED:
        part["title"] = _with(keyword, str(part.get("title", "")), " ")
        # Above a text that may begin with a heading or a list.
        part["text"] = _with(keyword, str(part.get("text", "")), " " if kind == "link" else "\n\n")
    elif kind == "feedCard":
        part["links"] = [
            {**link, "title": _with(keyword, str(link.get("title", "")), " ")}
            for link in part.get("links", ())
            if isinstance(link, dict)
        ]
    body = {"msgtype": kind, kind: part, "msgUuid": message.key}
    if "at" in own:
        body["at"] = own["at"]
    return body if len(encoded(body)) <= max_bytes else None


def wecom(message: Message) -> dict[str, Any] | None:
    """The message for a WeCom robot, as it was posted."""
    own = _own(message)
    if own is None:
        return None
    kind = own["msgtype"]
    content = str(own[kind].get("content", ""))
    if len(content.encode()) > WECOM_MAX_BYTES.get(kind, WECOM_BODY_MAX_BYTES):
        return None
    # A picture is large by nature: for it the limit is what was kept of it.
    return dict(own) if kind == "image" or len(encoded(own)) <= WECOM_BODY_MAX_BYTES else None


def lark(message: Message, keyword: str, signed: Mapping[str, str], max_bytes: int) -> dict[str, Any] | None:
    """The message for a Lark bot, signed; with the keyword, as many bots are given the one of the DingTalk robot."""
    own = _own(message)
    if own is None:
        return None
    kind = own["msg_type"]
    content: dict[str, Any]
    if kind == "text":
        content = {"content": {"text": _with(keyword, str(own["content"].get("text", "")), " ")}}
    elif kind == "post":
        content = {"content": {"post": _post(own["content"].get("post"), keyword)}}
    else:
        content = {"card": _card(own["card"], keyword)}
    body = {**signed, "msg_type": kind, **content}
    return body if len(encoded(body)) <= max_bytes else None


def _post(locales: Any, keyword: str) -> dict[str, Any]:
    return {
        locale: {**post, "title": _with(keyword, str(post.get("title") or ""), " ")}
        for locale, post in (locales.items() if isinstance(locales, dict) else ())
        if isinstance(post, dict)
    }


def _card(card: Mapping[str, Any], keyword: str) -> dict[str, Any]:
    """The card with the keyword in small print, where no title has it."""
    header = card.get("header")
    title = header.get("title") if isinstance(header, dict) else None
    said = str(title.get("content")) if isinstance(title, dict) else ""
    if not keyword or keyword in said:
        return dict(card)
    body = card.get("body")
    if card.get("schema") == "2.0":
        inner = dict(body) if isinstance(body, dict) else {}
        note: dict[str, Any] = {"tag": "markdown", "content": keyword}
        return {**card, "body": {**inner, "elements": _ending(inner.get("elements"), note)}}
    note = {"tag": "note", "elements": [{"tag": "plain_text", "content": keyword}]}
    localized = card.get("i18n_elements")
    if isinstance(localized, dict):
        return {**card, "i18n_elements": {name: _ending(elements, note) for name, elements in localized.items()}}
    return {**card, "elements": _ending(card.get("elements"), note)}


def _ending(elements: Any, note: Mapping[str, Any]) -> list[Any]:
    return [*(elements if isinstance(elements, list) else ()), note]


def slack(message: Message) -> dict[str, Any] | None:
    """The message for a Slack webhook, as it was posted."""
    own = _own(message)
    if own is None:
        return None
    for name, most in (("blocks", SLACK_BLOCKS), ("attachments", SLACK_ATTACHMENTS), ("text", SLACK_TEXT_MAX_CHARS)):
        if len(own.get(name) or ()) > most:
            return None
    return dict(own) if len(encoded(own)) <= SLACK_BODY_MAX_BYTES else None


def _with(keyword: str, text: str, between: str) -> str:
    return text if keyword in text else f"{keyword}{between}{text}"

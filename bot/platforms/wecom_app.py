"""What a person says to the self-built app, one-to-one, and the buttons pressed there: the decrypted XML as `Incoming`.

https://developer.work.weixin.qq.com/document/path/90239 (messages) and …/90240 (events).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from bot.markup.plain import clean
from bot.markup.wecom_card import DONE
from bot.platforms.contract import Incoming, Press
from bot.platforms.wecom_people import conversation_of, is_member, person_of
from handlers.errors import PayloadError
from handlers.texts import _

MESSAGES = frozenset({"text", "image", "voice", "video", "file", "location", "link"})
CLICK = "template_card_event"
TEXT_MAX_CHARS = 20_000
HANDLE_MAX_CHARS = 255


def decode(fields: Mapping[str, str], corp_id: str) -> Incoming | None:
    """The message; None for events and senders that are nobody who could be answered.

    A click on a menu item of the kind "click" says the item's key, so that menus of commands can be made.
    PayloadError names the field without which nothing can be done.
    """
    if fields.get("ToUserName", corp_id) != corp_id:
        raise PayloadError("$.ToUserName", _("another organisation stands there"))
    kind, event = fields.get("MsgType", ""), fields.get("Event", "")
    if not kind:
        raise PayloadError("$.MsgType", _("a type is expected"))
    sender = fields.get("FromUserName", "")
    menu = kind == "event" and event == "click"
    press = _press(fields) if kind == "event" and event == CLICK else None
    if not is_member(sender) or not (menu or press or kind in MESSAGES):
        return None
    said = fields.get("EventKey", "") if menu else fields.get("Content", "") if kind == "text" else ""
    return Incoming(
        platform="wecom",
        message_id=_message_id(fields),
        person=person_of(corp_id, sender),
        name="",
        conversation=conversation_of(corp_id, "app", sender),
        direct=True,
        text=clean(said).strip()[:TEXT_MAX_CHARS],
        press=press,
    )


def _press(fields: Mapping[str, str]) -> Press | None:
    """The button of a card that was pressed; None for the one that does nothing."""
    key = fields.get("EventKey", "")
    return (
        None if key == DONE else Press(key, handle=handle_of(fields.get("TaskId", ""), fields.get("ResponseCode", "")))
    )


def handle_of(task_id: str, code: str) -> str:
    """`<task id> <response code>`: which card, and what allows to change it once. "" when one of them is none."""
    handle = f"{task_id} {code}"
    sound = task_id and code and handle.isascii() and handle.isprintable() and len(handle) <= HANDLE_MAX_CHARS
    return handle if sound and handle.count(" ") == 1 else ""


def _message_id(fields: Mapping[str, str]) -> str:
    """WeCom's own id of a message. Events have none: who and when tell them apart, and what, as two clicks may fall
    into one second."""
    message_id = fields.get("MsgId", "").strip()
    if message_id and len(message_id) <= 64 and message_id.isascii() and message_id.isalnum():
        return message_id
    if not fields.get("CreateTime", "").strip().isdecimal():
        raise PayloadError("$.MsgId", _("an id of at most 64 characters is expected"))
    names = ("FromUserName", "CreateTime", "MsgType", "Event", "EventKey", "TaskId", "Content")
    what = "\0".join(fields.get(name, "") for name in names)
    return "event:" + hashlib.sha256(what.encode()).hexdigest()

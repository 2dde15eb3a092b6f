"""What is said to the smart robot, in groups and one-to-one, and the buttons pressed there: the decrypted JSON as
`Incoming`.

https://developer.work.weixin.qq.com/document/path/100719 (messages) and …/101027 (events). Groups pass on only what
mentions the robot.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from bot.markup.plain import clean
from bot.markup.wecom_card import DONE
from bot.platforms.contract import Incoming, Press
from bot.platforms.wecom_mention import without_mention
from bot.platforms.wecom_people import conversation_of, is_member, person_of
from handlers.commands import FORMS
from handlers.commands.parser import UnknownCommand, parse
from handlers.errors import OnCallError, PayloadError
from handlers.texts import _
from handlers.urls import safe_url

MESSAGES = frozenset({"text", "mixed", "image", "voice", "file", "video"})
RESPONSE_HOST = "qyapi.weixin.qq.com"
RESPONSE_LASTS = timedelta(hours=1)
"""How long a `response_url` works: https://developer.work.weixin.qq.com/document/path/101138"""

TEXT_MAX_CHARS = 20_000
ID_MAX_CHARS = 200


def decode(body: object, corp_id: str, now: datetime) -> Incoming | None:
    """The message or the button; None for other events and for senders that are nobody who could be answered.

    Buttons can be shown only in the response to a message, and a card be changed only in the response to its button:
    that is what `inline` asks for. What is said there leaves the `response_url` for what follows.

    The body names no organisation: the robot belongs to the configured one. What a message quotes is not read.
    PayloadError names the field without which nothing can be done.
    """
    if not isinstance(body, Mapping):
        raise PayloadError("$", _("a JSON object is expected"))
    kind, sender = body.get("msgtype"), _inner(body, "from").get("userid")
    if not isinstance(kind, str):
        raise PayloadError("$.msgtype", _("a type is expected"))
    press = _press(body) if kind == "event" else None
    if not (press or kind in MESSAGES) or not isinstance(sender, str) or not is_member(sender):
        return None
    direct = body.get("chattype") == "single"  # anything else may be read by others
    chat_id = sender if direct else _id(body.get("chatid"))
    if not chat_id:
        return None
    message_id = _id(body.get("msgid"))
    if not message_id:
        raise PayloadError("$.msgid", _("an id of at most 200 characters is expected"))
    text = "" if press else clean(_text(kind, body)).strip()[:TEXT_MAX_CHARS]
    return Incoming(
        platform="wecom",
        message_id=message_id,
        person=person_of(corp_id, sender),
        name="",
        conversation=conversation_of(corp_id, "single" if direct else "", chat_id),
        direct=direct,
        text=text if direct else without_mention(text, _is_command),
        reply_url=response_url(body.get("response_url")),
        reply_until=now + RESPONSE_LASTS,
        press=press,
        inline="always" if press else "buttons",
    )


def _press(body: Mapping[str, object]) -> Press | None:
    """The button of a card that was pressed, `handle` the id of the card; None for the one that does nothing.

    The page's tables and its examples spell the names differently.
    """
    event = _inner(body, "event")
    if event.get("eventtype") != "template_card_event":
        return None
    click = _inner(event, "template_card_event")
    key, task_id = click.get("event_key", click.get("eventkey")), _id(click.get("task_id", click.get("taskid")))
    if not isinstance(key, str):
        raise PayloadError("$.event.template_card_event.event_key", _("an id is expected"))
    return None if key == DONE else Press(key, handle=task_id)


def entered(body: object) -> bool:
    """Somebody opened the conversation with the robot for the first time today."""
    return isinstance(body, Mapping) and _inner(body, "event").get("eventtype") == "enter_chat"


def stream_of(body: object) -> str:
    """Id of the stream whose further text is asked for; "" when something else is."""
    refreshed = isinstance(body, Mapping) and body.get("msgtype") == "stream"
    return _id(_inner(body, "stream").get("id")) if isinstance(body, Mapping) and refreshed else ""


def response_url(url: object) -> str:
    """The address for the answer if it is WeCom's own, else "". Whoever knows it may speak for the robot."""
    if not isinstance(url, str) or safe_url(url) is None:
        return ""
    parts = urlsplit(url)
    right = parts.scheme == "https" and parts.netloc == RESPONSE_HOST and parts.path.startswith("/cgi-bin/")
    return url if right and parts.query and not parts.fragment else ""


def _inner(body: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = body.get(name)
    return part if isinstance(part, Mapping) else {}


def _id(value: object) -> str:
    """The id when it is one, else ""."""
    sound = isinstance(value, str) and 0 < len(value) <= ID_MAX_CHARS and value.isprintable() and " " not in value
    return str(value) if sound else ""


def _text(kind: str, body: Mapping[str, object]) -> str:
    """What was said, by the kind of message; "" where there are no words in it."""
    if kind == "mixed":
        items = _inner(body, "mixed").get("msg_item")
        parts = (
            [_content(item, "text") for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
        )
        return " ".join(part for part in parts if part)
    return _content(body, kind) if kind in ("text", "voice") else ""


def _content(body: Mapping[str, object], kind: str) -> str:
    said = _inner(body, kind).get("content")
    return said if isinstance(said, str) else ""


def _is_command(text: str) -> bool:
    try:
        parse(text, FORMS)
    except UnknownCommand:
        return False
    except OnCallError:
        return True
    return True

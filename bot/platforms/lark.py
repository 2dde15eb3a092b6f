"""Lark and Feishu app: messages decoded, documents said.

In:  https://open.feishu.cn/document/server-docs/im-v1/message/events/receive
Out: https://open.feishu.cn/document/server-docs/im-v1/message/create, and …/reply in groups

A message is known by its `message_id`: Lark may deliver it again under another `event_id`. Texts hold placeholders
(`@_user_1`) where somebody is mentioned; who that is stands beside them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.channels.contract import Receipt
from bot.channels.fit import fitted
from bot.http import encoded
from bot.markup import lark as markup
from bot.markup.plain import clean, outline
from bot.platforms.access_token import AccessTokens
from bot.platforms.contract import Incoming, Place, Platform, Speaker
from bot.platforms.lark_api import HOST, OwnId, TenantTokens, call
from bot.settings import Settings
from handlers.budgets import Throttle
from handlers.document import Document, localize
from handlers.errors import DeliveryError, PayloadError
from handlers.texts import Language, _

log = logging.getLogger(__name__)

MESSAGE = "im.message.receive_v1"
SEND_PATH = "/open-apis/im/v1/messages"

BODY_MAX_BYTES = 28_000
"""Of a request with a card; Lark takes 30 KB."""

TEXT_MAX_BYTES = 6_000
"""Of a request with the plain text that stands in for a card that was refused."""

REPLY_FOR = timedelta(minutes=10)
"""How long an answer is attached to its question; later it would only dig up an old one."""

TEXT_MAX_CHARS = 20_000
NAME_MAX_CHARS = 128

_ID = re.compile(r"[A-Za-z0-9_\-.=]{1,100}")
_REPLY_URL = re.compile(re.escape(HOST) + r"(/open-apis/im/v1/messages/[A-Za-z0-9_\-.=]{1,100}/reply)")
_EVERYONE = re.compile(r"@_all(?![A-Za-z0-9_])")
_BLANKS = "\u200b\u200c\u200d\u2060\ufeff"


@dataclass(frozen=True, slots=True)
class LarkCredentials:
    """The app that hears and speaks. `encrypt_key` and `verification_token` prove callbacks; "" is "not set"."""

    app_id: str
    tokens: AccessTokens = field(repr=False)
    own_id: OwnId = field(repr=False)
    encrypt_key: str = field(default="", repr=False)
    verification_token: str = field(default="", repr=False)


def credentials(settings: Settings) -> LarkCredentials | None:
    """The app of the settings, None where there is none."""
    if not settings.lark_app_id:
        return None
    tokens = TenantTokens(settings.lark_app_id, settings.lark_app_secret)
    return LarkCredentials(
        settings.lark_app_id,
        tokens,
        OwnId(tokens),
        encrypt_key=settings.lark_encrypt_key,
        verification_token=settings.lark_verification_token,
    )


# ---- callbacks in


@dataclass(frozen=True, slots=True)
class _Mention:
    """One entry of `mentions`. `bot` is None where the platform does not say whether it is one."""

    key: str
    open_id: str
    tenant: str
    name: str
    bot: bool | None
    employee: bool


def is_for(body: Mapping[str, Any], app_id: str) -> bool:
    """The event is not marked as one of another app."""
    return bool(_object(body.get("header")).get("app_id", app_id) == app_id)


def decode(body: Mapping[str, Any], own_id: Callable[[], str]) -> Incoming | None:
    """The message of an opened callback; None for every other event, and for what other bots say.

    own_id  gives the bot's own `open_id`, "" while that is not known; asked only where somebody is mentioned
    PayloadError names the field without which nothing can be done.
    """
    header, event = _object(body.get("header")), _object(body.get("event"))
    kind = header.get("event_type")
    if kind != MESSAGE:
        shown = re.sub(r"[^\w.]", "?", kind[:60], flags=re.ASCII) if isinstance(kind, str) else "without a type"
        log.info("a Lark event was ignored: %s", shown)
        return None
    message, sender = event.get("message"), _object(event.get("sender"))
    if not isinstance(message, Mapping):
        raise PayloadError("$.event.message", _("a JSON object is expected"))
    if sender.get("sender_type", "user") != "user":
        return None

    tenant = _id(header.get("tenant_key")) or _needed(sender, "tenant_key", "$.header.tenant_key")
    chat = _needed(message, "chat_id", "$.event.message.chat_id")
    message_id = _needed(message, "message_id", "$.event.message.message_id")
    direct = message.get("chat_type") == "p2p"
    mentions = _mentions(message.get("mentions"), tenant)
    ours = _our_keys(mentions, own_id() if mentions else "", guess=not direct)
    sent_at = _moment(message.get("create_time"))
    return Incoming(
        platform="lark",
        message_id=message_id,
        event_id=_id(header.get("event_id")),
        person=_person(_id(sender.get("tenant_key")) or tenant, _open_id(sender.get("sender_id"))),
        name="",
        conversation=f"lark:{tenant}/{chat}",
        direct=direct,
        text=_text(message, mentions),
        addressed=direct or bool(ours),
        mentions=_people(mentions, ours),
        reply_url="" if direct else f"{HOST}{SEND_PATH}/{message_id}/reply",
        reply_until=sent_at + REPLY_FOR if sent_at else None,
    )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _id(value: object) -> str:
    """The id when it is one, else ""."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def _needed(part: Mapping[str, Any], name: str, path: str) -> str:
    found = _id(part.get(name))
    if not found:
        raise PayloadError(path, _("an id of at most 100 characters is expected"))
    return found


def _open_id(value: object) -> str:
    """The `open_id` of an object of ids, or the id itself, as some events have it."""
    return _id(value.get("open_id")) if isinstance(value, Mapping) else _id(value)


def _person(tenant: str, open_id: str) -> str:
    """`lark:tenant/ou_…`; "" where Lark does not say who it is."""
    return f"lark:{tenant}/{open_id}" if open_id else ""


def _words(value: object, max_chars: int) -> str:
    """What a person wrote, without control characters and blanks at its ends; "" for anything that is not text."""
    if not isinstance(value, str):
        return ""
    return clean(value).strip().strip(_BLANKS).strip()[:max_chars]


def _moment(epoch_ms: object) -> datetime | None:
    if not isinstance(epoch_ms, str) or not epoch_ms.isascii() or not epoch_ms.isdigit() or len(epoch_ms) > 14:
        return None
    return datetime.fromtimestamp(int(epoch_ms) / 1000, UTC)


def _mentions(listed: object, tenant: str) -> tuple[_Mention, ...]:
    found = []
    for entry in listed if isinstance(listed, list) else ():
        part = _object(entry)
        key, ids, kind = part.get("key"), part.get("id"), part.get("mentioned_type")
        if isinstance(key, str) and re.fullmatch(r"@_user_\d{1,6}", key, re.ASCII):
            found.append(
                _Mention(
                    key,
                    _open_id(ids),
                    _id(part.get("tenant_key")) or tenant,
                    _words(part.get("name"), NAME_MAX_CHARS),
                    kind != "user" if isinstance(kind, str) and kind else None,
                    bool(_object(ids).get("user_id")),
                )
            )
    return tuple(found)


def _our_keys(mentions: tuple[_Mention, ...], own_id: str, *, guess: bool) -> frozenset[str]:
    """Placeholders that mean the bot.

    While it does not know itself it goes by what Lark says of each mention. Where Lark does not say, `guess` takes the
    first mention without a user id, which only people have: in a group Lark passes on what mentions the bot.
    """
    if own_id:
        return frozenset(mention.key for mention in mentions if mention.open_id == own_id)
    bots = frozenset(mention.key for mention in mentions if mention.bot)
    perhaps = [mention for mention in mentions if mention.bot is None]
    if bots or not perhaps or not guess:
        return bots
    return frozenset({min(perhaps, key=lambda mention: mention.employee).key})


def _people(mentions: tuple[_Mention, ...], ours: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """The people mentioned beside the bot, in order, each once."""
    found: dict[str, str] = {}
    for mention in mentions:
        person = _person(mention.tenant, mention.open_id)
        if person and mention.key not in ours and not mention.bot:
            found.setdefault(person, mention.name)
    return tuple(found.items())


def _text(message: Mapping[str, Any], mentions: tuple[_Mention, ...]) -> str:
    """What was said, without the placeholders; "" where there are no words in it."""
    content = message.get("content")
    try:
        inner = json.loads(content) if isinstance(content, str) else None
    except (ValueError, RecursionError):
        return ""
    if not isinstance(inner, dict):
        return ""
    match message.get("message_type"):
        case "text":
            said = inner.get("text")
        case "post":
            said = "\n".join(_lines(inner))
        case _:
            return ""
    if not isinstance(said, str):
        return ""
    for mention in mentions:
        # Not the beginning of a longer one: `@_user_1` is not in `@_user_10`.
        said = re.sub(re.escape(mention.key) + r"(?!\d)", " ", said, flags=re.ASCII)
    return _words(_EVERYONE.sub(" ", said), TEXT_MAX_CHARS)


def _lines(post: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a rich text; some clients put it one level deeper, below the language."""
    if "content" not in post:
        post = next((part for part in post.values() if isinstance(part, Mapping) and "content" in part), {})
    if isinstance(title := post.get("title"), str) and title.strip():
        yield title
    lines = post.get("content")
    for line in lines if isinstance(lines, list) else ():
        yield "".join(_node(_object(node)) for node in (line if isinstance(line, list) else ()))


def _node(node: Mapping[str, Any]) -> str:
    text = node.get("text")
    words = text if isinstance(text, str) else ""
    match node.get("tag"):
        case "text" | "md" | "code_block":
            return words
        case "at":
            key = node.get("user_id")
            return f"{key} " if isinstance(key, str) and key.startswith("@_") else " "
        case "a":
            url = node.get("href")
            # Of a link behind other words the address is meant; one that the client made of what was typed stays.
            if isinstance(url, str) and url.startswith(("http://", "https://")) and words not in url:
                return url
            return words or (url if isinstance(url, str) else "")
    return " "


# ---- documents out


def say(document: Document, language: Language, place: Place, speaker: Speaker) -> Receipt:
    """Posts the document as a card: in a group as a reply to the question, else to the chat or the person.

    Where the question was withdrawn the answer goes to the chat; where the card is refused for its form or length it
    goes as plain text. `uuid` is the same for all of these: Lark takes one message with it and an hour long no second.
    """
    app = speaker.credentials
    if not isinstance(app, LarkCredentials):
        raise DeliveryError("not_configured", _("The Lark app is not configured."), permanent=True)
    whole = localize(document, language)
    reply = _REPLY_URL.fullmatch(place.reply_url)
    lasts = place.reply_until is None or place.reply_until > speaker.now
    if place.conversation and not place.direct and reply and lasts:
        try:
            return _say_at(reply[1], {}, {}, whole, language, app, speaker)
        except DeliveryError as error:
            if error.reason != "withdrawn":
                raise
    kind, receiver = _receiver(place)
    return _say_at(SEND_PATH, {"receive_id_type": kind}, {"receive_id": receiver}, whole, language, app, speaker)


def _receiver(place: Place) -> tuple[str, str]:
    """Type and id of whoever gets it. Raises DeliveryError when the place names nobody."""
    kind, address = ("chat_id", place.conversation) if place.conversation else ("open_id", place.person)
    receiver = address.removeprefix("lark:").partition("/")[2]
    if not receiver:
        raise DeliveryError(
            "no_recipient", _("Lark did not say who this person is, so nothing can be sent there."), permanent=True
        )
    return kind, receiver


def _say_at(
    path: str,
    params: Mapping[str, str],
    address: Mapping[str, str],
    document: Document,
    language: Language,
    app: LarkCredentials,
    speaker: Speaker,
) -> Receipt:
    def body(kind: str, content: Mapping[str, Any]) -> dict[str, str]:
        key = {"uuid": speaker.key[:50]} if speaker.key else {}
        return {**address, "msg_type": kind, "content": encoded(content).decode(), **key}

    def card(part: Document) -> dict[str, str]:
        return body("interactive", markup.card(part))

    def text(part: Document) -> dict[str, str]:
        return body("text", {"text": markup.escape(f"{part.heading()}\n{outline(part)}".strip())})

    def post(drawn: Callable[[Document], dict[str, str]], limit: int) -> Receipt:
        message = drawn(fitted(document, language, limit, lambda part: len(encoded(drawn(part)))))
        reply = call(speaker.http, app.tokens, "POST", path, json=message, params=params)
        data = _object(_object(reply.json()).get("data"))
        return Receipt(_id(data.get("message_id")))

    try:
        return post(card, BODY_MAX_BYTES)
    except DeliveryError as error:
        if error.reason not in ("card", "too_long"):
            raise
        return post(text, TEXT_MAX_BYTES)


PLATFORM = Platform(name="lark", say=say, budgets=(Throttle(4, 1.1),))

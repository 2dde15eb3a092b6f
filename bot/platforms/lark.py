"""Lark and Feishu app: messages decoded, documents said.

In:  https://open.feishu.cn/document/server-docs/im-v1/message/events/receive; buttons are in `lark_press`
Out: https://open.feishu.cn/document/server-docs/im-v1/message/create, …/reply in groups, and …/message-card/patch

A message is known by its `message_id`: Lark may deliver it again under another `event_id`. Texts hold placeholders
(`@_user_1`) where somebody is mentioned; who that is stands beside them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.channels.contract import Receipt
from bot.channels.fit import fitted
from bot.http import encoded
from bot.markup import lark as markup
from bot.markup.plain import outline
from bot.platforms.access_token import AccessTokens
from bot.platforms.contract import Incoming, Place, Platform, Speaker
from bot.platforms.lark_api import HOST, OwnId, TenantTokens, call
from bot.platforms.lark_cards import card
from bot.platforms.lark_read import (
    MESSAGES_PATH,
    REPLY_FOR,
    id_of,
    moment,
    needed,
    object_of,
    person_of,
    reply_url,
    words,
)
from bot.settings import Settings
from handlers.budgets import Throttle
from handlers.document import Document, localize
from handlers.errors import DeliveryError, PayloadError
from handlers.texts import Language, _

log = logging.getLogger(__name__)

MESSAGE = "im.message.receive_v1"

TEXT_MAX_BYTES = 6_000
"""Of a request with the plain text that stands in for a card that was refused."""

TEXT_MAX_CHARS = 20_000
NAME_MAX_CHARS = 128

_REPLY_URL = re.compile(re.escape(HOST) + r"(/open-apis/im/v1/messages/[A-Za-z0-9_\-.=]{1,100}/reply)")
_EVERYONE = re.compile(r"@_all(?![A-Za-z0-9_])")


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
    return bool(object_of(body.get("header")).get("app_id", app_id) == app_id)


def decode(body: Mapping[str, Any], own_id: Callable[[], str]) -> Incoming | None:
    """The message of an opened callback; None for every other event, and for what other bots say.

    own_id  gives the bot's own `open_id`, "" while that is not known; asked only where somebody is mentioned
    PayloadError names the field without which nothing can be done.
    """
    header, event = object_of(body.get("header")), object_of(body.get("event"))
    kind = header.get("event_type")
    if kind != MESSAGE:
        shown = re.sub(r"[^\w.]", "?", kind[:60], flags=re.ASCII) if isinstance(kind, str) else "without a type"
        log.info("a Lark event was ignored: %s", shown)
        return None
    message, sender = event.get("message"), object_of(event.get("sender"))
    if not isinstance(message, Mapping):
        raise PayloadError("$.event.message", _("a JSON object is expected"))
    if sender.get("sender_type", "user") != "user":
        return None

    tenant = id_of(header.get("tenant_key")) or needed(sender, "tenant_key", "$.header.tenant_key")
    chat = needed(message, "chat_id", "$.event.message.chat_id")
    message_id = needed(message, "message_id", "$.event.message.message_id")
    direct = message.get("chat_type") == "p2p"
    mentions = _mentions(message.get("mentions"), tenant)
    ours = _our_keys(mentions, own_id() if mentions else "", guess=not direct)
    sent_at = moment(message.get("create_time"))
    return Incoming(
        platform="lark",
        message_id=message_id,
        event_id=id_of(header.get("event_id")),
        person=person_of(id_of(sender.get("tenant_key")) or tenant, _open_id(sender.get("sender_id"))),
        name="",
        conversation=f"lark:{tenant}/{chat}",
        direct=direct,
        text=_text(message, mentions),
        addressed=direct or bool(ours),
        mentions=_people(mentions, ours),
        reply_url="" if direct else reply_url(message_id),
        reply_until=sent_at + REPLY_FOR if sent_at else None,
    )


def _open_id(value: object) -> str:
    """The `open_id` of an object of ids, or the id itself, as some events have it."""
    return id_of(value.get("open_id")) if isinstance(value, Mapping) else id_of(value)


def _mentions(listed: object, tenant: str) -> tuple[_Mention, ...]:
    found = []
    for entry in listed if isinstance(listed, list) else ():
        part = object_of(entry)
        key, ids, kind = part.get("key"), part.get("id"), part.get("mentioned_type")
        if isinstance(key, str) and re.fullmatch(r"@_user_\d{1,6}", key, re.ASCII):
            found.append(
                _Mention(
                    key,
                    _open_id(ids),
                    id_of(part.get("tenant_key")) or tenant,
                    words(part.get("name"), NAME_MAX_CHARS),
                    kind != "user" if isinstance(kind, str) and kind else None,
                    bool(object_of(ids).get("user_id")),
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
        person = person_of(mention.tenant, mention.open_id)
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
    return words(_EVERYONE.sub(" ", said), TEXT_MAX_CHARS)


def _lines(post: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a rich text; some clients put it one level deeper, below the language."""
    if "content" not in post:
        post = next((part for part in post.values() if isinstance(part, Mapping) and "content" in part), {})
    if isinstance(title := post.get("title"), str) and title.strip():
        yield title
    lines = post.get("content")
    for line in lines if isinstance(lines, list) else ():
        yield "".join(_node(object_of(node)) for node in (line if isinstance(line, list) else ()))


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
    """Posts the document as a card: in the place of an own message, in a group as a reply to the question, else to the
    chat or the person.

    What cannot be changed any more (after 14 days, or deleted) is said anew. Where the question was withdrawn the answer
    goes to the chat; where the card is refused for its form or length it goes as plain text. `uuid` is the same for all
    of these: Lark takes one message with it and an hour long no second.
    """
    app = speaker.credentials
    if not isinstance(app, LarkCredentials):
        raise DeliveryError("not_configured", _("The Lark app is not configured."), permanent=True)
    whole = localize(document, language)
    if id_of(place.replaces):
        try:
            return _update(place.replaces, whole, language, app, speaker)
        except DeliveryError as error:
            if not error.permanent:
                raise
    reply = _REPLY_URL.fullmatch(place.reply_url)
    lasts = place.reply_until is None or place.reply_until > speaker.now
    if place.conversation and not place.direct and reply and lasts:
        try:
            return _say_at(reply[1], {}, {}, whole, language, app, speaker)
        except DeliveryError as error:
            if error.reason != "withdrawn":
                raise
    kind, receiver = _receiver(place)
    return _say_at(MESSAGES_PATH, {"receive_id_type": kind}, {"receive_id": receiver}, whole, language, app, speaker)


def _receiver(place: Place) -> tuple[str, str]:
    """Type and id of whoever gets it. Raises DeliveryError when the place names nobody."""
    kind, address = ("chat_id", place.conversation) if place.conversation else ("open_id", place.person)
    receiver = address.removeprefix("lark:").partition("/")[2]
    if not receiver:
        raise DeliveryError(
            "no_recipient", _("Lark did not say who this person is, so nothing can be sent there."), permanent=True
        )
    return kind, receiver


def _update(message_id: str, document: Document, language: Language, app: LarkCredentials, speaker: Speaker) -> Receipt:
    """Changes the card of an own message. Five a second are allowed for each; all of them come through the lane of its
    conversation, whose budget is smaller."""

    def body(drawn: Mapping[str, Any]) -> dict[str, str]:
        return {"content": encoded(drawn).decode()}

    drawn = card(document, language, lambda part: len(encoded(body(part))))
    call(speaker.http, app.tokens, "PATCH", f"{MESSAGES_PATH}/{message_id}", json=body(drawn))
    return Receipt(message_id)


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

    def post(message: Mapping[str, str]) -> Receipt:
        reply = call(speaker.http, app.tokens, "POST", path, json=message, params=params)
        data = object_of(object_of(reply.json()).get("data"))
        return Receipt(id_of(data.get("message_id")))

    def text(part: Document) -> dict[str, str]:
        return body("text", {"text": markup.escape(f"{part.heading()}\n{outline(part)}".strip())})

    try:
        return post(body("interactive", card(document, language, lambda part: len(encoded(body("interactive", part))))))
    except DeliveryError as error:
        if error.reason not in ("card", "too_long"):
            raise
        return post(text(fitted(document, language, TEXT_MAX_BYTES, lambda part: len(encoded(text(part))))))


def _buttons(app: object) -> Literal["press", "link", ""]:
    """Whoever cannot prove a callback is called by nobody."""
    return "press" if isinstance(app, LarkCredentials) and (app.encrypt_key or app.verification_token) else ""


PLATFORM = Platform(name="lark", say=say, budgets=(Throttle(4, 1.1),), forms=True, buttons=_buttons)

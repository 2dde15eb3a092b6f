"""DingTalk app robot: callbacks verified and decoded, documents said.

In:  https://open.dingtalk.com/document/development/receive-message (HTTP and Stream carry the same body)
Out: the `sessionWebhook` of the message while it lasts, else the app's API
     (https://open.dingtalk.com/document/development/the-robot-sends-a-group-message,
     https://open.dingtalk.com/document/development/chatbots-send-one-on-one-chat-messages-in-batches)

The signature of a callback covers its timestamp and the secret, not its body: whoever reads one pair can sign any body
for an hour. Hence TLS only, messages handled once by `msgId`, people identified by staff id and organisation only, and
answers posted to DingTalk's own session address only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from bot.channels.contract import Receipt
from bot.http import HttpReply, Unreachable
from bot.markup.dingtalk import escape, markdown
from bot.markup.plain import clean, cut
from bot.platforms import dingtalk_cards
from bot.platforms.access_token import AccessTokens
from bot.platforms.contract import Incoming, Place, Platform, Speaker
from bot.platforms.dingtalk_app import (
    Cards,
    DingTalkCredentials,
    ask,
    buttons,
    cards_of,
    code_of,
    group_of,
    id_of,
    person_of,
    plain,
    staff_of,
)
from bot.platforms.dingtalk_refusals import api_refusal, no_answer, session_refusal, unreachable
from bot.settings import Settings
from handlers.buttons import PAGE
from handlers.document import Document, Link, localize
from handlers.errors import DeliveryError, PayloadError
from handlers.texts import Language, _
from handlers.urls import safe_url

SKEW_MS = 3_600_000
"""A timestamp more than an hour away is illegal; exactly an hour is not."""

GROUP_URL = "https://api.dingtalk.com/v1.0/robot/groupMessages/send"
DIRECT_URL = "https://api.dingtalk.com/v1.0/robot/oToMessages/batchSend"
SESSION_HOST, SESSION_PATH = "oapi.dingtalk.com", "/robot/sendBySession"

NO_ANSWER = {"msgtype": "empty"}
"""The body of the HTTP answer to a callback that is answered later."""

SESSION_MARGIN = timedelta(seconds=30)
"""A session address that ends this soon is not used any more."""

TEXT_MAX_CHARS = 20_000
NAME_MAX_CHARS = 128
LINK_BUTTONS = 5
LABEL_CHARS = 20

log = logging.getLogger(__name__)

_BLANKS = "\u200b\u200c\u200d\u2060\ufeff"
_LEADING_MENTION = re.compile(r"(?:@\S+\s*)+")


def credentials(settings: Settings) -> DingTalkCredentials | None:
    """What the settings say of the app; None when DingTalk is not set up."""
    if not settings.dingtalk_client_id:
        return None
    client_id, secret = settings.dingtalk_client_id, settings.dingtalk_client_secret
    return DingTalkCredentials(client_id, secret, AccessTokens(client_id, secret), cards_of(settings))


# ---- callbacks in


def verify(headers: Mapping[str, str], app_secret: str, now_ms: int) -> bool:
    """The callback carries a fresh signature made with the app's secret. Never raises, whatever the headers are."""
    given = {str(name).lower(): value for name, value in headers.items()}
    timestamp, sign = given.get("timestamp"), given.get("sign")
    if not app_secret or not isinstance(timestamp, str) or not isinstance(sign, str) or not sign:
        return False
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 16:
        return False
    if abs(now_ms - int(timestamp)) > SKEW_MS:
        return False
    return _signed(sign, app_secret, f"{timestamp}\n{app_secret}")


def verify_card(headers: Mapping[str, str], api_secret: str) -> bool:
    """The callback of a card's button is signed with the secret its route was registered with. Never raises.

    Not the recipe above: only the timestamp is signed. Its unit is not documented, so its age is not judged
    (https://open.dingtalk.com/document/development/event-callback-card).
    """
    given = {str(name).lower(): value for name, value in headers.items()}
    timestamp, sign = given.get("x-ddpaas-signature-timestamp"), given.get("x-ddpaas-signature")
    if not api_secret or not isinstance(timestamp, str) or not isinstance(sign, str) or not timestamp or not sign:
        return False
    return _signed(sign, api_secret, timestamp)


def _signed(sign: str, secret: str, message: str) -> bool:
    # Headers may hold anything, also halves of surrogate pairs.
    key, text = (part.encode(errors="surrogatepass") for part in (secret, message))
    wanted = base64.b64encode(hmac.digest(key, text, hashlib.sha256))
    return hmac.compare_digest(wanted, sign.encode(errors="surrogatepass"))


def decode(body: Mapping[str, object]) -> Incoming | None:
    """The message of a verified callback or Stream frame; None where DingTalk withheld the message (`errorCode` 20001:
    the organisation's quota is used up).

    Whether `robotCode` is the configured client id is not asked: it is so for most internal apps, but not for all.
    PayloadError names the field without which nothing can be done.
    """
    if not isinstance(body, Mapping):
        raise PayloadError("$", _("a JSON object is expected"))
    if ("errorCode" in body or "errCode" in body) and "text" not in body and "content" not in body:
        return None

    direct = plain(body.get("conversationType")) == "1"
    robot = body.get("chatbotUserId")
    # Only people of the robot's own organisation have a staff id, so its corp id stands in for a missing sender's.
    corp = id_of(body.get("senderCorpId")) or id_of(body.get("chatbotCorpId"))
    text = _text(body)
    if not direct and body.get("msgtype") == "richText":
        text = _LEADING_MENTION.sub("", text, count=1) if text.startswith("@") else text
    return Incoming(
        platform="dingtalk",
        message_id=_needed_id(body, "msgId"),
        person=person_of(corp, body.get("senderStaffId")),
        name=_words(body.get("senderNick"), NAME_MAX_CHARS),
        conversation=f"dingtalk:{_needed_id(body, 'conversationId')}",
        direct=direct,
        text=text,
        addressed=direct or plain(body.get("isInAtList")).lower() != "false",
        title=_words(body.get("conversationTitle"), NAME_MAX_CHARS),
        mentions=_mentions(body.get("atUsers"), corp, robot),
        reply_url=_session_url(body.get("sessionWebhook")),
        reply_until=_moment(body.get("sessionWebhookExpiredTime")),
    )


def _needed_id(body: Mapping[str, object], name: str) -> str:
    found = id_of(body.get(name))
    if not found:
        raise PayloadError(f"$.{name}", _("an id of at most 256 characters is expected"))
    return found


def _words(value: object, max_chars: int) -> str:
    """What a person wrote, without control characters and blanks at its ends; "" for anything that is not text."""
    if not isinstance(value, str):
        return ""
    return clean(value).strip().strip(_BLANKS).strip()[:max_chars]


def _text(body: Mapping[str, object]) -> str:
    """What was said, by the kind of message; "" where there are no words in it."""
    content = body.get("content")
    inner = content if isinstance(content, Mapping) else {}
    match body.get("msgtype"):
        case "text":
            text = body.get("text")
            said = text.get("content") if isinstance(text, Mapping) else None
            return _words(said if isinstance(said, str) else content, TEXT_MAX_CHARS)
        case "richText":
            items = inner.get("richText")
            parts = [item.get("text") for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
            return _words(" ".join(part for part in parts if isinstance(part, str)), TEXT_MAX_CHARS)
        case "audio":
            return _words(inner.get("recognition"), TEXT_MAX_CHARS)
    return ""


def _mentions(users: object, corp: str, robot: object) -> tuple[tuple[str, str], ...]:
    """The people mentioned beside the robot. There are no names, and no staff id for outsiders, who are left out."""
    found: dict[str, str] = {}
    for user in users if isinstance(users, list) else ():
        if isinstance(user, Mapping) and (not robot or user.get("dingtalkId") != robot):
            person = person_of(corp, user.get("staffId"))
            if person:
                found[person] = ""
    return tuple(found.items())


def _session_url(url: object) -> str:
    """The address for answers if it is DingTalk's own, else "": the body that names it is not signed."""
    if not isinstance(url, str) or safe_url(url) is None:
        return ""
    parts = urlsplit(url)
    right = parts.scheme == "https" and parts.netloc == SESSION_HOST and parts.path == SESSION_PATH
    return url if right and parts.query and not parts.fragment else ""


def _moment(epoch_ms: object) -> datetime | None:
    """The time of epoch milliseconds, given as a number or as text; None for anything else."""
    text = plain(epoch_ms)
    if not text.isascii() or not text.isdigit() or len(text) > 14:
        return None
    return datetime.fromtimestamp(int(text) / 1000, UTC)


# ---- documents out


def say(document: Document, language: Language, place: Place, speaker: Speaker) -> Receipt:
    """Shows the document as an interactive card where it has buttons, or takes the place of a card; else says it in words.

    The reference is that of the card: words cannot be changed later. A card that DingTalk does not take becomes words, which
    say what can be typed instead of pressing.
    """
    document = localize(document, language)
    app = speaker.credentials
    if isinstance(app, DingTalkCredentials) and app.cards is not None:
        receipt = _as_card(document, place, app, app.cards, speaker)
        if receipt is not None:
            return receipt
    return _in_words(document, place, speaker)


def _as_card(
    document: Document, place: Place, app: DingTalkCredentials, cards: Cards, speaker: Speaker
) -> Receipt | None:
    """None when it is to be said in words."""
    values, whole = dingtalk_cards.variables(document)
    if dingtalk_cards.is_card(place.replaces):
        try:
            dingtalk_cards.update(values, place.replaces, app, speaker)
        except DeliveryError as error:
            if not error.permanent:
                raise
            log.info("DingTalk did not change a card (%s); a new message says it", error.reason)
        else:
            return Receipt(place.replaces)
    if values["status"] != "open":
        return None
    if not whole:
        _in_words(replace(document, buttons=()), place, speaker)
    track = dingtalk_cards.track_of(speaker.key)
    try:
        dingtalk_cards.deliver(values, track, place, app, cards, speaker)
    except DeliveryError as error:
        if whole and not error.permanent:
            raise
        log.warning("DingTalk showed no card, only words: %s", error)
        return None if whole else Receipt()
    return Receipt(track)


def _in_words(document: Document, place: Place, speaker: Speaker) -> Receipt:
    """Posts the document through the session address while there is one, else through the app's API.

    A session that has ended, is throttled or has used up its quota gives way to the API within this call. Nothing is
    tried twice whose outcome is unknown.
    """
    links, document = _buttons(document)
    title, text = markdown(document)
    lasts = place.reply_until is None or place.reply_until - SESSION_MARGIN > speaker.now
    if place.conversation and place.reply_url and lasts and _session_url(place.reply_url):
        try:
            return _say_in_session(title, text, links, place, speaker)
        except DeliveryError as error:
            other_way = isinstance(speaker.credentials, DingTalkCredentials) and bool(_address(place))
            if error.reason not in ("session_over", "rate_limited", "quota") or not other_way:
                raise
    return _say_as_app(title, text, links, place, speaker)


def _buttons(document: Document) -> tuple[tuple[Link, ...], Document]:
    """Links to our page that asks again, to be drawn as buttons, and the document with the others."""
    ours = tuple(one for one in document.links if PAGE in one.url and safe_url(one.url))
    if not 1 <= len(ours) <= LINK_BUTTONS:
        return (), document
    return ours, replace(document, links=tuple(one for one in document.links if one not in ours))


def _label(link: Link) -> str:
    return escape(cut(str(link.label), LABEL_CHARS), bold=True)


def _address(place: Place) -> dict[str, object]:
    """Where the API is to send; empty when the place names nobody it could reach."""
    group, staff = group_of(place), staff_of(place)
    if group:
        return {"openConversationId": group}
    return {"userIds": [staff]} if staff else {}


def _say_in_session(title: str, text: str, links: tuple[Link, ...], place: Place, speaker: Speaker) -> Receipt:
    message: dict[str, object] = {"msgtype": "markdown", "markdown": {"title": title, "text": text}}
    if len(links) == 1:
        single = {"singleTitle": _label(links[0]), "singleURL": links[0].url}
        message = {"msgtype": "actionCard", "actionCard": {"title": title, "text": text, **single}}
    elif links:
        buttons = [{"title": _label(link), "actionURL": link.url} for link in links]
        card = {"title": title, "text": text, "btnOrientation": "0", "btns": buttons}
        message = {"msgtype": "actionCard", "actionCard": card}
    if speaker.key:
        message["msgUuid"] = speaker.key
    try:
        reply = speaker.http.post(place.reply_url, json=message)
    except Unreachable as error:
        raise unreachable(error) from error
    body = reply.json()
    code = _number(body.get("errcode")) if isinstance(body, Mapping) else None
    if not isinstance(body, Mapping) or code is None:
        raise no_answer(reply)
    if code != 0:
        raise session_refusal(code)
    return Receipt()


def _say_as_app(title: str, text: str, links: tuple[Link, ...], place: Place, speaker: Speaker) -> Receipt:
    app, address = speaker.credentials, _address(place)
    if not isinstance(app, DingTalkCredentials):
        raise DeliveryError("not_configured", _("The DingTalk app is not configured."), permanent=True)
    if not address:
        raise DeliveryError(
            "no_recipient", _("DingTalk did not say who this person is, so nothing can be sent there."), permanent=True
        )
    kind, more = "sampleMarkdown", {}
    if len(links) == 1:
        kind, more = "sampleActionCard", {"singleTitle": _label(links[0]), "singleURL": links[0].url}
    elif links:
        kind = f"sampleActionCard{len(links)}"
        for at, link in enumerate(links, 1):
            more |= {f"actionTitle{at}": _label(link), f"actionURL{at}": link.url}
    message = {
        "robotCode": app.client_id,
        **address,
        "msgKey": kind,
        "msgParam": json.dumps({"title": title, "text": text, **more}, ensure_ascii=False),
    }
    url = GROUP_URL if "openConversationId" in message else DIRECT_URL
    _taken(ask("POST", url, message, app, speaker.http))
    return Receipt()


def _taken(reply: HttpReply) -> None:
    """Raises the DeliveryError that the answer amounts to. HTTP 200 also comes with people who got nothing."""
    code, body = code_of(reply), reply.json()
    if code:
        raise api_refusal(code, reply.status)
    if not isinstance(body, Mapping):
        raise no_answer(reply)
    if body.get("invalidStaffIdList"):
        raise DeliveryError("gone", _("DingTalk does not know this person any more."), permanent=True)
    if body.get("flowControlledStaffIdList"):
        raise DeliveryError("rate_limited", _("DingTalk holds back messages to this person."), permanent=False)
    query_key = body.get("processQueryKey")
    if reply.status != 200 or not isinstance(query_key, str) or not query_key:
        raise no_answer(reply)


def _number(value: object) -> int | None:
    """An `errcode`, which is a number in practice and a string in the official sample."""
    text = plain(value)
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


PLATFORM = Platform(name="dingtalk", say=say, buttons=buttons)

"""WeCom: what the self-built app and the smart robot need, and documents said through them.

The robot answers each message once, at the message's own address, in groups as well
(https://developer.work.weixin.qq.com/document/path/101138). The app writes to one person
(https://developer.work.weixin.qq.com/document/path/90236), and stands in where the robot cannot speak any more.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from bot.channels.contract import Receipt
from bot.channels.fit import cleaned, fitted
from bot.http import HttpReply, Unreachable
from bot.markup import wecom_v2
from bot.markup.wecom_parts import messages
from bot.platforms.contract import Place, Platform, Speaker
from bot.platforms.wecom_crypto import Envelope, aes_key
from bot.platforms.wecom_people import user_of
from bot.platforms.wecom_refusals import (
    NAME,
    NOBODY,
    NOT_CONFIGURED,
    NOT_REPEATED,
    UNLICENSED,
    WORN_TOKENS,
    code_in,
    refusal,
)
from bot.platforms.wecom_robot import response_url
from bot.platforms.wecom_token import AppTokens
from bot.refusals import unreachable
from bot.settings import Settings
from handlers.budgets import Throttle
from handlers.document import Document, localize
from handlers.errors import DeliveryError
from handlers.texts import Language

SEND_URL = "https://qyapi.weixin.qq.com/cgi-bin/message/send"

APP_MAX_BYTES = 2048
APP_MAX_PARTS = 6

ROBOT_MAX_BYTES = 20_480
RESPONSE_MARGIN = timedelta(seconds=30)
"""An address for the answer that ends this soon is not used any more."""


class Remembered:
    """The last few thousand things that were done: addresses used up, parts of an answer already said.

    Only as long as the process runs. Forgetting is safe: WeCom refuses an address that was used, and a part is repeated.
    """

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    def count(self, key: str) -> int:
        with self._lock:
            return self._counts.get(_digest(key), 0)

    def set(self, key: str, count: int) -> None:
        with self._lock:
            self._counts[_digest(key)] = count
            self._counts.move_to_end(_digest(key))
            while len(self._counts) > self._most:
                self._counts.popitem(last=False)


def _digest(key: str) -> bytes:
    """Addresses are secrets: not even here they are kept."""
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True)
class WeComApp:
    """The self-built app, as one that speaks."""

    agent_id: int
    tokens: AppTokens


@dataclass(frozen=True, slots=True)
class WeComCredentials:
    """What speaks. Without an app there are only the robot's answers, one for each message."""

    corp_id: str
    app: WeComApp | None
    used: Remembered = field(default_factory=Remembered, repr=False)


def credentials(settings: Settings) -> WeComCredentials | None:
    """What is configured to speak; None where neither app nor robot is."""
    app: WeComApp | None = None
    if settings.wecom_corp_id and settings.wecom_secret and settings.wecom_agent_id.isdecimal():
        app = WeComApp(int(settings.wecom_agent_id), AppTokens(settings.wecom_corp_id, settings.wecom_secret))
    if not settings.wecom_corp_id or not (app or settings.wecom_token or settings.wecom_bot_token):
        return None
    return WeComCredentials(settings.wecom_corp_id, app)


def private(ours: WeComCredentials | None) -> frozenset[str]:
    """The platform's name when it can say something to one person alone: only the app can."""
    return frozenset({"wecom"}) if ours is not None and ours.app is not None else frozenset()


def app_envelope(settings: Settings) -> Envelope | None:
    """How the app's callbacks are sealed; None where that is not configured."""
    if not (settings.wecom_corp_id and settings.wecom_token and settings.wecom_aes_key):
        return None
    return Envelope(settings.wecom_token, aes_key(settings.wecom_aes_key), settings.wecom_corp_id)


def robot_envelope(settings: Settings) -> Envelope | None:
    """How the smart robot's callbacks are sealed: for nobody in particular. None where that is not configured."""
    if not (settings.wecom_corp_id and settings.wecom_bot_token and settings.wecom_bot_aes_key):
        return None
    return Envelope(settings.wecom_bot_token, aes_key(settings.wecom_bot_aes_key), "")


def say(document: Document, language: Language, place: Place, speaker: Speaker) -> Receipt:
    """Posts the document as the robot where an answer is still open, else to the person through the app.

    An address that WeCom refuses for good was used or is over: the app takes its place within this call.
    """
    ours = speaker.credentials
    if not isinstance(ours, WeComCredentials):
        raise NOT_CONFIGURED.error()
    local = localize(document, language)
    failure = (NOT_REPEATED if place.reply_url else NOT_CONFIGURED).error()
    url = response_url(place.reply_url) if place.conversation else ""
    lasts = place.reply_until is None or place.reply_until - RESPONSE_MARGIN > speaker.now
    if url and lasts and not ours.used.count(url):
        try:
            return _answer(local, language, url, ours.used, speaker)
        except DeliveryError as error:
            if not error.permanent:
                raise
            # How WeCom refuses a second use is not documented; what the table does not know is taken for it.
            failure = failure if error.reason in ("refused", "form") else error
    if ours.app is None:
        raise failure
    corp_and_user = place.person.removeprefix("wecom:")
    user_id = user_of(place.person) if corp_and_user.startswith(f"{ours.corp_id}/") else ""
    if not user_id:
        raise NOBODY.error()
    return _write(local, user_id, ours.app, ours.used, speaker)


def _answer(document: Document, language: Language, url: str, used: Remembered, speaker: Speaker) -> Receipt:
    """Says it as the robot, where the message came from. The address works once."""
    fit = fitted(document, language, ROBOT_MAX_BYTES, lambda one: len(wecom_v2.markdown(one).encode()))
    message = {"msgtype": "markdown", "markdown": {"content": wecom_v2.markdown(fit)}}
    reply = _posted(url, message, speaker)
    failure = refusal(reply)
    if failure is not None:
        raise failure
    used.set(url, 1)
    return Receipt()


def _write(document: Document, user_id: str, app: WeComApp, used: Remembered, speaker: Speaker) -> Receipt:
    """Writes to one person as the app, in as many messages as it takes; another try goes on where the last one ended."""
    receipt = Receipt()
    parts = messages(cleaned(document), APP_MAX_BYTES, APP_MAX_PARTS)
    done = f"parts of {speaker.key}"
    for number, content in enumerate(parts, 1):
        if speaker.key and used.count(done) >= number:
            continue
        message = {
            "touser": user_id,
            "msgtype": "markdown",
            "agentid": app.agent_id,
            "markdown": {"content": content},
            # With 1, words such as $userName=...$ in anybody's text would be filled in by WeCom.
            "enable_id_trans": 0,
            # With 1, the same answer to the same question would silently not arrive the second time.
            "enable_duplicate_check": 0,
        }
        receipt = _receipt(_sent(message, app, speaker))
        used.set(done, number)
    return receipt


def _sent(message: Mapping[str, object], app: WeComApp, speaker: Speaker) -> HttpReply:
    """WeCom's answer; a worn token is renewed once, and the second answer counts whatever it is."""
    token = app.tokens.get(speaker.http)
    reply = _posted(SEND_URL, message, speaker, token)
    if code_in(reply) not in WORN_TOKENS:
        return reply
    app.tokens.drop(token)
    fresh = app.tokens.get(speaker.http)
    reply = _posted(SEND_URL, message, speaker, fresh)
    if code_in(reply) in WORN_TOKENS:
        app.tokens.drop(fresh)
    return reply


def _posted(url: str, message: Mapping[str, object], speaker: Speaker, token: str = "") -> HttpReply:
    try:
        return speaker.http.post(url, json=message, params={"access_token": token} if token else None)
    except Unreachable as error:
        raise unreachable(NAME, error) from None


def _receipt(reply: HttpReply) -> Receipt:
    """WeCom's id of the message. Its code is 0 also when nobody was written to."""
    failure = refusal(reply)
    if failure is not None:
        raise failure
    body = reply.json()
    if body.get("invaliduser") or body.get("invalidparty") or body.get("invalidtag"):
        raise NOBODY.error()
    if body.get("unlicenseduser"):
        raise UNLICENSED.error()
    return Receipt(str(body.get("msgid") or "")[:128])


# A member gets at most 30 messages a minute from the app; what is beyond is dropped without a word. Some answers take
# more than one message.
PLATFORM = Platform(name="wecom", say=say, budgets=(Throttle(28, 61.0),))

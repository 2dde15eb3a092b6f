"""WeCom: what the self-built app and the smart robot need, and documents said through them.

The robot answers each message once, at the message's own address, in groups as well
(https://developer.work.weixin.qq.com/document/path/101138). The app writes to one person
(https://developer.work.weixin.qq.com/document/path/90236), and stands in where the robot cannot speak any more.

Here only the app shows buttons, on a card; the robot does in its responses (see `wecom_reply`). A card can be changed with
the code that came with it, or with each press of it: each works once, for three days
(https://developer.work.weixin.qq.com/document/path/94888). So a message is called `<task id> <response code>` here.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from bot.channels.contract import Receipt
from bot.channels.fit import cleaned, fitted
from bot.http import HttpReply, Unreachable
from bot.markup import wecom_card, wecom_v2
from bot.markup.wecom_parts import messages
from bot.platforms.contract import Place, Platform, Speaker
from bot.platforms.wecom_app import handle_of
from bot.platforms.wecom_crypto import Envelope, aes_key
from bot.platforms.wecom_people import owner_of, user_of
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
UPDATE_URL = "https://qyapi.weixin.qq.com/cgi-bin/message/update_template_card"

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
    """The self-built app, as one that speaks. `hears`: its callbacks reach us, without which it may send no buttons."""

    agent_id: int
    tokens: AppTokens
    hears: bool = True


@dataclass(frozen=True, slots=True)
class WeComCredentials:
    """What speaks. Without an app there are only the robot's answers, one for each message. `robot`: we hear it."""

    corp_id: str
    app: WeComApp | None
    robot: bool = True
    used: Remembered = field(default_factory=Remembered, repr=False)


def credentials(settings: Settings) -> WeComCredentials | None:
    """What is configured to speak; None where neither app nor robot is."""
    app: WeComApp | None = None
    if settings.wecom_corp_id and settings.wecom_secret and settings.wecom_agent_id.isdecimal():
        tokens = AppTokens(settings.wecom_corp_id, settings.wecom_secret)
        app = WeComApp(int(settings.wecom_agent_id), tokens, app_envelope(settings) is not None)
    if not settings.wecom_corp_id or not (app or settings.wecom_token or settings.wecom_bot_token):
        return None
    return WeComCredentials(settings.wecom_corp_id, app, robot_envelope(settings) is not None)


def private(ours: object) -> frozenset[str]:
    """The platform's name when it can say something to one person alone: only the app can."""
    return frozenset({"wecom"}) if isinstance(ours, WeComCredentials) and ours.app is not None else frozenset()


def buttons(ours: object) -> Literal["press", ""]:
    """Whether WeCom tells us who pressed a button."""
    heard = isinstance(ours, WeComCredentials) and (ours.robot or (ours.app is not None and ours.app.hears))
    return "press" if heard else ""


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
    person = owner_of(place.conversation) or place.person  # the card of an alert changes with what somebody else does
    user_id = user_of(person) if person.removeprefix("wecom:").startswith(f"{ours.corp_id}/") else ""
    if not user_id:
        raise NOBODY.error()
    voice = _Voice(ours.app, ours.used, user_id, language, speaker)
    code = place.replaces.partition(" ")[2]
    receipt = voice.change(local, code) if code else voice.write(local)
    # What stands in for the robot is not where the conversation is, so nothing there follows it.
    return receipt if _app_chat(place) else Receipt()


def _app_chat(place: Place) -> bool:
    return not place.conversation or "/app/" in place.conversation


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


@dataclass(frozen=True, slots=True)
class _Voice:
    """The app, writing to one person in as many messages as it takes; another try goes on where the last one ended."""

    app: WeComApp
    used: Remembered
    user_id: str
    language: Language
    speaker: Speaker

    def write(self, document: Document) -> Receipt:
        """The words, and a card with the buttons; where the card has room for all words, the card alone.

        A card that WeCom does not take is left out: the words say what can be typed instead.
        """
        neat = cleaned(document)
        if not (self.app.hears and wecom_card.pressable(neat)):
            return self._words(neat)
        task_id = self.speaker.key
        if wecom_card.whole(neat, wecom_card.APP):
            card = wecom_card.summary(neat, wecom_card.APP, self.language, task_id)
            return self._card(card) or self._words(neat)
        self._words(neat)
        return self._card(wecom_card.labelled(neat, wecom_card.APP, task_id)) or Receipt()

    def change(self, document: Document, code: str) -> Receipt:
        """Changes the card that the code belongs to, and adds the words where it has no room for them.

        Where it cannot be changed any more, the document is a new message, and that one is changed from then on.
        """
        neat, state = cleaned(document), f"code {code}"
        done = f"change of {self.speaker.key}"
        if self.used.count(state) == _MOVED and not self.used.count(done):
            return Receipt()
        if not self.used.count(state):
            card = wecom_card.summary(neat, wecom_card.APP, self.language)
            if not wecom_card.pressable(neat):
                card["replace_text"] = card["button_list"][0]["text"]  # greys the button that does nothing
            change = {
                "userids": [self.user_id],
                "agentid": self.app.agent_id,
                "response_code": code,
                "template_card": card,
            }
            reply = _sent(UPDATE_URL, change, self.app, self.speaker)
            failure = refusal(reply)
            if failure is not None and not failure.permanent:
                raise failure
            if failure is None and not reply.json().get("invaliduser"):
                self.used.set(done, 1)
            self.used.set(state, _USED)
        if not self.used.count(done):
            receipt = self.write(document)
            self.used.set(state, _MOVED)
            return receipt
        # The card of an alert is a summary wherever it stands; `alert #42` tells the rest.
        if neat.number is None and not wecom_card.whole(neat, wecom_card.APP):
            self._words(neat)
        return Receipt()

    def _words(self, document: Document) -> Receipt:
        """No reference: what is said in words cannot be changed."""
        done = f"parts of {self.speaker.key}"
        for number, content in enumerate(messages(document, APP_MAX_BYTES, APP_MAX_PARTS), 1):
            if self.speaker.key and self.used.count(done) >= number:
                continue
            _check(self._send({"msgtype": "markdown", "markdown": {"content": content}}))
            self.used.set(done, number)
        return Receipt()

    def _card(self, card: Mapping[str, object]) -> Receipt | None:
        """None where WeCom does not take the card."""
        reply = self._send({"msgtype": "template_card", "template_card": card})
        failure = refusal(reply)
        if failure is not None and failure.reason in ("refused", "form", "too_long"):
            return None
        _check(reply)
        return Receipt(handle_of(str(card["task_id"]), str(reply.json().get("response_code") or "")))

    def _send(self, message: Mapping[str, object]) -> HttpReply:
        whole = {
            "touser": self.user_id,
            "agentid": self.app.agent_id,
            **message,
            # With 1, words such as $userName=...$ in anybody's text would be filled in by WeCom.
            "enable_id_trans": 0,
            # With 1, the same answer to the same question would silently not arrive the second time.
            "enable_duplicate_check": 0,
        }
        return _sent(SEND_URL, whole, self.app, self.speaker)


_USED, _MOVED = 1, 2
"""What became of a code: a card was changed with it (or could not be), and then a new message took its place."""


def _sent(url: str, message: Mapping[str, object], app: WeComApp, speaker: Speaker) -> HttpReply:
    """WeCom's answer; a worn token is renewed once, and the second answer counts whatever it is."""
    token = app.tokens.get(speaker.http)
    reply = _posted(url, message, speaker, token)
    if code_in(reply) not in WORN_TOKENS:
        return reply
    app.tokens.drop(token)
    fresh = app.tokens.get(speaker.http)
    reply = _posted(url, message, speaker, fresh)
    if code_in(reply) in WORN_TOKENS:
        app.tokens.drop(fresh)
    return reply


def _posted(url: str, message: Mapping[str, object], speaker: Speaker, token: str = "") -> HttpReply:
    try:
        return speaker.http.post(url, json=message, params={"access_token": token} if token else None)
    except Unreachable as error:
        raise unreachable(NAME, error) from None


def _check(reply: HttpReply) -> None:
    """Raises DeliveryError unless the message was taken. WeCom's code is 0 also when nobody was written to."""
    failure = refusal(reply)
    if failure is not None:
        raise failure
    body = reply.json()
    if body.get("invaliduser") or body.get("invalidparty") or body.get("invalidtag"):
        raise NOBODY.error()
    if body.get("unlicenseduser"):
        raise UNLICENSED.error()


# A member gets at most 30 messages a minute from the app; what is beyond is dropped without a word. Some answers take
# more than one message.
PLATFORM = Platform(name="wecom", say=say, budgets=(Throttle(28, 61.0),), once=True, buttons=buttons)

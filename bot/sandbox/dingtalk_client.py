"""DingTalk: a person's client, that types and presses and passes it on to the bot.

Pages: https://open.dingtalk.com/document/development/receive-message, …/development/event-callback-card.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import requests

from bot.sandbox.client import Client
from bot.sandbox.dingtalk_cards import CARD_DEADLINE_S, Card, change_card, controls
from bot.sandbox.dingtalk_messages import Bad, message_texts
from bot.sandbox.dingtalk_robots import robot_sign
from bot.sandbox.directory import App, Person
from bot.sandbox.world import Event, World


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of something typed.

    delivered   the platform passed it on to the bot (not: it answered well)
    status      HTTP status of the service's answer, 0 when nothing was passed on or it went through the stream
    answer      body of that answer
    body        the callback's body
    """

    delivered: bool
    status: int
    answer: bytes
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def message_id(self) -> str:
        return str(self.body.get("msgId", ""))


class DingTalkClient(Client):
    """Types on behalf of people and passes it on to the bot, as DingTalk does.

    service_url  where our service listens; callbacks go to `<service_url>/dingtalk/messages`
    app          credentials; its secret signs the callbacks
    push         passes the body through the Stream gateway instead of HTTP, returning whether a client took it
    push_card    passes the callback of a card on in the same way, and gives what the client answered, None for nothing
    """

    platform = "dingtalk"

    def __init__(
        self,
        world: World,
        service_url: str,
        app: App,
        *,
        push: Callable[[dict[str, Any]], bool] | None = None,
        push_card: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        super().__init__(world, service_url)
        self.app = app
        self.push = push
        self.push_card = push_card

    def type(
        self,
        person_id: str,
        text: str,
        *,
        group: str = "",
        mention: bool = True,
        others: tuple[str, ...] = (),
        message_id: str = "",
        shape: Literal["text", "content", "richText", "errorCode", "picture"] = "text",
        staff_id: bool = True,
        number_type: bool = False,
        session: bool = True,
        skew_ms: int = 0,
        sign: str | None = None,
        secret: str | None = None,
        header_case: Literal["lower", "title", "upper"] = "lower",
    ) -> Posted:
        """A person says `text` in that group (`group` "": one-to-one) and the platform passes it on.

        mention      the bot is mentioned; in a group nothing else is passed on
        others       staff ids of other people mentioned
        message_id   say the same message again instead of a new one
        shape        `content`: text at the top level; `richText`: text and a picture; `errorCode`: over quota, no text
        staff_id     False: the platform does not say who it is (outsider, app not published)
        number_type  conversationType as a number
        session      False: without a sessionWebhook
        skew_ms      the signature's time, off by so much
        sign, secret a forged signature; a wrong secret to sign with
        """
        person = self._person(person_id)
        place = self._place(person, group)
        self.world.happen("typed", "dingtalk", place, text, person=person_id)
        if group and (not mention or not self._group(group).bot):
            return Posted(False, 0, b"")
        body = self._body(person, group, text, others, message_id, shape)
        if not staff_id:
            body.pop("senderStaffId", None)
        if number_type:
            body["conversationType"] = int(body["conversationType"])
        if not session:
            body.pop("sessionWebhook", None)
            body.pop("sessionWebhookExpiredTime", None)
        return self.post(body, skew_ms=skew_ms, sign=sign, secret=secret, header_case=header_case)

    def press(
        self,
        person_id: str,
        event: Event,
        token: str,
        values: Mapping[str, str] | None = None,
        *,
        shape: Literal["content", "value"] = "content",
        sign: str | None = None,
        secret: str | None = None,
        stamp: str = "",
    ) -> Posted:
        """A person presses the button with that token on the card as it was shown by that event.

        shape        `value`: the callback as another official page has it
        sign, secret a forged signature; a wrong secret to sign with
        stamp        the signature's timestamp; press with the same one again for a delivery that is repeated
        """
        found = next((at for at, one in enumerate(controls(event.body), 1) if one["token"] == token), 0)
        person = self.world.person("dingtalk", person_id)
        card = self.world.recall(f"dingtalk:card:{event.ref}")
        if not found or not token or person is None or card is None:
            raise LookupError("no such button on this card, or nobody to press it")
        if values:
            raise LookupError("cards of this template have no fields")
        params = {"token": token}
        inner: dict[str, Any] = {"cardPrivateData": {"actionIds": [str(found)], "params": params}}
        if shape == "value":
            inner = {"cardPrivateData": {"actionIds": [str(found)]}, "params": params}
        body = {
            "type": "actionCallback",
            "outTrackId": card.track,
            "corpId": person.corp,
            "userId": person.id,
            shape: json.dumps(inner, ensure_ascii=False),
        }
        if card.callback == "HTTP":
            return self.post_card(body, card, sign=sign, secret=secret, stamp=stamp)
        if card.callback != "STREAM" or self.push_card is None:
            return Posted(False, 0, b"", body)
        self._show(card, self.push_card(body))
        return Posted(True, 0, b"", body)

    def post_card(
        self,
        body: dict[str, Any],
        card: Card,
        *,
        sign: str | None = None,
        secret: str | None = None,
        stamp: str = "",
    ) -> Posted:
        """Post any body of a card's callback, signed or forged as asked; what is answered changes the card."""
        url, api_secret = self.world.recall(f"dingtalk:route:{card.app}:{card.route}")
        # The unit is not documented; real ones differ, as no two presses come at the same moment.
        stamp = stamp or f"{round(self.world.now() * 1000)}{self.world.last % 1000:03d}"
        key = api_secret if secret is None else secret
        right = base64.b64encode(hmac.new(key.encode(), stamp.encode(), hashlib.sha256).digest()).decode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "x-ddpaas-signature-timestamp": stamp,
            "x-ddpaas-signature": right if sign is None else sign,
        }
        try:
            answer = self._post(urlsplit(url).path, _json(body), headers, timeout_s=CARD_DEADLINE_S)
        except requests.Timeout:
            self.world.happen("refused", "dingtalk", card.place, body, person=card.person, note="timeout")
            return Posted(True, 0, b"", body)
        if answer.status_code == 200:
            try:
                shown = answer.json()
            except ValueError:
                shown = None
            self._show(card, shown)
        return Posted(True, answer.status_code, answer.content, body)

    def _show(self, card: Card, answer: Any) -> None:
        """Changes the card as the answer to its callback says; one that says nothing leaves it as it is."""
        if answer == {}:
            return
        with self.world.lock:
            now = self.world.recall(f"dingtalk:card:{card.track}")
            if not isinstance(answer, dict) or not answer.get("cardData") or not change_card(self.world, now, answer):
                self.world.happen("refused", "dingtalk", card.place, answer, person=card.person, note="callback")

    def again(self, posted: Posted) -> Posted:
        """The platform delivers the same message once more: same body, same msgId, fresh signature."""
        return self.post(posted.body)

    def post(
        self,
        body: dict[str, Any],
        *,
        skew_ms: int = 0,
        sign: str | None = None,
        secret: str | None = None,
        header_case: Literal["lower", "title", "upper"] = "lower",
    ) -> Posted:
        """Pass any callback body on, signed or forged as asked; a message in the answer is said in the conversation."""
        if self.push is not None:
            return Posted(self.push(body), 0, b"", body)
        stamp = str(round(self.world.now() * 1000) + skew_ms)
        right = robot_sign(self.app.client_secret if secret is None else secret, stamp)
        signed = {"timestamp": stamp, "sign": right if sign is None else sign}
        cased = {getattr(name, header_case)(): value for name, value in signed.items()}
        headers = {"Content-Type": "application/json; charset=utf-8", **cased}
        answer = self._post("/dingtalk/messages", _json(body), headers)
        if answer.status_code == 200:
            self._take_reply(answer.content, str(body.get("conversationId", "")), str(body.get("senderStaffId", "")))
        return Posted(True, answer.status_code, answer.content, body)

    def _body(
        self, person: Person, group: str, text: str, others: tuple[str, ...], message_id: str, shape: str
    ) -> dict[str, Any]:
        at_ms = round(self.world.now() * 1000)
        conversation = self._place(person, group)
        word, until = self.world.open_session(conversation, person.id)
        bot = "$:LWCP_v1:$encBot"
        body: dict[str, Any] = {
            "msgId": message_id or self.world.new_id("msg") + "==",
            "createAt": at_ms,
            "conversationType": "2" if group else "1",
            "conversationId": conversation,
            "senderId": f"$:LWCP_v1:$enc{person.id}",
            "senderNick": person.name,
            "senderStaffId": person.id,
            "senderCorpId": person.corp,
            "senderPlatform": "Mac",
            "isAdmin": False,
            "chatbotCorpId": self.app.corp or person.corp,
            "chatbotUserId": bot,
            "robotCode": self.app.client_id,
            "openThreadId": conversation,
            "sessionWebhook": f"https://oapi.dingtalk.com/robot/sendBySession?session={word}",
            "sessionWebhookExpiredTime": round(until * 1000),
        }
        said = text
        if group:
            body |= {"conversationTitle": self._group(group).title, "isInAtList": True}
            body["atUsers"] = [{"dingtalkId": bot}] + [
                {"dingtalkId": f"$:LWCP_v1:$enc{other}", "staffId": other} for other in others
            ]
            said = f" {text}"  # the bot's mention is taken out, the blank after it stays
        if shape == "errorCode":
            return body | {"errorCode": 20001, "errorMessage": "webhook over limit"}
        if shape == "richText":
            parts = [{"text": said}, {"type": "picture", "downloadCode": "dl0001"}]
            return body | {"msgtype": "richText", "content": {"richText": parts}}
        if shape == "picture":
            return body | {"msgtype": "picture", "content": {"downloadCode": "dl0001"}}
        if shape == "content":
            return body | {"msgtype": "text", "content": said}
        return body | {"msgtype": "text", "text": {"content": said}}

    def _take_reply(self, content: bytes, conversation: str, person: str) -> None:
        try:
            reply = json.loads(content)
        except ValueError:
            return
        if not isinstance(reply, dict) or "msgtype" not in reply or reply["msgtype"] == "empty":
            return
        try:
            message_texts(reply)
        except Bad as bad:
            self.world.happen("refused", "dingtalk", conversation, reply, note=str(bad.code))
            return
        self.world.happen("say", "dingtalk", conversation, reply, person=person)


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")

"""WeCom: a person's client, that types to the app and the robot, presses buttons, and passes it on sealed.

Pages: https://developer.work.weixin.qq.com/document/path/90968 (envelope), …/90239, …/90240, …/100719 and …/101027
(messages and events), …/101031 (the robot's answers in responses).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from bot.sandbox.client import Client
from bot.sandbox.wecom import Bad
from bot.sandbox.wecom_app import ROBOT_MAX_BYTES, new_code, robot_chat
from bot.sandbox.wecom_cards import check_card, controls
from bot.sandbox.world import Event, World

RESPONSE_TTL_S = 3600.0


@dataclass(frozen=True, slots=True)
class Keys:
    """What the console shows for one callback address: Token and EncodingAESKey; `receiver` "" for the robot."""

    token: str = field(repr=False)
    aes_key: str = field(repr=False)
    receiver: str = ""

    def encrypted(self, message: str, *, random16: bytes = b"") -> str:
        """The message in a frame for the receiver, encrypted."""
        key, text = base64.b64decode(self.aes_key + "="), message.encode()
        head = (random16 or secrets.token_bytes(16)) + len(text).to_bytes(4, "big")
        padder = PKCS7(256).padder()
        padded = padder.update(head + text + self.receiver.encode()) + padder.finalize()
        cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        return base64.b64encode(cipher.update(padded) + cipher.finalize()).decode()

    def opened(self, encrypted: str) -> str:
        """The message in such a frame; ValueError when it is for another receiver, or no frame at all."""
        key, sealed = base64.b64decode(self.aes_key + "="), base64.b64decode(encrypted, validate=True)
        cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        unpadder = PKCS7(256).unpadder()
        frame = unpadder.update(cipher.update(sealed) + cipher.finalize()) + unpadder.finalize()
        end = 20 + int.from_bytes(frame[16:20], "big")
        if len(frame) < end or frame[end:].decode() != self.receiver:
            raise ValueError("not for this receiver")
        return frame[20:end].decode()

    def signature(self, timestamp: str, nonce: str, encrypted: str) -> str:
        """`msg_signature` of a request with these parts."""
        joined = "".join(sorted((self.token, timestamp, nonce, encrypted)))
        return hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of something typed or pressed: the request as it was sent, and the service's answer. Status 0: not
    passed on. `reply` is what the answer says, opened, where it says something."""

    status: int
    answer: bytes = b""
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    sent: bytes = b""
    message: str = ""
    content_type: str = ""
    reply: Mapping[str, Any] = field(default_factory=dict)


Way = Literal["app", "bot"]

_STREAMS = ("stream", "stream_with_template_card")
_TAKEN = {
    "message": (*_STREAMS, "template_card"),
    "stream": _STREAMS,
    "enter_chat": ("text", "template_card"),
    "template_card_event": ("update_template_card",),
}
"""What the robot may answer in the response, by the kind of callback; other callbacks take no answer."""


def take_response(world: World, keys: Keys, via: Way, callback: Mapping[str, Any], posted: Posted) -> dict[str, Any]:
    """What the response to a callback says; shown in the world, or "refused" there."""
    sender = callback.get("from", {}).get("userid", "")
    person = world.person("wecom", sender)
    place = callback.get("chatid") or (robot_chat(person) if person else "")
    answer: dict[str, Any] = {}
    with world.lock:
        try:
            if via == "app":
                raise Bad(40008, "this stand-in takes no answer of an app in the response")
            answer = _opened_response(keys, posted)
            _show_response(world, callback, answer, place, sender)
        except Bad as bad:
            world.happen("refused", "wecom", place, answer, person=sender, note=f"response {bad.code} {bad.text}")
    return answer


def _opened_response(keys: Keys, posted: Posted) -> dict[str, Any]:
    """https://developer.work.weixin.qq.com/document/path/101033"""
    if not posted.content_type.startswith("text/plain"):
        raise Bad(40008, "the content type is not text/plain")
    try:
        outer = json.loads(posted.answer)
        encrypted, sign, stamp, nonce = (outer[name] for name in ("encrypt", "msgsignature", "timestamp", "nonce"))
        right = keys.signature(str(stamp), nonce, encrypted)
        if set(outer) != {"encrypt", "msgsignature", "timestamp", "nonce"} or sign != right:
            raise Bad(40058, "msgsignature")
        if nonce != posted.query["nonce"] or not str(stamp).isdecimal():
            raise Bad(40058, "nonce or timestamp")
        answer = json.loads(keys.opened(encrypted))
    except (ValueError, TypeError, KeyError) as error:
        raise Bad(40058, "not an answer") from error
    if not isinstance(answer, dict):
        raise Bad(40058, "not an object")
    return answer


def _show_response(world: World, callback: Mapping[str, Any], answer: dict[str, Any], place: str, sender: str) -> None:
    """https://developer.work.weixin.qq.com/document/path/101031"""
    kind = callback.get("msgtype", "")
    kind = callback["event"]["eventtype"] if kind == "event" else "stream" if kind == "stream" else "message"
    said = answer.get("response_type") if kind == "template_card_event" else answer.get("msgtype")
    if said not in _TAKEN.get(kind, ()):
        raise Bad(40008)
    card, ref = answer.get("template_card"), world.new_id("RESPONSE")
    if said == "update_template_card":
        _show_change(world, callback["event"]["template_card_event"]["task_id"], answer, place)
        return
    if said == "text":
        content = answer["text"].get("content") if isinstance(answer.get("text"), dict) else None
        if not isinstance(content, str) or not content:
            raise Bad(44004)
    if said in _STREAMS:
        stream = answer.get("stream")
        if not isinstance(stream, dict) or not isinstance(stream.get("id"), str) or not stream["id"]:
            raise Bad(40058, "stream.id missing")
        content = stream.get("content")
        if not isinstance(stream.get("finish", False), bool) or not isinstance(content, str):
            raise Bad(40058, "stream.content should be a string")
        if len(content.encode("utf-8", "surrogatepass")) > ROBOT_MAX_BYTES:
            raise Bad(40058, "stream.content exceed max length")
        if stream.get("finish") and not content.strip():
            raise Bad(44004)
    if said in ("template_card", "stream_with_template_card"):
        check_card(card, "robot")
        ref = (card or {}).get("task_id", ref)
        if world.recall(f"wecom:task:robot:{ref}"):
            raise Bad(40058, "template_card.task_id repeated")
        world.remember(f"wecom:task:robot:{ref}", True)
        world.remember(f"wecom:card:{place}:{ref}", answer)
    if kind != "stream":
        world.happen("say", "wecom", place, answer, person=sender, ref=ref)


def _show_change(world: World, task_id: str, answer: Mapping[str, Any], place: str) -> None:
    """The card in that conversation as it is from now on, for everybody who has it or for some of them."""
    card, people = answer.get("template_card"), answer.get("userids", [])
    check_card(card, "robot", change=True)
    old = world.recall(f"wecom:card:{place}:{task_id}")
    if not isinstance(card, dict) or card.get("task_id") != task_id or old is None:
        raise Bad(40058, "template_card.task_id is not that of the event")
    if not isinstance(people, list) or not all(isinstance(one, str) for one in people):
        raise Bad(40058, "userids should be an array")
    body = {**old, "template_card": card}
    if not people:
        world.remember(f"wecom:card:{place}:{task_id}", body)
    for one in people or [""]:
        world.happen("update", "wecom", place, body, person=one, ref=task_id)


class WeComClient(Client):
    """Types and presses on behalf of people and passes it on, as WeCom does: encrypted and signed. What the robot answers
    in the response is shown; an answer that WeCom would not take is "refused".

    service_url  where our service listens; callbacks go to `/wecom/app` and `/wecom/bot` there
    app, bot     what the two callback addresses are configured with
    robot_name   how people mention the robot
    """

    platform = "wecom"

    def __init__(
        self,
        world: World,
        service_url: str,
        corp: str,
        agent_id: str,
        app: Keys,
        bot: Keys,
        *,
        robot_name: str = "值班机器人",
    ) -> None:
        super().__init__(world, service_url)
        self.corp = corp
        self.agent_id = agent_id
        self.keys: dict[Way, Keys] = {"app": app, "bot": bot}
        self.robot_name = robot_name

    def type(
        self,
        person_id: str,
        text: str,
        *,
        via: Way = "app",
        group: str = "",
        mention: str | None = None,
        message_id: str = "",
        response_url: bool = True,
        **how: Any,
    ) -> Posted:
        """A person says `text`: to the app (one-to-one), or to the robot, in a group or one-to-one.

        mention       the text as it is sent, mention included; without it the robot's name is put before the text
        message_id    say the same message again instead of a new one
        response_url  False: the callback has no address for the answer
        how           as in `post`
        """
        person = self._person(person_id)
        number = message_id or self.world.new_id("7" if via == "app" else "CAIQ")
        if via == "app":
            self.world.happen("typed", "wecom", person.chat, text, person=person_id)
            return self.post("app", self.app_text(person_id, text, number), **how)
        place = group or robot_chat(person)
        said = (mention or f"@{self.robot_name} {text}") if group else text
        self.world.happen("typed", "wecom", place, said, person=person_id)
        return self.post("bot", self.robot_text(person_id, said, number, group, place, response_url), **how)

    def press(
        self, person_id: str, event: Event, token: str, values: Mapping[str, str] | None = None, **how: Any
    ) -> Posted:
        """A person presses the button with that token on that message; `how` as in `post`.

        LookupError when the message has no such button, or the person does not see it. WeCom has no forms.
        """
        person = self._person(person_id)
        if values:
            raise LookupError("a card on wecom has no fields")
        if all(control["token"] != token for control in controls(event.body)):
            raise LookupError("there is no such button")
        card = event.body["template_card"]
        if event.place == person.chat:
            return self.post("app", self.app_click(person_id, card, token), **how)
        group = self.world.group("wecom", event.place)
        if event.place != robot_chat(person) and (group is None or person_id not in group.members):
            raise LookupError(f"{person_id!r} does not see this message")
        return self.post("bot", self.robot_click(person_id, card, token, event.place, group is not None), **how)

    def app_click(self, person_id: str, card: Mapping[str, Any], token: str) -> str:
        """A button of a card of the app as decrypted XML."""
        code = new_code(self.world, self.agent_id, card["task_id"])
        return (
            f"<xml><ToUserName><![CDATA[{self.corp}]]></ToUserName>"
            f"<FromUserName><![CDATA[{person_id}]]></FromUserName><CreateTime>{int(self.world.now())}</CreateTime>"
            "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[template_card_event]]></Event>"
            f"<EventKey><![CDATA[{token}]]></EventKey><TaskId><![CDATA[{card['task_id']}]]></TaskId>"
            f"<CardType><![CDATA[{card['card_type']}]]></CardType><ResponseCode><![CDATA[{code}]]></ResponseCode>"
            f"<AgentID>{self.agent_id}</AgentID></xml>"
        )

    def robot_click(
        self, person_id: str, card: Mapping[str, Any], token: str, place: str, in_group: bool
    ) -> dict[str, Any]:
        """A button of a card of the robot as decrypted JSON."""
        click = {"card_type": card["card_type"], "event_key": token, "task_id": card["task_id"]}
        return self._robot(person_id, self.world.new_id("CAIQ"), place if in_group else "", place, True) | {
            "create_time": int(self.world.now()),
            "msgtype": "event",
            "event": {"eventtype": "template_card_event", "template_card_event": click},
        }

    def enter(self, person_id: str) -> Posted:
        """A person opens the conversation with the robot, for the first time today."""
        body = self._robot(person_id, self.world.new_id("CAIQ"), "", "", False)
        return self.post("bot", body | {"msgtype": "event", "event": {"eventtype": "enter_chat"}})

    def app_text(self, person_id: str, text: str, message_id: str) -> str:
        """A text message to the app as decrypted XML."""
        return (
            f"<xml><ToUserName><![CDATA[{self.corp}]]></ToUserName>"
            f"<FromUserName><![CDATA[{person_id}]]></FromUserName><CreateTime>{int(self.world.now())}</CreateTime>"
            f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]></Content>"
            f"<MsgId>{message_id}</MsgId><AgentID>{self.agent_id}</AgentID></xml>"
        )

    def robot_text(
        self, person_id: str, text: str, message_id: str, group: str, place: str, response_url: bool
    ) -> dict[str, Any]:
        """A text message to the robot as decrypted JSON, its address for the answer opened."""
        body = self._robot(person_id, message_id, group, place, response_url)
        return body | {"msgtype": "text", "text": {"content": text}}

    def _robot(self, person_id: str, message_id: str, group: str, place: str, response_url: bool) -> dict[str, Any]:
        """What every callback of the robot has."""
        body: dict[str, Any] = {
            "msgid": message_id,
            "aibotid": "AIBSANDBOX",
            "chattype": "group" if group else "single",
            "from": {"userid": person_id},
        }
        if group:
            body["chatid"] = group
        if response_url:
            word, _until = self.world.open_session(place, person_id, RESPONSE_TTL_S)
            body["response_url"] = f"https://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code={word}"
        return body

    def post(
        self,
        via: Way,
        message: str | Mapping[str, Any],
        *,
        skew_s: float = 0.0,
        signature: str | None = None,
        keys: Keys | None = None,
        tamper: bool = False,
    ) -> Posted:
        """Any decrypted message, sealed and posted, truly or forged as asked.

        skew_s     the time in the address, off by so much
        signature  instead of the right one
        keys       seal with others than the configured ones
        tamper     one character of the sealed message is changed after it was signed
        """
        seal = keys or self.keys[via]
        text = message if isinstance(message, str) else _json(message)
        encrypted = seal.encrypted(text)
        query = self._query(seal, encrypted, skew_s, signature)
        if tamper:
            encrypted = encrypted[:20] + ("A" if encrypted[20] != "A" else "B") + encrypted[21:]
        if via == "app":
            sent = (
                f"<xml><ToUserName><![CDATA[{escape(self.corp)}]]></ToUserName>"
                f"<AgentID><![CDATA[{self.agent_id}]]></AgentID><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
            )
        else:
            sent = _json({"encrypt": encrypted})
        posted = self.send(f"/wecom/{via}", query, sent.encode(), text)
        if posted.status != 200 or not posted.answer:
            return posted
        callback = message if isinstance(message, Mapping) else {}
        return replace(posted, reply=take_response(self.world, self.keys[via], via, callback, posted))

    def send(self, path: str, query: Mapping[str, str], sent: bytes, message: str = "") -> Posted:
        """Exactly these bytes, with the content type that WeCom's demo expects of nobody."""
        headers = {"Content-Type": "text/xml" if path.endswith("app") else "application/json"}
        answer = self._post(path, sent, headers, query=query)
        kind = answer.headers.get("Content-Type", "")
        return Posted(answer.status_code, answer.content, path, query, sent, message, kind)

    def again(self, posted: Posted, *, afresh: bool = True) -> Posted:
        """The same message delivered once more, sealed and signed afresh, or (a replay) byte for byte."""
        if not afresh:
            return self.send(posted.path, posted.query, posted.sent, posted.message)
        if posted.path.endswith("app"):
            return self.post("app", posted.message)
        return self.post("bot", json.loads(posted.message))

    def ask(self, via: Way, echo: str, *, skew_s: float = 0.0, signature: str | None = None) -> Posted:
        """What the console does when the address is saved: a sealed question that is answered with what is in it."""
        encrypted = self.keys[via].encrypted(echo)
        query = {**self._query(self.keys[via], encrypted, skew_s, signature), "echostr": encrypted}
        answer = self._http.get(f"{self.service_url}/wecom/{via}", params=query, timeout=self.timeout_s)
        return Posted(answer.status_code, answer.content, f"/wecom/{via}", query)

    def _query(self, seal: Keys, encrypted: str, skew_s: float, signature: str | None) -> dict[str, str]:
        timestamp, nonce = str(int(self.world.now() + skew_s)), str(secrets.randbelow(10**10))
        right = seal.signature(timestamp, nonce, encrypted)
        return {
            "msg_signature": right if signature is None else signature,
            "timestamp": timestamp,
            "nonce": nonce,
        }


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)

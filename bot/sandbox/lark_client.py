"""Feishu / Lark: a person's client, that types and presses and passes it on to the app.

Pages: https://open.feishu.cn/document/server-docs/event-subscription-guide/overview and
https://open.feishu.cn/document/feishu-cards/card-callback-communication. Strict where something is documented: cards
can be pressed for 14 days, a callback has to be answered within 3 s.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.sandbox.client import Client
from bot.sandbox.directory import App, Person
from bot.sandbox.lark_app import bot_open_id
from bot.sandbox.lark_press import CALLBACK_S, CHANGEABLE_S, calling_back, filled_in_of, response_of
from bot.sandbox.world import Event, World

BLOCK = 16


def callback_sign(timestamp: str, nonce: str, encrypt_key: str, raw: bytes) -> str:
    """`X-Lark-Signature` of a body as it is sent."""
    return hashlib.sha256(f"{timestamp}{nonce}{encrypt_key}".encode() + raw).hexdigest()


def encrypt(text: str, encrypt_key: str, iv: bytes = b"") -> str:
    """The member `encrypt` of a callback."""
    iv = iv or secrets.token_bytes(BLOCK)
    plain = text.encode("utf-8", "surrogatepass")
    count = BLOCK - len(plain) % BLOCK
    closer = Cipher(algorithms.AES256(hashlib.sha256(encrypt_key.encode()).digest()), modes.CBC(iv)).encryptor()
    sealed = closer.update(plain + bytes([count]) * count) + closer.finalize()
    return base64.b64encode(iv + sealed).decode()


@dataclass(frozen=True, slots=True)
class LarkPosted:
    """What became of a callback.

    delivered   the platform passed it on to the bot (not: it answered well)
    status      HTTP status of the service's answer, 0 when nothing was passed on
    answer      body of that answer
    body        the callback before it was encrypted
    raw, headers  the request itself, for a replay
    """

    delivered: bool
    status: int
    answer: bytes
    body: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def message_id(self) -> str:
        return str(self.body["event"]["message"]["message_id"])

    @property
    def toast(self) -> tuple[str, str]:
        """Kind and words of what the client shows to whoever pressed, two empty texts when it shows nothing."""
        try:
            toast = json.loads(self.answer).get("toast", {})
        except ValueError:
            return "", ""
        return toast.get("type", ""), toast.get("content", "")


Shape = Literal["text", "post", "post with language", "image"]


class LarkClient(Client):
    """Types and presses on behalf of people and passes it on to the app, as Lark does. `Person.corp` is the tenant key.

    service_url         where our service listens; callbacks go to `<service_url>/lark/events`
    encrypt_key         "": bodies are sent plain and unsigned
    verification_token  stands in every body
    """

    platform = "lark"

    def __init__(
        self,
        world: World,
        service_url: str,
        app: App,
        *,
        encrypt_key: str = "",
        verification_token: str = "",
    ) -> None:
        super().__init__(world, service_url)
        self.app = app
        self.encrypt_key = encrypt_key
        self.verification_token = verification_token

    def type(
        self,
        person_id: str,
        text: str,
        *,
        group: str = "",
        mention: bool = True,
        everything: bool = False,
        others: tuple[str, ...] = (),
        shape: Shape = "text",
        typed_mentions: bool = True,
        open_id: bool = True,
        **forgery: Any,
    ) -> LarkPosted:
        """A person says `text` in that group (`group` "": one-to-one) and the platform passes it on.

        mention         the bot is mentioned; in a group nothing else is passed on unless the app reads `everything`
        others          open ids of other people mentioned, behind the text
        typed_mentions  False: as clients of before 2025 have it, without `mentioned_type`
        open_id         False: the platform does not say who it is
        forgery         as for `post`
        """
        person = self._person(person_id)
        chat = self._place(person, group)
        self.world.happen("typed", "lark", chat, text, person=person_id)
        named = (bot_open_id(self.app),) if group and mention else ()
        if group and (not self._group(group).bot or not (mention or everything)):
            return LarkPosted(False, 0, b"")
        event = self._event(person, chat, bool(group), text, (*named, *others), shape, typed_mentions)
        if not open_id:
            event["sender"]["sender_id"] = {"union_id": f"on_{person.id}"}
        message_id = event["message"]["message_id"]
        self.world.remember(f"lark:message:{message_id}", (chat, "" if group else person.id))
        return self.post(self.envelope("im.message.receive_v1", event, person.corp), **forgery)

    def press(
        self, person_id: str, event: Event, token: str, values: Mapping[str, str] | None = None, **how: Any
    ) -> LarkPosted:
        """A person presses the button with that token in the message of `event`, or submits its form with `values`.

        values  name of a field -> what is typed, or the chosen values comma-separated; fields that are not named keep
                what stands in them. What is empty is not passed on
        how     `operator`: other members of it; all others as for `post`

        What comes back is shown: a new card as "update"; a toast as a "form" to this person with the body
        {"toast": {type, content}}; an answer that is not one, or late, as "refused".
        """
        person = self._person(person_id)
        group = self.world.group("lark", event.place)
        if person_id not in group.members if group else event.place != person.chat:
            raise LookupError(f"{person_id!r} does not see {event.place!r}")
        control = next((one for one in calling_back(event.body) if one.token == token), None)
        if control is None:
            raise LookupError("no such control in this card")
        action: dict[str, Any] = {"tag": "button", "timezone": "Asia/Shanghai", "value": control.value}
        if control.form is not None:
            action |= {"name": control.button["name"], "form_value": filled_in_of(control, values or {})}
            if any(one.get("required") and one["name"] not in action["form_value"] for one in control.fields):
                return LarkPosted(False, 0, b"")  # the client itself says that something is missing
        elif values:
            raise LookupError("this button submits no form")
        if self.world.now() - event.at > CHANGEABLE_S:
            return LarkPosted(False, 0, b"")
        operator = {"tenant_key": person.corp, "open_id": person.id, "union_id": f"on_{person.id}"}
        pressed = {
            "operator": operator | how.pop("operator", {}),
            "token": "c-" + secrets.token_hex(20),
            "action": action,
            "host": "im_message",
            "context": {"open_message_id": event.ref, "open_chat_id": event.place},
        }
        body = self.envelope("card.action.trigger", pressed, person.corp)
        body["header"]["create_time"] += "000"  # microseconds, in callbacks from cards
        began = time.monotonic()
        posted = self.post(body, **how)
        self._show(posted, event, person_id, late=time.monotonic() - began > CALLBACK_S)
        return posted

    def _show(self, posted: LarkPosted, event: Event, person_id: str, *, late: bool) -> None:
        """What the client makes of the answer to a callback."""
        shown, why = response_of(posted.status, posted.answer, self.world.recall(f"lark:sent:{event.ref}"))
        if late or why:
            note = "200341" if late else why
            answer = posted.answer.decode("utf-8", "replace")
            self.world.happen("refused", "lark", event.place, answer, person=person_id, note=note, ref=event.ref)
            return
        if "card" in shown:
            message = {"msg_type": "interactive", "content": shown["card"]["data"]}
            self.world.happen("update", "lark", event.place, message, person=event.person, ref=event.ref)
        if "toast" in shown:
            toast = {"toast": shown["toast"]}
            self.world.happen("form", "lark", event.place, toast, person=person_id, note="toast", ref=event.ref)

    def envelope(self, event_type: str, event: Mapping[str, Any], tenant: str) -> dict[str, Any]:
        """A callback of version 2.0."""
        return {
            "schema": "2.0",
            "header": {
                "event_id": secrets.token_hex(16),
                "event_type": event_type,
                "create_time": str(round(self.world.now() * 1000)),
                "token": self.verification_token,
                "app_id": self.app.client_id,
                "tenant_key": tenant,
            },
            "event": event,
        }

    def again(self, posted: LarkPosted, *, new_event: bool = False, new_message: bool = False) -> LarkPosted:
        """The platform delivers the same message once more; with `new_event` under another event id, with
        `new_message` the same event with another message in it."""
        body: dict[str, Any] = json.loads(json.dumps(posted.body))
        if new_event:
            body["header"]["event_id"] = secrets.token_hex(16)
        if new_message:
            body["event"]["message"]["message_id"] = self.world.new_id("om_")
        return self.post(body)

    def replay(self, posted: LarkPosted) -> LarkPosted:
        """Somebody sends the very same bytes and headers again."""
        return self._send(posted.raw, posted.headers, posted.body)

    def challenge(
        self, word: str, *, token: str | None = None, plain: bool = False, signed: bool = False
    ) -> LarkPosted:
        """The developer console checks the address."""
        known = self.verification_token if token is None else token
        body = {"challenge": word, "token": known, "type": "url_verification"}
        return self.post(body, plain=plain, signed=signed)

    def post(
        self,
        body: Mapping[str, Any],
        *,
        plain: bool = False,
        signed: bool = True,
        sign: str | None = None,
        key: str | None = None,
        skew_s: int = 0,
        tamper: bool = False,
    ) -> LarkPosted:
        """Pass any callback on.

        plain   not encrypted, although there is a key
        signed  False: without the three headers
        sign    a forged signature
        key     another key to encrypt and sign with
        skew_s  the signature's time, off by so much
        tamper  the body is changed after it was signed
        """
        text, used = json.dumps(body, ensure_ascii=False), self.encrypt_key if key is None else key
        raw = text.encode("utf-8", "surrogatepass")
        if used and not plain:
            raw = json.dumps({"encrypt": encrypt(text, used)}).encode()
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if used and signed:
            stamp, nonce = str(int(self.world.now()) + skew_s), secrets.token_hex(5)
            right = callback_sign(stamp, nonce, used, raw)
            headers |= {"X-Lark-Request-Timestamp": stamp, "X-Lark-Request-Nonce": nonce}
            headers["X-Lark-Signature"] = right if sign is None else sign
        return self._send(raw + b" " if tamper else raw, headers, dict(body))

    def _send(self, raw: bytes, headers: Mapping[str, str], body: dict[str, Any]) -> LarkPosted:
        answer = self._post("/lark/events", raw, headers)
        return LarkPosted(True, answer.status_code, answer.content, body, raw, headers)

    def _event(
        self,
        person: Person,
        chat: str,
        in_group: bool,
        text: str,
        named: tuple[str, ...],
        shape: Shape,
        typed_mentions: bool,
    ) -> dict[str, Any]:
        at_ms = str(round(self.world.now() * 1000))
        mentions = [
            self._mention(number, open_id, person.corp, typed_mentions) for number, open_id in enumerate(named, 1)
        ]
        words = [entry["key"] for entry in mentions]
        ours = words[:1] if named[:1] == (bot_open_id(self.app),) else []
        rest = words[len(ours) :]
        content: dict[str, Any]
        if shape == "text":
            content = {"text": " ".join((*ours, text, *rest))}
        elif shape == "image":
            content = {"image_key": "img_v2_0a1b"}
        else:
            at = [{"tag": "at", "user_id": word, "user_name": "somebody"} for word in ours]
            others = [{"tag": "at", "user_id": word, "user_name": "somebody"} for word in rest]
            line = [*at, {"tag": "text", "text": f" {text} "}, *others]
            content = {"title": "", "content": [line]}
            if shape == "post with language":
                content = {"zh_cn": content}
        kind = "post" if shape.startswith("post") else shape
        message: dict[str, Any] = {
            "message_id": self.world.new_id("om_"),
            "create_time": at_ms,
            "update_time": at_ms,
            "chat_id": chat,
            "chat_type": "group" if in_group else "p2p",
            "message_type": kind,
            "content": json.dumps(content, ensure_ascii=False),
        }
        if mentions:
            message["mentions"] = mentions
        sender = {
            "sender_id": {"union_id": f"on_{person.id}", "user_id": "", "open_id": person.id},
            "sender_type": "user",
            "tenant_key": person.corp,
        }
        return {"sender": sender, "message": message}

    def _mention(self, number: int, open_id: str, tenant: str, typed: bool) -> dict[str, Any]:
        somebody = self.world.person("lark", open_id)
        entry = {
            "key": f"@_user_{number}",
            "id": {"union_id": f"on_{open_id}", "user_id": "", "open_id": open_id},
            "name": somebody.name if somebody else "Callboard",
            "tenant_key": somebody.corp if somebody else tenant,
        }
        return entry | {"mentioned_type": "user" if somebody else "bot"} if typed else entry

"""Feishu / Lark: the app's endpoints, and a client that types and presses.

Pages: https://open.feishu.cn/document/server-docs/im-v1/message/create, …/message/reply, …/message-card/patch,
…/event-subscription-guide/overview and …/feishu-cards/card-callback-communication. Strict where something is documented:
`content` is a JSON string, cards are those of version 1.0 or 2.0, `uuid` has at most 50 characters, five messages a
second to one chat, five changes a second to one message, 30 KB a card, 14 days, 3 s for a callback.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import requests
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.sandbox.lark import refused_card
from bot.sandbox.lark_press import (
    CALLBACK_S,
    CARD_MAX_BYTES,
    CHANGEABLE_S,
    Sent,
    calling_back,
    controls,
    filled_in_of,
    not_in_place_of,
    response_of,
)
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import App, Event, Group, Person, World

__all__ = ["LarkApp", "LarkClient", "LarkPosted", "bot_open_id", "callback_sign", "controls", "encrypt"]

PATHS = ("/open-apis/auth/", "/open-apis/im/", "/open-apis/bot/v3/")
TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"
BOT_PATH = "/open-apis/bot/v3/info"
SEND_PATH = "/open-apis/im/v1/messages"
REPLY = re.compile(r"/open-apis/im/v1/messages/([^/]+)/reply\Z")
UPDATE = re.compile(r"/open-apis/im/v1/messages/([^/]+)\Z")

TOKEN_TTL_S = 7200
TOKEN_RENEWED_S = 1800
"""With less than this left a new token is given out, and both are good."""

PER_SECOND = 5
CALLS_PER_SECOND = 50
TEXT_MAX_BYTES = 150 * 1024
UUID_MAX_CHARS = 50
UUID_S = 3600.0
CHANGES_PER_SECOND = 5
BLOCK = 16

_USUAL_WORDS = {
    "10003": "invalid param",
    "10014": "app secret invalid",
    "230001": "Your request contains an invalid request parameter.",
    "230002": "The bot can not be outside the group.",
    "230006": "Bot ability is not activated.",
    "230011": "The message was withdrawn.",
    "230013": "Bot has NO availability to this user.",
    "230020": "This operation triggers the frequency limit.",
    "230022": "The content of the message contains sensitive information.",
    "230025": "The length of the message content reaches its limit.",
    "230028": "The messages do NOT pass the audit.",
    "230031": "Message can only be modified within 14 days after sending.",
    "230034": "The receive_id is invalid.",
    "230053": "The user has stopped the bot from sending messages.",
    "230099": "Failed to create card content, ext=ErrCode: 200621; ErrMsg: parse card json err",
    "230110": "The message has been deleted.",
    "232009": "Your request specifies a chat which has already been dissolved.",
    "99991400": "request trigger frequency limit",
    "99991661": "Missing access token for authorization.",
    "99991663": "Invalid access token for authorization.",
    "99991672": "Access denied. One of the following scopes is required: [im:message:send_as_bot].",
}


class _Bad(Exception):
    """A request that the platform refuses: code and words."""

    def __init__(self, code: int, text: str = "") -> None:
        self.code = code
        self.text = text or _USUAL_WORDS.get(str(code), "")
        super().__init__(self.text)


def bot_open_id(app: App) -> str:
    """The id under which people mention the bot of that app."""
    return "ou_b07" + hashlib.sha256(app.client_id.encode()).hexdigest()[:29]


def _param(where: str) -> _Bad:
    return _Bad(230001, f"{_USUAL_WORDS['230001']} ext={where}")


class LarkApp:
    """`open.feishu.cn` and `open.larksuite.com`: access token, who the bot is, send, reply and change.

    A message that was typed by `LarkClient` or sent can be replied to until it is in `withdrawn` or `deleted`.
    """

    name = "lark"

    def __init__(self, world: World) -> None:
        self.world = world
        self.withdrawn: set[str] = set()
        self.deleted: set[str] = set()

    def owns(self, request: Request) -> bool:
        return request.path.startswith(PATHS)

    def keys(self, request: Request) -> tuple[str, ...]:
        if REPLY.match(request.path):
            return ("lark:reply", f"lark:{request.path}", "lark")
        update = ("lark:update",) if UPDATE.match(request.path) else ()
        return (*update, f"lark:{request.path}", "lark")

    def refusal(self, code: str | int, text: str) -> Answer:
        """Too many requests at once come with HTTP 429 and a header that says when to come back."""
        number = int(code)
        body = {"code": number, "msg": text or _USUAL_WORDS.get(str(code), "refused"), "data": {}}
        if number == 99991400:
            return json_answer(body, 429, (("x-ogw-ratelimit-limit", "50"), ("x-ogw-ratelimit-reset", "2")))
        return json_answer(body, 200 if number in (10003, 10014) else 400)

    def expire_tokens(self) -> None:
        """Every access token given out so far is void from now on."""
        for app in self.world.apps:
            self.world.remember(f"lark:tokens:{app.client_id}", ())

    def answer(self, request: Request) -> Answer:
        place: list[str] = []
        try:
            if request.path == TOKEN_PATH:
                return self._token(request)
            app = self._app_of(request)
            if self.world.hits(f"lark:api:{app.client_id}", 1.0) >= CALLS_PER_SECOND:
                raise _Bad(99991400)
            self.world.hit(f"lark:api:{app.client_id}")
            if (request.method, request.path) == ("GET", BOT_PATH):
                bot = {"activate_status": 2, "app_name": "Callboard", "avatar_url": "", "open_id": bot_open_id(app)}
                return json_answer({"code": 0, "msg": "ok", "bot": bot})
            reply = REPLY.match(request.path)
            if request.method == "POST" and (reply or request.path == SEND_PATH):
                return self._say(request, app, reply[1] if reply else "", place)
            update = UPDATE.match(request.path)
            if request.method == "PATCH" and update:
                return self._change(request, app, update[1], place)
        except _Bad as bad:
            self.world.happen("refused", "lark", place[0] if place else "", _shown(request), note=str(bad.code))
            return self.refusal(bad.code, bad.text)
        return json_answer({"code": 404, "msg": "404 page not found"}, 404)

    # -- who is asking

    def _token(self, request: Request) -> Answer:
        body = _object_of(request)
        app_id, secret = body.get("app_id"), body.get("app_secret")
        if request.method != "POST" or not isinstance(app_id, str) or not isinstance(secret, str):
            raise _Bad(10003)
        app = self.world.app("lark", app_id)
        if app is None:
            raise _Bad(10003)
        if not secrets.compare_digest(secret.encode("utf-8", "replace"), app.client_secret.encode()):
            raise _Bad(10014)
        now = self.world.now()
        known = [(token, until) for token, until in self._tokens(app) if until > now]
        if not known or known[-1][1] - now < TOKEN_RENEWED_S:
            known.append(("t-" + secrets.token_hex(20), now + TOKEN_TTL_S))
            self.world.remember(f"lark:tokens:{app.client_id}", tuple(known))
        token, until = known[-1]
        return json_answer({"code": 0, "msg": "ok", "tenant_access_token": token, "expire": int(until - now)})

    def _tokens(self, app: App) -> tuple[tuple[str, float], ...]:
        return self.world.recall(f"lark:tokens:{app.client_id}") or ()

    def _app_of(self, request: Request) -> App:
        scheme, _blank, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise _Bad(99991661)
        now = self.world.now()
        for app in self.world.apps:
            if app.platform == "lark" and any(one == token and until > now for one, until in self._tokens(app)):
                return app
        raise _Bad(99991663)

    # -- messages

    def _say(self, request: Request, app: App, answered: str, place: list[str]) -> Answer:
        body = _object_of(request)
        if request.content_type != "application/json":
            raise _param("content type")
        chat, person = self._answered(answered) if answered else self._receiver(request, body)
        place.append(chat)
        message = _message(body)
        uuid = body.get("uuid")
        if uuid is not None and (not isinstance(uuid, str) or len(uuid) > UUID_MAX_CHARS):
            raise _param("uuid")
        key = f"lark:uuid:{app.client_id}:{uuid}"
        known = self.world.recall(key) if uuid else None
        if known and self.world.now() - known[1] < UUID_S:
            self.world.happen("repeat", "lark", chat, message, person=person)
            return self._sent(known[0], chat, body)
        if self.world.hits(f"lark:chat:{chat}", 1.0) >= PER_SECOND:
            raise _Bad(230020)
        self.world.hit(f"lark:chat:{chat}")
        message_id = self.world.new_id("om_")
        if uuid:
            self.world.remember(key, (message_id, self.world.now()))
        self.world.remember(f"lark:message:{message_id}", (chat, person))
        schema = str(message["content"].get("schema", "1.0"))
        sent = Sent(app.client_id, chat, person, message["msg_type"], schema, self.world.now())
        self.world.remember(f"lark:sent:{message_id}", sent)
        note = f"reply:{answered}" if answered else ""
        self.world.happen("say", "lark", chat, message, person=person, note=note, ref=message_id)
        return self._sent(message_id, chat, body)

    def _change(self, request: Request, app: App, message_id: str, place: list[str]) -> Answer:
        """Which code a message of somebody else's is refused with, or one that is no card, is not documented."""
        body = _object_of(request)
        if request.content_type != "application/json" or set(body) != {"content"}:
            raise _param("content")
        sent = self.world.recall(f"lark:sent:{message_id}")
        if message_id in self.withdrawn:
            raise _Bad(230011)
        if message_id in self.deleted:
            raise _Bad(230110)
        if not isinstance(sent, Sent) or sent.app != app.client_id or sent.kind != "interactive":
            raise _param("message_id")
        place.append(sent.chat)
        if self.world.now() - sent.at > CHANGEABLE_S:
            raise _Bad(230031)
        message = _message({**body, "msg_type": "interactive"})
        if why := not_in_place_of(sent, message["content"]):
            raise _Bad(230099, f"Failed to create card content, ext=ErrCode: {why}")
        self._chat(sent.chat)
        if self.world.hits(f"lark:change:{message_id}", 1.0) >= CHANGES_PER_SECOND:
            raise _Bad(230020)
        self.world.hit(f"lark:change:{message_id}")
        self.world.happen("update", "lark", sent.chat, message, person=sent.person, ref=message_id)
        return json_answer({"code": 0, "msg": "success", "data": {}})

    def _sent(self, message_id: str, chat: str, body: Mapping[str, Any]) -> Answer:
        at_ms = str(round(self.world.now() * 1000))
        data = {"message_id": message_id, "chat_id": chat, "msg_type": body["msg_type"], "create_time": at_ms}
        return json_answer({"code": 0, "msg": "success", "data": data | {"update_time": at_ms, "updated": False}})

    def _answered(self, message_id: str) -> tuple[str, str]:
        """Conversation and person of the message that is replied to."""
        if message_id in self.withdrawn:
            raise _Bad(230011)
        if message_id in self.deleted:
            raise _Bad(230110)
        known = self.world.recall(f"lark:message:{message_id}")
        if known is None:
            raise _param("message_id")
        chat, person = known
        return self._chat(chat)[0], person

    def _receiver(self, request: Request, body: Mapping[str, Any]) -> tuple[str, str]:
        kind, receiver = request.query.get("receive_id_type", ""), body.get("receive_id")
        if kind not in ("chat_id", "open_id") or not isinstance(receiver, str) or not receiver:
            raise _param("receive_id_type and receive_id")
        if kind == "chat_id":
            return self._chat(receiver)
        person = self.world.person("lark", receiver)
        if person is None:
            raise _Bad(230034)
        return self._to(person)

    def _chat(self, chat_id: str) -> tuple[str, str]:
        group = self.world.group("lark", chat_id)
        if group is not None:
            if not group.bot:
                raise _Bad(230002)
            return group.id, ""
        for person in self.world.people:
            if person.platform == "lark" and person.chat == chat_id:
                return self._to(person)
        raise _param("receive_id")

    def _to(self, person: Person) -> tuple[str, str]:
        if not person.reachable:
            raise _Bad(230013)
        return person.chat, person.id


def _object_of(request: Request) -> dict[str, Any]:
    try:
        value = request.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _param("body")
    return value


def _shown(request: Request) -> Any:
    """The body for the log of refusals, without credentials."""
    try:
        value = request.json()
    except ValueError:
        return request.body[:2000].decode("utf-8", "replace")
    return {name: one for name, one in value.items() if name != "app_secret"} if isinstance(value, dict) else value


def _message(body: Mapping[str, Any]) -> dict[str, Any]:
    """The message as the client gets it, `content` opened; raises `_Bad`."""
    kind, content = body.get("msg_type"), body.get("content")
    if kind not in ("text", "post", "interactive") or not isinstance(content, str):
        raise _param("msg_type and content")  # an object as content is the usual mistake
    if len(content.encode("utf-8", "replace")) > (TEXT_MAX_BYTES if kind == "text" else CARD_MAX_BYTES):
        raise _Bad(230025)
    try:
        opened = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _param("content is not a string in json format") from error
    if not isinstance(opened, dict):
        raise _param("content is not a string in json format")
    if kind == "interactive" and (why := refused_card(opened)):
        raise _Bad(230099, f"Failed to create card content, ext=ErrCode: {why[0]}; ErrMsg: {why[1]}")
    if kind == "text" and not (isinstance(opened.get("text"), str) and opened["text"]):
        raise _param("text")
    if kind == "post" and ("post" in opened or not all(isinstance(one, dict) for one in opened.values())):
        raise _param("post")
    return {"msg_type": kind, "content": opened}


# -- callbacks, and a person's client


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


class LarkClient:
    """Types and presses on behalf of people and passes it on to the app, as Lark does. `Person.corp` is the tenant key.

    service_url         where our service listens; callbacks go to `<service_url>/lark/events`
    encrypt_key         "": bodies are sent plain and unsigned
    verification_token  stands in every body
    """

    def __init__(
        self,
        world: World,
        service_url: str,
        app: App,
        *,
        encrypt_key: str = "",
        verification_token: str = "",
        timeout_s: float = 10.0,
    ) -> None:
        self.world = world
        self.service_url = service_url.rstrip("/")
        self.app = app
        self.encrypt_key = encrypt_key
        self.verification_token = verification_token
        self.timeout_s = timeout_s
        self._http = requests.Session()
        self._http.trust_env = False

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

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
        person = self.world.person("lark", person_id)
        if person is None:
            raise LookupError(f"nobody called {person_id!r} on lark")
        place = self._place(person, group)
        chat = place.id if isinstance(place, Group) else place
        self.world.happen("typed", "lark", chat, text, person=person_id)
        named = (bot_open_id(self.app),) if isinstance(place, Group) and mention else ()
        if isinstance(place, Group) and (not place.bot or not (mention or everything)):
            return LarkPosted(False, 0, b"")
        event = self._event(person, chat, isinstance(place, Group), text, (*named, *others), shape, typed_mentions)
        if not open_id:
            event["sender"]["sender_id"] = {"union_id": f"on_{person.id}"}
        message_id = event["message"]["message_id"]
        self.world.remember(f"lark:message:{message_id}", (chat, "" if isinstance(place, Group) else person.id))
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
        person = self.world.person("lark", person_id)
        if person is None:
            raise LookupError(f"nobody called {person_id!r} on lark")
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

    def answers(self, conversation: str, after: int = 0) -> list[Event]:
        """What the bot said in that conversation since event number `after`."""
        return [event for event in self.world.said(conversation) if event.seq > after]

    def _send(self, raw: bytes, headers: Mapping[str, str], body: dict[str, Any]) -> LarkPosted:
        answer = self._http.post(
            f"{self.service_url}/lark/events",
            data=raw,
            headers=dict(headers),
            timeout=self.timeout_s,
            allow_redirects=False,
        )
        return LarkPosted(True, answer.status_code, answer.content, body, raw, headers)

    def _place(self, person: Person, group: str) -> Group | str:
        if not group:
            return person.chat
        place = self.world.group("lark", group)
        if place is None:
            raise LookupError(f"no group {group!r} on lark")
        return place

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

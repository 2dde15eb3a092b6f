"""Feishu / Lark: the app's endpoints.

Pages: https://open.feishu.cn/document/server-docs/im-v1/message/create, …/message/reply and …/message-card/patch. Strict
where something is documented: `content` is a JSON string, cards are those of version 1.0 or 2.0, `uuid` has at most 50
characters, five messages a second to one chat, five changes a second to one message, 30 KB a card, 14 days.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from bot.sandbox.directory import App, Person
from bot.sandbox.lark import refused_card
from bot.sandbox.lark_press import CARD_MAX_BYTES, CHANGEABLE_S, Sent, not_in_place_of
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

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
    body = request.json_object()
    if body is None:
        raise _param("body")
    return body


def _shown(request: Request) -> Any:
    """The body for the log of refusals, without credentials."""
    body = request.shown
    return {name: one for name, one in body.items() if name != "app_secret"} if isinstance(body, dict) else body


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

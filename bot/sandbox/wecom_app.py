"""WeCom: the self-built app and the smart robot, and a client that types to both.

Pages: https://developer.work.weixin.qq.com/document/path/91039 (token), …/90236 (message/send), …/101138 (response_url),
…/90968 (envelope), …/90239 and …/100719 (messages). Where the documentation leaves something open, the stand-in takes the
strict side: too long is refused where the service may cut, an address for the answer works once whatever is said there.

The robot's conversation with one person is another window than the app's: see `robot_chat`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.sax.saxutils import escape

import requests
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import App, Event, Person, World

TOKEN_TTL_S = 7200.0
RESPONSE_TTL_S = 3600.0
APP_MAX_BYTES = 2048
ROBOT_MAX_BYTES = 20_480
MEMBER_PER_MINUTE = 30
MEMBER_PER_HOUR = 1000
WRONG_SECRETS = 10
"""After so many wrong secrets in an hour the address that asks is shut out."""

_USUAL_WORDS = {
    "-1": "system busy",
    "40001": "invalid credential",
    "40008": "invalid message type",
    "40013": "invalid corpid",
    "40014": "invalid access_token",
    "40056": "invalid agentid",
    "40058": "invalid Request Parameter",
    "41001": "access_token missing",
    "42001": "access_token expired",
    "44004": "empty content",
    "45002": "content size out of limit",
    "45009": "api freq out of limit",
    "60020": "not allow to access from your ip",
    "81013": "user & party & tag all invalid",
    "301002": "not allow operate another agent with this accesstoken",
}


class _Bad(Exception):
    def __init__(self, code: int, text: str = "") -> None:
        self.code = code
        self.text = text or _USUAL_WORDS.get(str(code), "refused")
        super().__init__(self.text)


def _refused(code: int, text: str, client: str = "127.0.0.1") -> Answer:
    hint = f", hint: [{secrets.randbelow(10**18)}], from ip: {client}"
    return json_answer(
        {
            "errcode": code,
            "errmsg": f"{text}{hint}, more info at https://open.work.weixin.qq.com/devtool/query?e={code}",
        }
    )


def robot_chat(person: Person) -> str:
    """Conversation id of a person's one-to-one chat with the smart robot."""
    return f"{person.chat}:robot"


class WeComApp:
    """`gettoken`, `message/send` and the addresses for the robot's answers below `qyapi.weixin.qq.com/cgi-bin/`.

    An app of the world stands for a self-built one: its `client_id` is the AgentId, `corp` the organisation.
    """

    name = "wecom"
    _paths = ("/cgi-bin/gettoken", "/cgi-bin/message/send", "/cgi-bin/aibot/response")

    def __init__(self, world: World) -> None:
        self.world = world

    def owns(self, request: Request) -> bool:
        return request.path in self._paths

    def keys(self, request: Request) -> tuple[str, ...]:
        return (f"wecom:{request.path}", "wecom")

    def refusal(self, code: str | int, text: str) -> Answer:
        return _refused(int(code), text or _USUAL_WORDS.get(str(code), "refused"))

    def answer(self, request: Request) -> Answer:
        handler = {
            self._paths[0]: self._get_token,
            self._paths[1]: self._send,
            self._paths[2]: self._respond,
        }[request.path]
        try:
            return handler(request)
        except _Bad as bad:
            self.world.happen("refused", "wecom", "", _shown(request), note=str(bad.code))
            return _refused(bad.code, bad.text, request.client)

    def expire_tokens(self) -> None:
        """Every access token given out so far is void from now on."""
        for app in self.world.apps:
            self.world.remember(f"wecom:token:{app.corp}:{app.client_id}", None)

    # -- the app

    def _get_token(self, request: Request) -> Answer:
        corp, secret = request.query.get("corpid", ""), request.query.get("corpsecret", "")
        if self.world.hits(f"wecom:wrong:{request.client}", 3600.0) >= WRONG_SECRETS:
            raise _Bad(45009)
        apps = [app for app in self.world.apps if app.platform == "wecom" and app.corp == corp]
        app = next((one for one in apps if hmac.compare_digest(one.client_secret.encode(), secret.encode())), None)
        if app is None:
            self.world.hit(f"wecom:wrong:{request.client}")
            raise _Bad(40001 if apps else 40013)
        now, key = self.world.now(), f"wecom:token:{app.corp}:{app.client_id}"
        token, until = self.world.recall(key) or ("", 0.0)
        if until <= now:
            token, until = secrets.token_urlsafe(32), now + TOKEN_TTL_S
            self.world.remember(key, (token, until))
        return json_answer({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": int(until - now)})

    def _app_of(self, request: Request) -> App:
        given = request.query.get("access_token", "")
        if not given:
            raise _Bad(41001)
        for app in self.world.apps:
            token, until = self.world.recall(f"wecom:token:{app.corp}:{app.client_id}") or ("", 0.0)
            if app.platform == "wecom" and token and hmac.compare_digest(token.encode(), given.encode()):
                if until <= self.world.now():
                    raise _Bad(42001)
                return app
        raise _Bad(40014)

    def _send(self, request: Request) -> Answer:
        app = self._app_of(request)
        message = _message(request)
        agent, people = message.get("agentid"), message.get("touser")
        if not isinstance(agent, int) or isinstance(agent, bool):
            raise _Bad(40056)
        if str(agent) != app.client_id:
            raise _Bad(301002)
        for name in ("safe", "enable_id_trans", "enable_duplicate_check"):
            if message.get(name, 0) not in (0, 1):
                raise _Bad(40058, f"{name} should be 0 or 1. invalid Request Parameter")
        if not isinstance(people, str) or not people:
            raise _Bad(40058, "touser should be a string. invalid Request Parameter")
        body = _checked(message, ("text", "markdown"), APP_MAX_BYTES, 45002)
        ids = people.split("|")
        invalid = [one for one in ids if not self._reaches(app, one)]
        if len(invalid) == len(ids):
            raise _Bad(81013)
        for one in dict.fromkeys(ids):
            person = self.world.person("wecom", one)
            if person is None or one in invalid:
                continue
            key = f"wecom:member:{app.client_id}:{one}"
            if self.world.hits(key, 60.0) >= MEMBER_PER_MINUTE or self.world.hits(key, 3600.0) >= MEMBER_PER_HOUR:
                # What the service does: the message is gone, and nobody is told.
                self.world.happen("refused", "wecom", person.chat, body, person=one, note="dropped")
                continue
            self.world.hit(key, MEMBER_PER_HOUR)
            self.world.happen("say", "wecom", person.chat, body, person=one)
        return json_answer(
            {
                "errcode": 0,
                "errmsg": "ok",
                "invaliduser": "|".join(invalid).lower(),
                "invalidparty": "",
                "invalidtag": "",
                "unlicenseduser": "",
                "msgid": self.world.new_id("MSGID"),
            }
        )

    def _reaches(self, app: App, user_id: str) -> bool:
        person = self.world.person("wecom", user_id)
        return person is not None and person.corp == app.corp and person.reachable

    # -- the smart robot

    def _respond(self, request: Request) -> Answer:
        word = request.query.get("response_code", "")
        session = self.world.session(word)
        if session is None or session.until <= self.world.now() or self.world.recall(f"wecom:answered:{word}"):
            raise _Bad(40058, "response_code is invalid or was used. invalid Request Parameter")
        if "access_token" in request.query:
            raise _Bad(40058, "no access_token here. invalid Request Parameter")
        message = _message(request)
        if "encrypt" in message:
            raise _Bad(40008)
        body = _checked(message, ("markdown",), ROBOT_MAX_BYTES, 40058)
        self.world.remember(f"wecom:answered:{word}", True)
        self.world.happen("say", "wecom", session.conversation, body, person=session.person)
        return json_answer({"errcode": 0, "errmsg": "ok"})


def _message(request: Request) -> dict[str, Any]:
    if request.method != "POST":
        raise _Bad(40058, "http method should be POST. invalid Request Parameter")
    try:
        message = request.json()
    except ValueError:
        message = None
    if not isinstance(message, dict) or request.content_type != "application/json":
        raise _Bad(40008, "Warning: wrong json format. invalid message type")
    return message


def _checked(message: Mapping[str, Any], kinds: tuple[str, ...], max_bytes: int, too_long: int) -> dict[str, Any]:
    """The part of the message that people see, after checking its form."""
    kind = message.get("msgtype")
    if kind not in kinds:
        raise _Bad(40008)
    part = message.get(kind)
    content = part.get("content") if isinstance(part, dict) else None
    if content is None or content == "":
        raise _Bad(44004)
    if not isinstance(content, str):
        raise _Bad(40058, f"{kind}.content should be a string. invalid Request Parameter")
    if len(content.encode("utf-8", "surrogatepass")) > max_bytes:
        raise _Bad(too_long, f"{kind}.content exceed max length {max_bytes}")
    return {"msgtype": kind, kind: {"content": content}}


def _shown(request: Request) -> Any:
    try:
        return request.json()
    except ValueError:
        return request.body[:2000].decode("utf-8", "replace")


# -- a person's client


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

    def signature(self, timestamp: str, nonce: str, encrypted: str) -> str:
        """`msg_signature` of a request with these parts."""
        joined = "".join(sorted((self.token, timestamp, nonce, encrypted)))
        return hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of something typed: the request as it was sent, and the service's answer. Status 0: not passed on."""

    status: int
    answer: bytes = b""
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    sent: bytes = b""
    message: str = ""


Way = Literal["app", "bot"]


class WeComClient:
    """Types on behalf of people and passes it on, as WeCom does: encrypted, signed, answered with nothing.

    service_url  where our service listens; callbacks go to `/wecom/app` and `/wecom/bot` there
    app, bot     what the two callback addresses are configured with
    robot_name   how people mention the robot
    """

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
        timeout_s: float = 10.0,
    ) -> None:
        self.world = world
        self.service_url = service_url.rstrip("/")
        self.corp = corp
        self.agent_id = agent_id
        self.keys: dict[Way, Keys] = {"app": app, "bot": bot}
        self.robot_name = robot_name
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
        person = self.world.person("wecom", person_id)
        if person is None:
            raise LookupError(f"nobody called {person_id!r} on wecom")
        number = message_id or self.world.new_id("7" if via == "app" else "CAIQ")
        if via == "app":
            self.world.happen("typed", "wecom", person.chat, text, person=person_id)
            return self.post("app", self.app_text(person_id, text, number), **how)
        place = group or robot_chat(person)
        said = (mention or f"@{self.robot_name} {text}") if group else text
        self.world.happen("typed", "wecom", place, said, person=person_id)
        return self.post("bot", self.robot_text(person_id, said, number, group, place, response_url), **how)

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
        body: dict[str, Any] = {
            "msgid": message_id,
            "aibotid": "AIBSANDBOX",
            "chattype": "group" if group else "single",
            "from": {"userid": person_id},
            "msgtype": "text",
            "text": {"content": text},
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
        return self.send(f"/wecom/{via}", query, sent.encode(), text)

    def send(self, path: str, query: Mapping[str, str], sent: bytes, message: str = "") -> Posted:
        """Exactly these bytes, with the content type that WeCom's demo expects of nobody."""
        answer = self._http.post(
            self.service_url + path,
            params=dict(query),
            data=sent,
            headers={"Content-Type": "text/xml" if path.endswith("app") else "application/json"},
            timeout=self.timeout_s,
            allow_redirects=False,
        )
        return Posted(answer.status_code, answer.content, path, query, sent, message)

    def again(self, posted: Posted, *, afresh: bool = True) -> Posted:
        """The same message delivered once more, sealed and signed afresh, or (a replay) byte for byte."""
        if not afresh:
            return self.send(posted.path, posted.query, posted.sent, posted.message)
        return self.post("app" if posted.path.endswith("app") else "bot", posted.message)

    def ask(self, via: Way, echo: str, *, skew_s: float = 0.0, signature: str | None = None) -> Posted:
        """What the console does when the address is saved: a sealed question that is answered with what is in it."""
        encrypted = self.keys[via].encrypted(echo)
        query = {**self._query(self.keys[via], encrypted, skew_s, signature), "echostr": encrypted}
        answer = self._http.get(f"{self.service_url}/wecom/{via}", params=query, timeout=self.timeout_s)
        return Posted(answer.status_code, answer.content, f"/wecom/{via}", query)

    def answers(self, conversation: str, after: int = 0) -> list[Event]:
        """What the bot said in that conversation since event number `after`."""
        return [event for event in self.world.said(conversation) if event.seq > after]

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

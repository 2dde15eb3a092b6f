"""WeCom: the endpoints of the self-built app and of the smart robot.

Pages: https://developer.work.weixin.qq.com/document/path/91039 (token), …/90236 (message/send), …/94888 (changing cards),
…/101138 (response_url). Where the documentation leaves something open, the stand-in takes the strict side: too long is
refused where the service may cut, an address for the answer works once whatever is said there.

The robot's conversation with one person is another window than the app's: see `robot_chat`.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from bot.sandbox.directory import App, Person
from bot.sandbox.wecom import Bad
from bot.sandbox.wecom_cards import check_card
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

TOKEN_TTL_S = 7200.0
CODE_TTL_S = 72 * 3600.0
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
    "81012": "user & party & tag all empty",
    "81013": "user & party & tag all invalid",
    "301002": "not allow operate another agent with this accesstoken",
}


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
    """`gettoken`, `message/send`, `message/update_template_card` and the addresses for the robot's answers below
    `qyapi.weixin.qq.com/cgi-bin/`.

    An app of the world stands for a self-built one: its `client_id` is the AgentId, `corp` the organisation.
    """

    name = "wecom"
    _paths = (
        "/cgi-bin/gettoken",
        "/cgi-bin/message/send",
        "/cgi-bin/aibot/response",
        "/cgi-bin/message/update_template_card",
    )

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
            self._paths[3]: self._change,
        }[request.path]
        try:
            return handler(request)
        except Bad as bad:
            self.world.happen("refused", "wecom", "", request.shown, note=str(bad.code))
            return _refused(bad.code, bad.text or _USUAL_WORDS.get(str(bad.code), "refused"), request.client)

    def expire_tokens(self) -> None:
        """Every access token given out so far is void from now on."""
        for app in self.world.apps:
            self.world.remember(f"wecom:token:{app.corp}:{app.client_id}", None)

    # -- the app

    def _get_token(self, request: Request) -> Answer:
        corp, secret = request.query.get("corpid", ""), request.query.get("corpsecret", "")
        if self.world.hits(f"wecom:wrong:{request.client}", 3600.0) >= WRONG_SECRETS:
            raise Bad(45009)
        apps = [app for app in self.world.apps if app.platform == "wecom" and app.corp == corp]
        app = next((one for one in apps if hmac.compare_digest(one.client_secret.encode(), secret.encode())), None)
        if app is None:
            self.world.hit(f"wecom:wrong:{request.client}")
            raise Bad(40001 if apps else 40013)
        now, key = self.world.now(), f"wecom:token:{app.corp}:{app.client_id}"
        token, until = self.world.recall(key) or ("", 0.0)
        if until <= now:
            token, until = secrets.token_urlsafe(32), now + TOKEN_TTL_S
            self.world.remember(key, (token, until))
        return json_answer({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": int(until - now)})

    def _app_of(self, request: Request) -> App:
        given = request.query.get("access_token", "")
        if not given:
            raise Bad(41001)
        for app in self.world.apps:
            token, until = self.world.recall(f"wecom:token:{app.corp}:{app.client_id}") or ("", 0.0)
            if app.platform == "wecom" and token and hmac.compare_digest(token.encode(), given.encode()):
                if until <= self.world.now():
                    raise Bad(42001)
                return app
        raise Bad(40014)

    def _send(self, request: Request) -> Answer:
        app = self._app_of(request)
        message = _message(request)
        _check_agent(app, message)
        people = message.get("touser")
        for name in ("safe", "enable_id_trans", "enable_duplicate_check"):
            if message.get(name, 0) not in (0, 1):
                raise Bad(40058, f"{name} should be 0 or 1. invalid Request Parameter")
        if not isinstance(people, str) or not people:
            raise Bad(40058, "touser should be a string. invalid Request Parameter")
        body = _checked(message, ("text", "markdown", "template_card"), APP_MAX_BYTES, 45002)
        card = body.get("template_card", {})
        task_id = card.get("task_id", "")
        msgid = self.world.new_id("MSGID")
        ids = people.split("|")
        invalid = [one for one in ids if not self._reaches(app, one)]
        if len(invalid) == len(ids):
            raise Bad(81013)
        if task_id:
            self._new_task(f"{app.client_id}:{task_id}")
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
            self.world.remember(f"wecom:card:{person.chat}:{task_id}", body)
            self.world.happen("say", "wecom", person.chat, body, person=one, ref=task_id or msgid)
        answer = {
            "errcode": 0,
            "errmsg": "ok",
            "invaliduser": "|".join(invalid).lower(),
            "invalidparty": "",
            "invalidtag": "",
            "unlicenseduser": "",
            "msgid": msgid,
        }
        if str(card.get("card_type", "")).endswith("_interaction"):
            answer["response_code"] = new_code(self.world, app.client_id, task_id)
        return json_answer(answer)

    def _new_task(self, name: str) -> None:
        """A task id names one card of an app or robot, for ever."""
        if self.world.recall(f"wecom:task:{name}"):
            raise Bad(40058, "template_card.task_id repeated. invalid Request Parameter")
        self.world.remember(f"wecom:task:{name}", True)

    def _change(self, request: Request) -> Answer:
        """A card of the app as it is from now on: a new card, or the old one with its buttons greyed."""
        app = self._app_of(request)
        message = _message(request)
        _check_agent(app, message)
        receivers = [message.get(name, []) for name in ("userids", "partyids", "tagids")]
        if not all(isinstance(one, list) and all(isinstance(each, str) for each in one) for one in receivers):
            raise Bad(40058, "userids, partyids and tagids should be arrays. invalid Request Parameter")
        if not any(receivers) and message.get("atall") != 1:
            raise Bad(81012)
        client_id, task_id, until = self.world.recall(f"wecom:code:{message.get('response_code')}") or ("", "", 0.0)
        if client_id != app.client_id or until <= self.world.now():
            raise Bad(40058, "response_code is invalid or was used. invalid Request Parameter")
        button, card = message.get("button"), message.get("template_card")
        if (button is None) == (card is None):
            raise Bad(40058, "either button or template_card. invalid Request Parameter")
        if card is not None:
            check_card(card, "app", change=True)
        elif not isinstance(button, dict) or not isinstance(button.get("replace_name"), str):
            raise Bad(40058, "button.replace_name missing. invalid Request Parameter")
        self.world.remember(f"wecom:code:{message['response_code']}", None)
        invalid = []
        for one in message.get("userids", []):
            person = self.world.person("wecom", one)
            old = self.world.recall(f"wecom:card:{person.chat}:{task_id}") if person else None
            if person is None or old is None:
                invalid.append(one)
                continue
            changed = card or old["template_card"] | {"replace_text": (button or {})["replace_name"]}
            body = {"msgtype": "template_card", "template_card": {**changed, "task_id": task_id}}
            self.world.remember(f"wecom:card:{person.chat}:{task_id}", body)
            self.world.happen("update", "wecom", person.chat, body, person=one, ref=task_id)
        return json_answer({"errcode": 0, "errmsg": "ok", "invaliduser": invalid})

    def _reaches(self, app: App, user_id: str) -> bool:
        person = self.world.person("wecom", user_id)
        return person is not None and person.corp == app.corp and person.reachable

    # -- the smart robot

    def _respond(self, request: Request) -> Answer:
        word = request.query.get("response_code", "")
        session = self.world.session(word)
        if session is None or session.until <= self.world.now() or self.world.recall(f"wecom:answered:{word}"):
            raise Bad(40058, "response_code is invalid or was used. invalid Request Parameter")
        if "access_token" in request.query:
            raise Bad(40058, "no access_token here. invalid Request Parameter")
        message = _message(request)
        if "encrypt" in message:
            raise Bad(40008)
        body = _checked(message, ("markdown",), ROBOT_MAX_BYTES, 40058)
        self.world.remember(f"wecom:answered:{word}", True)
        ref = self.world.new_id("RESPONSE")
        self.world.happen("say", "wecom", session.conversation, body, person=session.person, ref=ref)
        return json_answer({"errcode": 0, "errmsg": "ok"})


def new_code(world: World, client_id: str, task_id: str) -> str:
    """What lets an app change that card of its once, for three days."""
    code = secrets.token_urlsafe(24)
    world.remember(f"wecom:code:{code}", (client_id, task_id, world.now() + CODE_TTL_S))
    return code


def _check_agent(app: App, message: Mapping[str, Any]) -> None:
    agent = message.get("agentid")
    if not isinstance(agent, int) or isinstance(agent, bool):
        raise Bad(40056)
    if str(agent) != app.client_id:
        raise Bad(301002)


def _message(request: Request) -> dict[str, Any]:
    if request.method != "POST":
        raise Bad(40058, "http method should be POST. invalid Request Parameter")
    message = request.json_object()
    if message is None or request.content_type != "application/json":
        raise Bad(40008, "Warning: wrong json format. invalid message type")
    return message


def _checked(message: Mapping[str, Any], kinds: tuple[str, ...], max_bytes: int, too_long: int) -> dict[str, Any]:
    """The part of the message that people see, after checking its form."""
    kind = message.get("msgtype")
    if kind not in kinds:
        raise Bad(40008)
    part = message.get(kind)
    if kind == "template_card":
        check_card(part, "app")
        return {"msgtype": kind, kind: part}
    content = part.get("content") if isinstance(part, dict) else None
    if content is None or content == "":
        raise Bad(44004)
    if not isinstance(content, str):
        raise Bad(40058, f"{kind}.content should be a string. invalid Request Parameter")
    if len(content.encode("utf-8", "surrogatepass")) > max_bytes:
        raise Bad(too_long, f"{kind}.content exceed max length {max_bytes}")
    return {"msgtype": kind, kind: {"content": content}}

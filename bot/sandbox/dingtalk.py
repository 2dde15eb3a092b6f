"""DingTalk: group robots, the session webhook and the app's endpoints.

Where the documentation leaves something open, the stand-in takes the strict side: the keyword must be in title and
text, every post to a robot counts towards its twenty a minute.
Pages: https://open.dingtalk.com/document/development/custom-robots-send-group-messages,
…/dingstart/customize-robot-security-settings.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from bot.sandbox.dingtalk_cards import Card, card_values, change_card
from bot.sandbox.dingtalk_messages import USUAL_WORDS, Bad, message_texts
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import App, Robot, World

PER_MINUTE = 20
PENALTY_S = 600.0
MAX_BYTES = 20_000
MAX_PARAM_BYTES = 15_000
MAX_RECEIVERS = 20
MAX_SKEW_MS = 3_600_000
TOKEN_TTL_S = 7200.0
CALLS_PER_SECOND = 20

Style = Literal["zh", "description", "en"]

_STYLES: dict[Style, dict[str, str]] = {
    "zh": {
        "keyword": "错误描述:关键词不匹配;解决方案:请联系群管理员查看此机器人的关键词，并在发送的信息中包含此关键词;",
        "sign": "错误描述:机器人发送签名不匹配;解决方案:请确认签名和生成签名的时间戳必须都放在调用的网址中，"
        "请确认机器人的密钥加密和填写正确;",
        "timestamp": "错误描述:机器人发送签名过期;解决方案:签名生成时间和发送时间请保持在 timestampms 以内;",
        "ip": "错误描述:ip {ip} 不在白名单之中;解决方案:请联系群管理员查看此机器人的 ip 白名单;",
        "size": "错误描述: body 大小不合法;解决方案:请保持大小在 20000bytes 以内;",
    },
    "description": {
        "keyword": "description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词，"
        "并在发送的信息中包含此关键词;",
        "sign": "description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳必须都放在调用的网址中，"
        "请确认机器人的密钥加密和填写正确;",
        "timestamp": "description:机器人发送签名过期;solution:签名生成时间和发送时间请保持在 timestampms 以内;",
        "ip": "description:ip {ip} 不在白名单之中;solution:请联系群管理员查看此机器人的 ip 白名单;",
        "size": "description: body 大小不合法;solution:请保持大小在 20000bytes 以内;",
    },
    "en": {
        "keyword": "keywords not in content, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
        "sign": "sign not match, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
        "timestamp": "invalid timestamp, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
        "ip": "ip {ip} not in whitelist, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
        "size": "message too long, exceed 20000 bytes",
    },
}


def robot_sign(secret: str, timestamp: str) -> str:
    """The base64 signature of a timestamp (as the text that was sent), before URL encoding; callbacks use the same."""
    key = secret.encode()
    return base64.b64encode(hmac.new(key, f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()).decode()


def _old(code: int, text: str) -> Answer:
    return json_answer({"errcode": code, "errmsg": text})


def problem(status: int, code: str, text: str) -> Answer:
    """A failure of the new API."""
    return json_answer({"code": code, "requestid": secrets.token_hex(8).upper(), "message": text}, status)


_PARAMS: dict[str, tuple[str, ...]] = {
    "sampleText": ("content",),
    "sampleMarkdown": ("title", "text"),
    "sampleLink": ("title", "text", "messageUrl", "picUrl"),
    "sampleImageMsg": ("photoURL",),
    "sampleActionCard": ("title", "text", "singleTitle", "singleURL"),
    **{
        f"sampleActionCard{n}": (
            "title",
            "text",
            *(f"actionTitle{i}" for i in range(1, n + 1)),
            *(f"actionURL{i}" for i in range(1, n + 1)),
        )
        for n in range(2, 6)
    },
    "sampleActionCard6": ("title", "text", "buttonTitle1", "buttonUrl1", "buttonTitle2", "buttonUrl2"),
}


class DingTalk:
    """`oapi.dingtalk.com` and `api.dingtalk.com` on one address; their paths differ.

    style      wording of the security refusals: today's, that of 2022, the old English one
    monthly    messages by webhook that the whole organisation may send in a calendar month, None: any number
    templates  ids of published card templates
    """

    name = "dingtalk"

    def __init__(self, world: World) -> None:
        self.world = world
        self.style: Style = "zh"
        self.monthly: int | None = None
        self.templates: set[str] = set()
        self._routes: dict[tuple[str, str], Callable[[Request, App], Answer]] = {
            ("POST", "/v1.0/robot/oToMessages/batchSend"): self._batch_send,
            ("POST", "/v1.0/robot/groupMessages/send"): self._group_send,
            ("POST", "/v1.0/card/instances/createAndDeliver"): self._create_card,
            ("PUT", "/v1.0/card/instances"): self._update_card,
            ("POST", "/v1.0/card/callbacks/register"): self._register,
        }

    def owns(self, request: Request) -> bool:
        return request.path.startswith(("/robot/", "/v1.0/"))

    def keys(self, request: Request) -> tuple[str, ...]:
        robot = (f"dingtalk:{request.query.get('access_token', '')}",) if request.path == "/robot/send" else ()
        return (*robot, f"dingtalk:{request.path}", "dingtalk")

    def refusal(self, code: str | int, text: str) -> Answer:
        """Numbers get the old API's shape, words the new one's (HTTP 400, or 403 and 500 where those are known)."""
        word = str(code)
        if word.lstrip("-").isdigit():
            return _old(int(word), text or USUAL_WORDS.get(word, _STYLES[self.style]["keyword"]))
        status = 403 if word.startswith("Forbidden.") else 500 if word.startswith("system.") else 400
        return problem(status, word, text or word)

    def answer(self, request: Request) -> Answer:
        if request.path == "/robot/send":
            return self._robot_send(request)
        if request.path == "/robot/sendBySession":
            return self._session_send(request)
        if request.path == "/v1.0/oauth2/accessToken":
            return self._access_token(request)
        if request.path.startswith("/robot/"):
            return _old(404, "请求的URI地址不存在")
        if request.path not in {path for _, path in self._routes}:
            return problem(
                404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."
            )
        handler = self._routes.get((request.method, request.path))
        if handler is None:
            return problem(405, "UnsupportedHTTPMethod", "Specified method is not supported.")
        app = self._app_of(request)
        if app is None:
            return problem(400, "InvalidAuthentication", "不合法的access_token")
        if self.world.hits(f"dingtalk:{app.client_id}{request.path}", 1.0) >= CALLS_PER_SECOND:
            return problem(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "应用调用该接口的QPS超限")
        self.world.hit(f"dingtalk:{app.client_id}{request.path}")
        if request.content_type != "application/json":
            return problem(415, "UnsupportedContentType", "Specified content type is not supported.")
        return handler(request, app)

    def expire_tokens(self) -> None:
        """Every access token given out so far is void from now on."""
        for app in self.world.apps:
            self.world.remember(f"dingtalk:token:{app.client_id}", None)

    # -- robots

    def _robot_send(self, request: Request) -> Answer:
        token = request.query.get("access_token", "")
        robot = self.world.robot("dingtalk", token)
        group = robot.group if robot else ""
        try:
            message, texts = self._checked(request, token, robot)
        except Bad as bad:
            self.world.happen("refused", "dingtalk", group, _shown(request), robot=token, note=str(bad.code))
            return _old(bad.code, bad.text)
        uuid = message.get("msgUuid")
        if uuid is not None:
            key = f"dingtalk:uuid:{token}:{uuid}"
            if self.world.recall(key):
                self.world.happen("repeat", "dingtalk", group, message, robot=token)
                return _old(0, "ok")
            self.world.remember(key, True)
        self.world.happen("card", "dingtalk", group, message, robot=token, note=texts[0][:80])
        return _old(0, "ok")

    def _checked(self, request: Request, token: str, robot: Robot | None) -> tuple[dict[str, Any], list[str]]:
        """The message and its texts; raises `Bad` in the order in which the platform looks."""
        if request.method != "POST":
            raise Bad(43002, "需要POST请求")
        if not token:
            raise Bad(40035, "缺少参数 access_token")
        if robot is None:
            raise Bad(300005)
        if not robot.enabled:
            raise Bad(400102)
        if self.world.group("dingtalk", robot.group) is None:
            raise Bad(400013)
        if request.content_type != "application/json":
            raise Bad(43004, "无效的HTTP HEADER Content-Type")
        self._check_rate(token)
        words = _STYLES[self.style]
        if len(request.body) > MAX_BYTES:
            raise Bad(460101, words["size"])
        try:
            message = request.json()
        except ValueError:
            message = None
        if not isinstance(message, dict) or not message:
            raise Bad(40035, "缺少参数 json")
        self._check_sender(robot, request)
        texts = message_texts(message)
        if robot.keywords and not all(any(word in text for word in robot.keywords) for text in texts):
            raise Bad(310000, words["keyword"])
        self._check_month()
        return message, texts

    def _check_rate(self, token: str) -> None:
        now = self.world.now()
        if (self.world.recall(f"dingtalk:penalty:{token}") or 0.0) > now:
            raise Bad(130101)
        if self.world.hits(f"dingtalk:robot:{token}", 60.0) >= PER_MINUTE:
            self.world.remember(f"dingtalk:penalty:{token}", now + PENALTY_S)
            raise Bad(130101)
        self.world.hit(f"dingtalk:robot:{token}")

    def _check_sender(self, robot: Robot, request: Request) -> None:
        words = _STYLES[self.style]
        if robot.addresses and not any(
            ipaddress.ip_address(request.client) in ipaddress.ip_network(allowed, strict=False)
            for allowed in robot.addresses
        ):
            raise Bad(310000, words["ip"].format(ip=request.client))
        if not robot.secret:
            return
        stamp, sign = request.query.get("timestamp", ""), request.query.get("sign", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
            raise Bad(310000, words["sign"])
        if abs(round(self.world.now() * 1000) - int(stamp)) > MAX_SKEW_MS:
            raise Bad(310000, words["timestamp"])
        if not hmac.compare_digest(robot_sign(robot.secret, stamp).encode(), sign.encode()):
            raise Bad(310000, words["sign"])

    def _check_month(self) -> None:
        if self.monthly is None:
            return
        month = datetime.fromtimestamp(self.world.now(), UTC) + timedelta(hours=8)
        key = f"dingtalk:month:{month:%Y-%m}"
        used = self.world.recall(key) or 0
        if used >= self.monthly:
            raise Bad(90030)
        self.world.remember(key, used + 1)

    def _session_send(self, request: Request) -> Answer:
        word = request.query.get("session", "")
        session = self.world.session(word)
        place = session.conversation if session else ""
        try:
            if request.method != "POST":
                raise Bad(43002, "需要POST请求")
            if not word:
                raise Bad(40035, "缺少参数 session")
            if session is None or session.until <= self.world.now():
                raise Bad(300001, "session 不存在")
            if request.content_type != "application/json":
                raise Bad(43004, "无效的HTTP HEADER Content-Type")
            if len(request.body) > MAX_BYTES:
                raise Bad(460101, _STYLES[self.style]["size"])
            try:
                message = request.json()
            except ValueError:
                message = None
            if not isinstance(message, dict) or not message:
                raise Bad(40035, "缺少参数 json")
            message_texts(message)
        except Bad as bad:
            self.world.happen("refused", "dingtalk", place, _shown(request), note=str(bad.code))
            return _old(bad.code, bad.text)
        self.world.happen("say", "dingtalk", place, message, person=session.person)
        return _old(0, "ok")

    # -- the app

    def _access_token(self, request: Request) -> Answer:
        body = _object_of(request)
        if request.method != "POST" or request.content_type != "application/json" or body is None:
            return problem(400, "invalidParameter", "请求参数不合法")
        client_id, secret = body.get("appKey"), body.get("appSecret")
        app = self.world.app("dingtalk", client_id) if isinstance(client_id, str) else None
        if app is None or not isinstance(secret, str) or not _same(app.client_secret, secret):
            return problem(400, "invalidClientIdOrSecret", "无效的clientId或者clientSecret")
        now = self.world.now()
        token, until = self.world.recall(f"dingtalk:token:{client_id}") or ("", 0.0)
        if until <= now:
            token = secrets.token_hex(16)
        self.world.remember(f"dingtalk:token:{client_id}", (token, now + TOKEN_TTL_S))
        return json_answer({"accessToken": token, "expireIn": int(TOKEN_TTL_S)})

    def _app_of(self, request: Request) -> App | None:
        given = request.headers.get("x-acs-dingtalk-access-token", "")
        for app in self.world.apps:
            if app.platform != "dingtalk":
                continue
            token, until = self.world.recall(f"dingtalk:token:{app.client_id}") or ("", 0.0)
            if token and _same(token, given) and until > self.world.now():
                return app
        return None

    def _sample(self, body: Mapping[str, Any], app: App) -> tuple[dict[str, Any], Answer | None]:
        """The message of `msgKey` and `msgParam`, or the answer that refuses it."""
        if body.get("robotCode") != app.client_id:
            return {}, problem(400, "invalidParameter.robotCode.auth", "robotCode与应用不匹配")
        key, param = body.get("msgKey"), body.get("msgParam")
        wanted = _PARAMS.get(key) if isinstance(key, str) else None
        if wanted is None:
            return {}, problem(400, "invalidParameter.msgKey.invalid", "msgKey不合法")
        if not isinstance(param, str):
            return {}, problem(400, "invalidParameter.msgParam.invalid", "msgParam不是字符串")
        if len(param.encode("utf-8", "replace")) > MAX_PARAM_BYTES:
            return {}, problem(400, "invalidParameter.msgParam.tooLong", "msgParam过长")
        try:
            values = json.loads(param)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or not all(
            isinstance(values.get(name), str) and (values[name] or name == "picUrl") for name in wanted
        ):
            return {}, problem(400, "invalidParameter.msgParam.invalid", f"msgParam缺少 {'、'.join(wanted)}")
        return {"msgKey": key, "msgParam": values}, None

    def _batch_send(self, request: Request, app: App) -> Answer:
        body = _object_of(request)
        if body is None:
            return problem(400, "invalidParameter", "请求参数不合法")
        message, refused = self._sample(body, app)
        if refused is not None:
            return self._refused(request, refused)
        ids = body.get("userIds")
        if not isinstance(ids, list) or not ids or not all(isinstance(one, str) and one for one in ids):
            return self._refused(request, problem(400, "staffId.notExisted", "userIds不合法"))
        if len(ids) > MAX_RECEIVERS:
            return self._refused(request, problem(400, "too.many.people", "一次最多20人"))
        invalid, controlled = [], []
        for staff in dict.fromkeys(ids):
            person = self.world.person("dingtalk", staff)
            if person is None or (app.corp and person.corp != app.corp):
                invalid.append(staff)
            elif not person.reachable:
                controlled.append(staff)
            else:
                self.world.happen("say", "dingtalk", person.chat, message, person=staff)
        return json_answer(
            {
                "processQueryKey": secrets.token_urlsafe(16),
                "invalidStaffIdList": invalid,
                "flowControlledStaffIdList": controlled,
            }
        )

    def _group_send(self, request: Request, app: App) -> Answer:
        body = _object_of(request)
        if body is None:
            return problem(400, "invalidParameter", "请求参数不合法")
        message, refused = self._sample(body, app)
        if refused is not None:
            return self._refused(request, refused)
        place = body.get("openConversationId")
        group = self.world.group("dingtalk", place) if isinstance(place, str) else None
        if group is None:
            return self._refused(request, problem(400, "invalid.openConversationId", "openConversationId不合法"))
        if not group.bot:
            return self._refused(request, problem(400, "robot.not.in.group", "机器人不在群内"))
        self.world.happen("say", "dingtalk", group.id, message)
        return json_answer({"processQueryKey": secrets.token_urlsafe(16)})

    def _refused(self, request: Request, refused: Answer) -> Answer:
        note = str(json.loads(refused.body)["code"])
        self.world.happen("refused", "dingtalk", "", _shown(request), note=note)
        return refused

    # -- interactive cards

    def _register(self, request: Request, app: App) -> Answer:
        """Where presses are posted, under a name that cards are made with; the same name again only with `forceUpdate`."""
        body = _object_of(request) or {}
        key, url, secret = body.get("callbackRouteKey"), body.get("callbackUrl"), body.get("apiSecret", "")
        if (
            not isinstance(key, str)
            or not key
            or not isinstance(secret, str)
            or body.get("forceUpdate", 0) not in (0, 1)
        ):
            return self._refused(request, problem(400, "param.error", "callbackRouteKey不合法"))
        if not isinstance(url, str) or not re.fullmatch(r"https?://[^\s/]+/\S*", url):
            return self._refused(request, problem(400, "param.error", "callbackUrl不合法"))
        known = self.world.recall(f"dingtalk:route:{app.client_id}:{key}")
        if known is not None and known != (url, secret) and body.get("forceUpdate") is not True:
            return self._refused(request, problem(400, "param.callbackRouteKeyExist", "callbackRouteKey已存在"))
        self.world.remember(f"dingtalk:route:{app.client_id}:{key}", (url, secret))
        return json_answer({"success": True, "result": {"callbackUrl": url, "apiSecret": secret}})

    def _create_card(self, request: Request, app: App) -> Answer:
        body = _object_of(request)
        if body is None:
            return problem(400, "invalidParameter", "请求参数不合法")
        track, values = body.get("outTrackId"), card_values(body.get("cardData"))
        if not isinstance(track, str) or not track or values is None:
            return self._refused(request, problem(400, "param.error", "outTrackId和cardData不合法"))
        if body.get("cardTemplateId") not in self.templates:
            return self._refused(request, problem(400, "param.templateNotExist", "卡片模板不存在"))
        if self.world.recall(f"dingtalk:card:{track}") is not None:
            return self._refused(request, problem(400, "param.cardAlreadyExist", "卡片已存在"))
        callback, route = body.get("callbackType"), body.get("callbackRouteKey", "")
        if callback not in (None, "STREAM", "HTTP") or body.get("userIdType", 1) not in (1, 2):
            return self._refused(request, problem(400, "param.error", "callbackType或userIdType不合法"))
        if callback == "HTTP" and self.world.recall(f"dingtalk:route:{app.client_id}:{route}") is None:
            return self._refused(request, problem(400, "param.callbackRouteKeyNotExist", "callbackRouteKey未注册"))
        space = body.get("openSpaceId")
        match = re.fullmatch(r"dtv1\.card//(IM_GROUP|IM_ROBOT)\.(.+)", space) if isinstance(space, str) else None
        if match is None:
            return self._refused(request, problem(400, "param.openSpaceIdInvalid", "openSpaceId不合法"))
        kind, where = match[1], match[2]
        model = body.get("imGroupOpenDeliverModel" if kind == "IM_GROUP" else "imRobotOpenDeliverModel")
        place, person, trouble = "", "", ""
        if kind == "IM_GROUP":
            group = self.world.group("dingtalk", where)
            place, trouble = (group.id, "") if group and group.bot else ("", "机器人不在群内")
        else:
            somebody = self.world.person("dingtalk", where)
            place, person, trouble = (somebody.chat, somebody.id, "") if somebody else ("", "", "用户不存在")
        if not isinstance(model, dict) or model.get("robotCode") != app.client_id:
            trouble = "robotCode不合法"
        if not trouble:
            card = Card(track, app.client_id, place, person, values, callback or "", str(route))
            self.world.remember(f"dingtalk:card:{track}", card)
            self.world.happen("say", "dingtalk", place, card.body, person=person, ref=track)
        delivered = {
            "spaceType": kind,
            "spaceId": where,
            "success": not trouble,
            "carrierId": "" if trouble else secrets.token_urlsafe(8),
            "errorMsg": trouble,
        }
        return json_answer({"success": True, "result": {"outTrackId": track, "deliverResults": [delivered]}})

    def _update_card(self, request: Request, app: App) -> Answer:
        body = _object_of(request)
        if body is None:
            return problem(400, "invalidParameter", "请求参数不合法")
        track, data, private = body.get("outTrackId"), body.get("cardData"), body.get("privateData")
        card = self.world.recall(f"dingtalk:card:{track}")
        if card is None or card.app != app.client_id:
            return self._refused(request, problem(400, "param.cardNotExist", "卡片不存在"))
        if not data and not private:
            return self._refused(request, problem(400, "param.cardDataAndPrivateDataBothEmpty", "卡片数据为空"))
        if not change_card(self.world, card, body):
            return self._refused(request, problem(400, "param.error", "cardData不合法"))
        return json_answer({"success": True, "result": True})


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _object_of(request: Request) -> dict[str, Any] | None:
    try:
        value = request.json()
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _shown(request: Request) -> Any:
    """The body for the log of refusals: as JSON where it is some, else as text."""
    try:
        return request.json()
    except ValueError:
        return request.body[:2000].decode("utf-8", "replace")

"""DingTalk: the vendor's one address, and the app's endpoints (`api.dingtalk.com`): tokens, messages, interactive cards.

What answers below `/robot/` is in `dingtalk_robots.py`, what a card is made of in `dingtalk_cards.py`.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from bot.sandbox.dingtalk_cards import Card, card_values, change_card
from bot.sandbox.dingtalk_robots import DingTalkRobots
from bot.sandbox.directory import App
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

MAX_PARAM_BYTES = 15_000
MAX_RECEIVERS = 20
TOKEN_TTL_S = 7200.0
CALLS_PER_SECOND = 20


def problem(status: int, code: str, text: str) -> Answer:
    """A failure of the app's endpoints."""
    return json_answer({"code": code, "requestid": secrets.token_hex(8).upper(), "message": text}, status)


class Refusal(Exception):
    """A call of the app that is refused with HTTP 400: code and words."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(text)


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

    robots     what answers below `/robot/`
    templates  ids of published card templates
    """

    name = "dingtalk"

    def __init__(self, world: World) -> None:
        self.world = world
        self.robots = DingTalkRobots(world)
        self.templates: set[str] = set()
        self._calls: dict[tuple[str, str], Callable[[dict[str, Any], App], Answer]] = {
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
        """Numbers get the robots' shape, words the app's (HTTP 400, or 403 and 500 where those are known)."""
        word = str(code)
        if word.lstrip("-").isdigit():
            return self.robots.refusal(int(word), text)
        status = 403 if word.startswith("Forbidden.") else 500 if word.startswith("system.") else 400
        return problem(status, word, text or word)

    def answer(self, request: Request) -> Answer:
        if request.path.startswith("/robot/"):
            return self.robots.answer(request)
        if request.path == "/v1.0/oauth2/accessToken":
            return self._access_token(request)
        if request.path not in {path for _, path in self._calls}:
            return problem(
                404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."
            )
        call = self._calls.get((request.method, request.path))
        if call is None:
            return problem(405, "UnsupportedHTTPMethod", "Specified method is not supported.")
        app = self._app_of(request)
        if app is None:
            return problem(400, "InvalidAuthentication", "不合法的access_token")
        if self.world.hits(f"dingtalk:{app.client_id}{request.path}", 1.0) >= CALLS_PER_SECOND:
            return problem(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "应用调用该接口的QPS超限")
        self.world.hit(f"dingtalk:{app.client_id}{request.path}")
        if request.content_type != "application/json":
            return problem(415, "UnsupportedContentType", "Specified content type is not supported.")
        body = request.json_object()
        if body is None and call != self._register:  # registering takes it for an empty one
            return problem(400, "invalidParameter", "请求参数不合法")
        try:
            return call(body or {}, app)
        except Refusal as refused:
            self.world.happen("refused", "dingtalk", "", request.shown, note=refused.code)
            return problem(400, refused.code, refused.text)

    def expire_tokens(self) -> None:
        """Every access token given out so far is void from now on."""
        for app in self.world.apps:
            self.world.remember(f"dingtalk:token:{app.client_id}", None)

    # -- who is asking

    def _access_token(self, request: Request) -> Answer:
        body = request.json_object()
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

    # -- messages

    def _batch_send(self, body: dict[str, Any], app: App) -> Answer:
        message = _sample_of(body, app)
        ids = body.get("userIds")
        if not isinstance(ids, list) or not ids or not all(isinstance(one, str) and one for one in ids):
            raise Refusal("staffId.notExisted", "userIds不合法")
        if len(ids) > MAX_RECEIVERS:
            raise Refusal("too.many.people", "一次最多20人")
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

    def _group_send(self, body: dict[str, Any], app: App) -> Answer:
        message = _sample_of(body, app)
        place = body.get("openConversationId")
        group = self.world.group("dingtalk", place) if isinstance(place, str) else None
        if group is None:
            raise Refusal("invalid.openConversationId", "openConversationId不合法")
        if not group.bot:
            raise Refusal("robot.not.in.group", "机器人不在群内")
        self.world.happen("say", "dingtalk", group.id, message)
        return json_answer({"processQueryKey": secrets.token_urlsafe(16)})

    # -- interactive cards

    def _register(self, body: dict[str, Any], app: App) -> Answer:
        """Where presses are posted, under a name that cards are made with; the same name again only with `forceUpdate`."""
        key, url, secret = body.get("callbackRouteKey"), body.get("callbackUrl"), body.get("apiSecret", "")
        if (
            not isinstance(key, str)
            or not key
            or not isinstance(secret, str)
            or body.get("forceUpdate", 0) not in (0, 1)
        ):
            raise Refusal("param.error", "callbackRouteKey不合法")
        if not isinstance(url, str) or not re.fullmatch(r"https?://[^\s/]+/\S*", url):
            raise Refusal("param.error", "callbackUrl不合法")
        known = self.world.recall(f"dingtalk:route:{app.client_id}:{key}")
        if known is not None and known != (url, secret) and body.get("forceUpdate") is not True:
            raise Refusal("param.callbackRouteKeyExist", "callbackRouteKey已存在")
        self.world.remember(f"dingtalk:route:{app.client_id}:{key}", (url, secret))
        return json_answer({"success": True, "result": {"callbackUrl": url, "apiSecret": secret}})

    def _create_card(self, body: dict[str, Any], app: App) -> Answer:
        track, values = body.get("outTrackId"), card_values(body.get("cardData"))
        if not isinstance(track, str) or not track or values is None:
            raise Refusal("param.error", "outTrackId和cardData不合法")
        if body.get("cardTemplateId") not in self.templates:
            raise Refusal("param.templateNotExist", "卡片模板不存在")
        if self.world.recall(f"dingtalk:card:{track}") is not None:
            raise Refusal("param.cardAlreadyExist", "卡片已存在")
        callback, route = body.get("callbackType"), body.get("callbackRouteKey", "")
        if callback not in (None, "STREAM", "HTTP") or body.get("userIdType", 1) not in (1, 2):
            raise Refusal("param.error", "callbackType或userIdType不合法")
        if callback == "HTTP" and self.world.recall(f"dingtalk:route:{app.client_id}:{route}") is None:
            raise Refusal("param.callbackRouteKeyNotExist", "callbackRouteKey未注册")
        space = body.get("openSpaceId")
        match = re.fullmatch(r"dtv1\.card//(IM_GROUP|IM_ROBOT)\.(.+)", space) if isinstance(space, str) else None
        if match is None:
            raise Refusal("param.openSpaceIdInvalid", "openSpaceId不合法")
        kind, where = match[1], match[2]
        place, person, trouble = self._space(kind, where)
        model = body.get("imGroupOpenDeliverModel" if kind == "IM_GROUP" else "imRobotOpenDeliverModel")
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

    def _space(self, kind: str, where: str) -> tuple[str, str, str]:
        """Conversation, whose it is when it is one-to-one, and why a card cannot go there, "" when it can."""
        if kind == "IM_GROUP":
            group = self.world.group("dingtalk", where)
            return (group.id, "", "") if group and group.bot else ("", "", "机器人不在群内")
        person = self.world.person("dingtalk", where)
        return (person.chat, person.id, "") if person else ("", "", "用户不存在")

    def _update_card(self, body: dict[str, Any], app: App) -> Answer:
        track, data, private = body.get("outTrackId"), body.get("cardData"), body.get("privateData")
        card = self.world.recall(f"dingtalk:card:{track}")
        if card is None or card.app != app.client_id:
            raise Refusal("param.cardNotExist", "卡片不存在")
        if not data and not private:
            raise Refusal("param.cardDataAndPrivateDataBothEmpty", "卡片数据为空")
        if not change_card(self.world, card, body):
            raise Refusal("param.error", "cardData不合法")
        return json_answer({"success": True, "result": True})


def _sample_of(body: Mapping[str, Any], app: App) -> dict[str, Any]:
    """The message of `msgKey` and `msgParam`."""
    if body.get("robotCode") != app.client_id:
        raise Refusal("invalidParameter.robotCode.auth", "robotCode与应用不匹配")
    key, param = body.get("msgKey"), body.get("msgParam")
    wanted = _PARAMS.get(key) if isinstance(key, str) else None
    if wanted is None:
        raise Refusal("invalidParameter.msgKey.invalid", "msgKey不合法")
    if not isinstance(param, str):
        raise Refusal("invalidParameter.msgParam.invalid", "msgParam不是字符串")
    if len(param.encode("utf-8", "replace")) > MAX_PARAM_BYTES:
        raise Refusal("invalidParameter.msgParam.tooLong", "msgParam过长")
    try:
        values = json.loads(param)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not all(
        isinstance(values.get(name), str) and (values[name] or name == "picUrl") for name in wanted
    ):
        raise Refusal("invalidParameter.msgParam.invalid", f"msgParam缺少 {'、'.join(wanted)}")
    return {"msgKey": key, "msgParam": values}


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))

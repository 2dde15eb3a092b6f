"""The paths of the chat platforms' robots on our host: what a tool posts to a robot there is taken as an alert.

Every answer has the form, the code and the status of the platform whose path it is, as its tools look at nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flask import Blueprint, Response, jsonify, request

from bot.bodies import Bodies
from bot.intake import Intake, NotStored, Overloaded, UnknownSource
from bot.web.alerts import MAX_BYTES, RETRY_AFTER_S
from handlers.errors import PayloadError
from handlers.sources import robot
from handlers.sources.contract import Body
from handlers.texts import render

Failure = Literal["unknown", "no token", "not json", "wrong", "too large", "too fast", "busy"]
"""What can go wrong. "busy": it could not be stored, and has to be sent again."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure as one platform says it; what was wrong is added to `text` where there is more to say."""

    code: int | str
    text: str
    status: int = 200


DINGTALK: Mapping[Failure, Refusal] = {
    "unknown": Refusal(300005, "token is not exist"),
    "no token": Refusal(40035, "缺少参数 access_token"),
    "not json": Refusal(40035, "缺少参数 json"),
    "wrong": Refusal(40035, "不合法的参数"),
    "too large": Refusal(460101, "message too long"),
    "too fast": Refusal(130101, "send too fast"),
    "busy": Refusal(-1, "系统繁忙"),
}
WECOM: Mapping[Failure, Refusal] = {
    "unknown": Refusal(93000, "invalid webhook url"),
    "no token": Refusal(93000, "invalid webhook url"),
    "not json": Refusal(40008, "Warning: wrong json format. invalid message type"),
    "wrong": Refusal(40058, "invalid Request Parameter"),
    "too large": Refusal(45002, "content size out of limit"),
    "too fast": Refusal(45009, "api freq out of limit"),
    "busy": Refusal(-1, "system busy"),
}
LARK: Mapping[Failure, Refusal] = {
    "unknown": Refusal(19001, "param invalid: incoming webhook access token invalid"),
    "not json": Refusal(9499, "Bad Request", 400),
    "wrong": Refusal(19002, "params error"),
    "too large": Refusal(9499, "Bad Request", 400),
    "too fast": Refusal(11232, "frequency limited"),
    "busy": Refusal(11232, "frequency limited", 503),  # it has no code for this; tools try again after either
}
SLACK: Mapping[Failure, Refusal] = {
    "unknown": Refusal("no_service", "", 404),
    "not json": Refusal("invalid_payload", "", 400),
    "wrong": Refusal("invalid_payload", "", 400),
    "too large": Refusal("invalid_payload", "", 413),
    "too fast": Refusal("rate_limited", "", 429),
    "busy": Refusal("service_unavailable", "", 503),
}
"""Codes of the platforms' own pages, see the channels of the same names."""


def _errcode(code: int | str, text: str) -> Response:
    return jsonify(errcode=code, errmsg=text)


def _lark(code: int | str, text: str) -> Response:
    if code == 0:
        return jsonify(StatusCode=0, StatusMessage="success", code=0, data={}, msg="success")
    return jsonify(code=code, data={}, msg=text)


def _slack(code: int | str, _text: str) -> Response:
    return Response("ok" if code == 0 else str(code), mimetype="text/plain")


@dataclass(frozen=True, slots=True)
class Vendor:
    """How one platform's robots answer."""

    name: str
    refusals: Mapping[Failure, Refusal]
    answer: Callable[[int | str, str], Response]

    def took(self) -> Response:
        return self.answer(0, "ok")

    def refused(self, failure: Failure, more: str = "") -> Response:
        refusal = self.refusals[failure]
        response = self.answer(refusal.code, f"{refusal.text}: {more}" if more else refusal.text)
        response.status_code = refusal.status
        if failure in ("too fast", "busy"):
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response


def blueprint(intake: Intake, bodies: Bodies, clock: Callable[[], datetime], new_id: Callable[[], str]) -> Blueprint:
    """`new_id` gives every post an id of its own."""
    routes = Blueprint("robot", __name__)

    def take(vendor: Vendor, token: str) -> Response:
        if request.content_length is not None and request.content_length > MAX_BYTES:
            return vendor.refused("too large")
        source = intake.source_of(token)
        if source is None or source.kind != robot.NAME:
            return vendor.refused("unknown")
        body = Body(request.get_data(cache=False), request.content_type or "")
        if len(body.raw) > MAX_BYTES:
            return vendor.refused("too large")
        failure: Failure = "not json"
        try:
            message = robot.message(vendor.name, body)
            failure = "wrong"
            alert = robot.posted(vendor.name, message, clock(), new_id())
        except PayloadError as error:
            bodies.refused(source, body.raw, error)
            return vendor.refused(failure, f"{error.path}: {render(error.say, 'en')}")
        try:
            intake.accept(source, token, [alert])
        except Overloaded:
            return vendor.refused("too fast")
        except NotStored:
            return vendor.refused("busy")
        except UnknownSource:
            return vendor.refused("unknown")
        return vendor.took()

    dingtalk = Vendor("dingtalk", DINGTALK, _errcode)
    wecom = Vendor("wecom", WECOM, _errcode)
    lark = Vendor("lark", LARK, _lark)
    slack = Vendor("slack", SLACK, _slack)

    @routes.post("/robot/send")
    def dingtalk_in() -> Response:
        token = request.args.get("access_token", "")
        return take(dingtalk, token) if token else dingtalk.refused("no token")

    @routes.post("/cgi-bin/webhook/send")
    def wecom_in() -> Response:
        token = request.args.get("key", "")
        return take(wecom, token) if token else wecom.refused("no token")

    @routes.post("/open-apis/bot/v2/hook/<token>")
    def lark_in(token: str) -> Response:
        return take(lark, token)

    @routes.post("/services/<_workspace>/<_hook>/<token>")
    def slack_in(_workspace: str, _hook: str, token: str) -> Response:
        return take(slack, token)

    return routes

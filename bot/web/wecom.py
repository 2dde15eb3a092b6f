"""`/wecom/app` and `/wecom/bot`: what people say to the self-built app (XML) and to the smart robot (JSON)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, request

from bot.platforms import wecom_app, wecom_robot, wecom_xml
from bot.platforms.contract import Incoming
from bot.platforms.wecom_crypto import Envelope, Forged
from bot.web.alerts import MAX_BYTES, refusal
from handlers.errors import PayloadError
from handlers.texts import render

SKEW_S = 600.0
"""WeCom names no age at which a callback is void, only that its time guards against replays."""

_FORGED = "The signature does not match, its timestamp is more than ten minutes away, or the message cannot be opened."


def blueprint(
    corp_id: str,
    app: Envelope | None,
    robot: Envelope | None,
    take_in: Callable[[Incoming], object],
    clock: Callable[[], datetime],
) -> Blueprint:
    """The routes exist always; where WeCom is not set up (no envelope) they say so."""
    routes = Blueprint("wecom", __name__)

    def from_app(outer: bytes) -> Incoming | None:
        encrypted = wecom_xml.fields(outer.decode()).get("Encrypt", "")
        return wecom_app.decode(wecom_xml.fields(_opened(app, encrypted, clock())), corp_id)

    def from_robot(outer: bytes) -> Incoming | None:
        body = json.loads(outer)
        encrypted = body.get("encrypt", body.get("Encrypt")) if isinstance(body, dict) else None
        inner = _opened(robot, encrypted if isinstance(encrypted, str) else "", clock())
        return wecom_robot.decode(json.loads(inner), corp_id, clock())

    def heard(decode: Callable[[bytes], Incoming | None]) -> Response:
        """Takes the message in, then answers with nothing: what there is to say follows on its own."""
        if request.content_length is not None and request.content_length > MAX_BYTES:
            return refusal(413, "The body is too large.")
        outer = request.get_data(cache=False)
        if len(outer) > MAX_BYTES:
            return refusal(413, "The body is too large.")
        try:
            incoming = decode(outer)
        except Forged:
            return refusal(401, _FORGED)
        except PayloadError as error:
            return refusal(400, f"{error.path}: {render(error.say, 'en')}", path=error.path)
        except (ValueError, RecursionError):
            return refusal(400, "The body is not what WeCom sends.")
        if incoming is not None:
            take_in(incoming)
        return _text("")

    def verified(envelope: Envelope | None) -> Response:
        """The answer to WeCom's question, when the address is saved there, whether we know token and key."""
        try:
            echo = _opened(envelope, _parameter("echostr"), clock())
        except Forged:
            return refusal(401, _FORGED)
        if echo.startswith(("<xml", "{")):
            # A message sent as a question, with the signature it came with, would be told to whoever asks.
            return refusal(401, _FORGED)
        return _text(echo)

    @routes.get("/wecom/app")
    def verify_app() -> Response:
        return verified(app) if app else refusal(404, _NO_APP)

    @routes.post("/wecom/app")
    def app_message() -> Response:
        return heard(from_app) if app else refusal(404, _NO_APP)

    @routes.get("/wecom/bot")
    def verify_robot() -> Response:
        return verified(robot) if robot else refusal(404, _NO_ROBOT)

    @routes.post("/wecom/bot")
    def robot_message() -> Response:
        return heard(from_robot) if robot else refusal(404, _NO_ROBOT)

    return routes


_NO_APP = "The WeCom app is not set up here: WECOM_CORP_ID, WECOM_TOKEN and WECOM_AES_KEY are needed."
_NO_ROBOT = "The WeCom robot is not set up here: WECOM_CORP_ID, WECOM_BOT_TOKEN and WECOM_BOT_AES_KEY are needed."


def _opened(envelope: Envelope | None, encrypted: str, now: datetime) -> str:
    """The message inside, checked with what the address carries. Raises Forged."""
    timestamp, nonce = _parameter("timestamp"), _parameter("nonce")
    if envelope is None or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 14):
        raise Forged("no time")
    message = envelope.opened(_parameter("msg_signature"), timestamp, nonce, encrypted)
    if abs(now.timestamp() - int(timestamp)) > SKEW_S:
        raise Forged("too old, or from the future")
    return message


def _parameter(name: str) -> str:
    """A parameter of the address, decoded once; "" for one that is missing or stands there twice."""
    found = request.args.getlist(name)
    return found[0] if len(found) == 1 else ""


def _text(body: str) -> Response:
    return Response(body, content_type="text/plain; charset=utf-8")

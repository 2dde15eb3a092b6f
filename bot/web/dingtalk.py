"""`POST /dingtalk/messages`: what people say to the robot, in HTTP mode."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, jsonify, request

from bot.platforms import dingtalk
from bot.platforms.contract import Incoming
from bot.web.alerts import MAX_BYTES, refusal
from handlers.errors import PayloadError
from handlers.texts import render
from storage.schema import to_ms


def blueprint(client_secret: str, take_in: Callable[[Incoming], object], clock: Callable[[], datetime]) -> Blueprint:
    """The route exists always; where DingTalk is not set up (no secret) it says so."""
    routes = Blueprint("dingtalk", __name__)

    @routes.post("/dingtalk/messages")
    def messages() -> Response:
        if not client_secret:
            return refusal(
                404, "DingTalk is not set up here: DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET are missing."
            )
        if not dingtalk.verify(dict(request.headers), client_secret, to_ms(clock())):
            return refusal(401, "The signature does not match, or its timestamp is more than an hour away.")
        if request.content_length is not None and request.content_length > MAX_BYTES:
            return refusal(413, "The body is too large.")
        try:
            body = json.loads(request.get_data(cache=False))
            if not isinstance(body, dict):
                raise PayloadError("$", "expected an object")
            incoming = dingtalk.decode(body)
        except PayloadError as error:
            return refusal(400, f"{error.path}: {render(error.say, 'en')}", path=error.path)
        except (ValueError, RecursionError):
            return refusal(400, "The body is not JSON.")
        if incoming is not None:
            take_in(incoming)
        # "empty" is DingTalk's word for "no answer here": answers go to the session webhook.
        return jsonify(msgtype="empty")

    return routes

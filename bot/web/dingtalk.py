"""In HTTP mode: `POST /dingtalk/messages`, what people say to the robot; `POST /dingtalk/cards`, the buttons they press."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, jsonify, request

from bot.platforms import dingtalk, dingtalk_cards
from bot.platforms.contract import Incoming
from bot.platforms.dingtalk_app import CARDS_PATH, card_secret
from bot.web.alerts import MAX_BYTES, refusal
from handlers.buttons import ForgedButton
from handlers.errors import PayloadError
from handlers.exchange import Outcome
from handlers.texts import render
from storage.schema import to_ms

NOT_SET_UP = "DingTalk is not set up here: DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET are missing."


def blueprint(
    client_secret: str,
    take_in: Callable[[Incoming], object],
    carry_out: Callable[[Incoming], Outcome | None],
    clock: Callable[[], datetime],
) -> Blueprint:
    """The routes exist always; where DingTalk is not set up (no secret) they say so."""
    routes = Blueprint("dingtalk", __name__)

    @routes.post("/dingtalk/messages")
    def messages() -> Response:
        if not client_secret:
            return refusal(404, NOT_SET_UP)
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

    @routes.post(CARDS_PATH)
    def cards() -> Response:
        if not client_secret:
            return refusal(404, NOT_SET_UP)
        if not dingtalk.verify_card(dict(request.headers), card_secret(client_secret)):
            return refusal(401, "The signature does not match.")
        if request.content_length is not None and request.content_length > MAX_BYTES:
            return refusal(413, "The body is too large.")
        raw = request.get_data(cache=False)
        stamp = request.headers["x-ddpaas-signature-timestamp"]
        try:
            body = json.loads(raw)
            # Presses have no id. The signature does not tell how old it may be; so the same request counts only once.
            delivery = hashlib.sha256(stamp.encode("utf-8", "surrogatepass") + b"\n" + raw).hexdigest()
            return jsonify(dingtalk_cards.pressed(body, delivery, carry_out))
        except ForgedButton:
            return refusal(403, "This is no button of ours.")
        except PayloadError as error:
            return refusal(400, f"{error.path}: {render(error.say, 'en')}", path=error.path)
        except (ValueError, RecursionError):
            return refusal(400, "The body is not JSON.")

    return routes

"""`POST /lark/events`: what people say to the Lark or Feishu app, what they press, and the check of the address."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, jsonify, request

from bot.http import Http
from bot.platforms import lark, lark_press
from bot.platforms.contract import Incoming
from bot.platforms.lark import LarkCredentials
from bot.platforms.lark_callback import Forged, opened
from bot.web.alerts import MAX_BYTES, refusal
from handlers.buttons import ForgedButton
from handlers.errors import PayloadError
from handlers.exchange import Outcome
from handlers.texts import render


def blueprint(
    app: LarkCredentials | None,
    http: Http,
    take_in: Callable[[Incoming], object],
    carry_out: Callable[[Incoming], Outcome | None],
    clock: Callable[[], datetime],
) -> Blueprint:
    """The route exists always; where Lark is not set up it says so. `http` learns who the bot is.

    take_in    stores what was said, to be handled later
    carry_out  does what was pressed: the answer to that callback shows what became of it
    """
    routes = Blueprint("lark", __name__)

    @routes.post("/lark/events")
    def events() -> Response:
        if app is None or not (app.encrypt_key or app.verification_token):
            return refusal(
                404,
                "Lark is not set up here: it takes LARK_APP_ID, LARK_APP_SECRET, LARK_VERIFICATION_TOKEN and better"
                " LARK_ENCRYPT_KEY too.",
            )
        if request.content_length is not None and request.content_length > MAX_BYTES:
            return refusal(413, "The body is too large.")
        try:
            body = opened(
                request.get_data(cache=False),
                dict(request.headers),
                encrypt_key=app.encrypt_key,
                verification_token=app.verification_token,
                now=clock(),
            )
        except Forged:
            return refusal(401, "This is not a fresh request with the app's signature, key and token.")
        if body.get("type") == "url_verification":
            challenge = body.get("challenge")
            if not isinstance(challenge, str):
                return refusal(400, "$.challenge: expected a text", path="$.challenge")
            return Response(json.dumps({"challenge": challenge}), mimetype="application/json")
        if not lark.is_for(body, app.app_id):
            return refusal(403, "This event is for another app.")
        try:
            if lark_press.is_press(body):
                pressed = lark_press.decode(body)
                return jsonify(lark_press.response(carry_out(pressed)) if pressed else {})
            incoming = lark.decode(body, lambda: app.own_id.get(http))
        except PayloadError as error:
            return refusal(400, f"{error.path}: {render(error.say, 'en')}", path=error.path)
        except ForgedButton:
            return refusal(403, "This button is not one of ours.")
        if incoming is not None:
            take_in(incoming)
        return jsonify({})

    return routes

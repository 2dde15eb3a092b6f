"""`POST /alerts/<kind>/<token>`: alerts in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, jsonify, request

from bot.intake import Intake, NotStored, Overloaded, UnknownSource
from handlers.errors import PayloadError
from handlers.sources import SOURCES
from handlers.sources.contract import Body
from handlers.texts import render

MAX_BYTES = 1024 * 1024
RETRY_AFTER_S = 2


def refusal(status: int, error: str, **more: object) -> Response:
    """An error as JSON: one sentence, and where it concerns one field, its path. English, for logs of machines."""
    response = jsonify(error=error, **more)
    response.status_code = status
    return response


def blueprint(intake: Intake, clock: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint("alerts", __name__)

    @routes.post("/alerts/<kind>/<token>")
    def alerts_in(kind: str, token: str) -> Response:
        if request.content_length is not None and request.content_length > MAX_BYTES:
            return refusal(413, f"The body is larger than {MAX_BYTES} bytes; send fewer alerts at once.")
        source = intake.source_of(token)
        if source is None or source.kind != kind or kind not in SOURCES:
            return refusal(401, "Unknown alert source: check the URL, or get a new one with `source rotate <name>`.")
        raw = request.get_data(cache=False)
        if len(raw) > MAX_BYTES:
            return refusal(413, f"The body is larger than {MAX_BYTES} bytes; send fewer alerts at once.")
        try:
            report = SOURCES[kind].parse(Body(raw, request.content_type or ""), clock())
        except PayloadError as error:
            return refusal(400, f"{error.path}: {render(error.say, 'en')}", path=error.path)
        try:
            ids = intake.accept(source, token, report)
        except Overloaded:
            response = refusal(429, "Too many alerts at once; try again in a moment.")
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response
        except NotStored:
            response = refusal(503, "The alerts could not be stored; send them again.")
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response
        except UnknownSource:
            return refusal(401, "This alert source was removed, or has a new URL.")
        return jsonify(accepted=len(ids), alerts=list(ids))

    return routes

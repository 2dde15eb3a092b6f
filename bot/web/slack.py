"""`POST /slack/events`: events, slash commands and interactivity."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, request

from bot.platforms.slack_callback import verify
from bot.platforms.slack_routing import SlackRouting, is_ssl_check, payload_of
from bot.web.alerts import MAX_BYTES, refusal
from handlers.buttons import ForgedButton
from handlers.errors import PayloadError
from handlers.texts import render


def blueprint(signing_secret: str, routing: SlackRouting | None, clock: Callable[[], datetime]) -> Blueprint:
    """The route exists always; where Slack is not set up for HTTP (no secret) it says so."""
    routes = Blueprint("slack", __name__)

    @routes.post("/slack/events")
    def events() -> Response:
        if routing is None or not signing_secret:
            return refusal(404, "Slack is not set up here: SLACK_BOT_TOKEN and SLACK_SIGNING_SECRET are missing.")
        if request.content_length is not None and request.content_length > MAX_BYTES:
            return refusal(413, "The body is too large.")
        # Not `request.form`: whoever reads that first leaves no body to check the signature of.
        raw = request.get_data(cache=True, parse_form_data=False)
        if len(raw) > MAX_BYTES:
            return refusal(413, "The body is too large.")
        if is_ssl_check(raw):
            return Response("", content_type="text/plain; charset=utf-8")
        if not verify(dict(request.headers), raw, signing_secret, clock().timestamp()):
            return refusal(401, "The signature does not match, or its timestamp is more than five minutes away.")
        try:
            payload = payload_of(raw, request.content_type or "")
            answer = routing.dispatch(payload, request.headers.get("X-Slack-Signature", ""))
        except PayloadError as error:
            response = refusal(400, f"{error.path}: {render(error.say, 'en')}", path=error.path)
            response.headers["X-Slack-No-Retry"] = "1"  # it would be as wrong the next time
            return response
        except ForgedButton:
            return refusal(403, "This button is not one of ours.")
        return Response(answer.body or "", answer.status, content_type=answer.first_headers().get("content-type"))

    return routes

"""`POST /receipts/<channel>/<token>`: the provider says what became of SMS and calls.

It repeats what is not answered with HTTP 200 and `{"code": 0}` after 1, 5 and 10 minutes, and then gives up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, jsonify, request

from bot.web.alerts import refusal
from handlers import receipts
from handlers.context import Rules
from handlers.errors import PayloadError
from handlers.texts import render
from storage import lanes
from storage import receipts as kept
from storage.database import Database

log = logging.getLogger(__name__)

MAX_BYTES = 1024 * 1024


def blueprint(
    database: Database, rules: Rules, clock: Callable[[], datetime], wake_worker: Callable[[], None]
) -> Blueprint:
    routes = Blueprint("receipts", __name__)

    @routes.post("/receipts/<channel>/<token>")
    def receipts_in(channel: str, token: str) -> Response:
        if channel not in receipts.PARSERS or not receipts.is_token(database.vault, channel, token):
            return refusal(401, "Unknown receipt address: `status` shows admins the right one.")
        if (request.content_length or 0) > MAX_BYTES:
            return refusal(413, f"The body is larger than {MAX_BYTES} bytes.")
        raw = request.get_data(cache=False)
        if len(raw) > MAX_BYTES:
            return refusal(413, f"The body is larger than {MAX_BYTES} bytes.")
        try:
            reports = receipts.PARSERS[channel](raw)
        except PayloadError as error:
            return refusal(400, f"{error.path}: {render(error.say, 'en')}", path=error.path)
        early = 0
        now = clock()
        woken: set[str] = set()
        with database.write() as tx:
            if reports and not kept.are_pushed(tx, channel):
                kept.pushed(tx, channel)
            for report in reports:
                try:
                    woken |= receipts.received(tx, report, rules, now)
                except receipts.TooEarly:
                    early += 1
            if tx.sqlite:
                lanes.wake(tx, woken, now)
        if woken:
            _wake(database, woken, now, wake_worker)
        if early:
            log.info("receipts came before the answers to their sends", extra={"receipts": early})
            response = jsonify(code=1, msg="too early, send it again")
            response.status_code = 503
            return response
        return jsonify(code=0, msg="ok")

    return routes


def _wake(database: Database, woken: set[str], now: datetime, wake_worker: Callable[[], None]) -> None:
    """On PostgreSQL a transaction of its own, which alone may wait for a lane that is being worked on."""
    if not database.sqlite:
        with database.write() as tx:
            lanes.wake(tx, woken, now)
    wake_worker()

"""`/healthz`, `/readyz`, `/metrics`. None of them calls a platform."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from flask import Blueprint, Response, jsonify

from bot.metrics import CONTENT_TYPE, Heartbeats, Metrics
from bot.web.front import Answer, Tell
from storage.database import Database

log = logging.getLogger(__name__)

STALE_S = 45.0
"""A loop not seen for so long hangs; longer than the longest send."""


READY_S = 4.0
"""How long the database may take for its answer; most who ask wait for less than ten seconds."""


def _alive(heartbeats: Heartbeats) -> tuple[int, dict[str, object]]:
    hanging = heartbeats.stale(heartbeats.clock(), STALE_S)
    return (503 if hanging else 200), {"status": "hanging" if hanging else "ok", "hanging": hanging}


class QuickHealth:
    """`/healthz` in the server's loop: it says that we are alive also while every thread waits for the database."""

    def __init__(self, heartbeats: Heartbeats) -> None:
        self._heartbeats = heartbeats

    def take(self, method: str, path: str, content_type: str, body: bytes, tell: Tell) -> bool:  # noqa: ARG002
        if method != "GET" or path != "/healthz":
            return False
        status, said = _alive(self._heartbeats)
        text = json.dumps(said).encode() + b"\n"
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        asyncio.get_running_loop().call_soon(tell, Answer(status, headers, text))
        return True


class Probe:
    """Asks something that may never answer, in a thread of its own, and never twice at the same time."""

    def __init__(self, ask: Callable[[], str], none: str) -> None:
        """`none` is the answer when there is none in time."""
        self._ask = ask
        self._none = none
        self._lock = threading.Lock()
        self._asked: Future[str] | None = None

    def answer(self, timeout_s: float) -> str:
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(target=self._run, args=(self._asked,), name="probe", daemon=True).start()
            asked = self._asked
        try:
            return asked.result(timeout_s)
        except TimeoutError:
            return self._none

    def _run(self, asked: Future[str]) -> None:
        try:
            asked.set_result(self._ask())
        except Exception:
            log.exception("the database could not be asked")
            asked.set_result("unreachable")


def blueprint(database: Database, metrics: Metrics, heartbeats: Heartbeats) -> Blueprint:
    routes = Blueprint("health", __name__)
    probe = Probe(database.problem, "no answer")

    @routes.get("/healthz")
    def healthz() -> Response:
        status, said = _alive(heartbeats)
        response = jsonify(said)
        response.status_code = status
        return response

    @routes.get("/readyz")
    def readyz() -> Response:
        problems = [f"{name} hangs" for name in heartbeats.stale(heartbeats.clock(), STALE_S)]
        database_problem = probe.answer(READY_S)
        if database_problem:
            problems.append(f"database: {database_problem}")
        response = jsonify(status="not ready" if problems else "ready", problems=problems)
        response.status_code = 503 if problems else 200
        return response

    @routes.get("/metrics")
    def metrics_page() -> Response:
        return Response(metrics.render(), content_type=CONTENT_TYPE)

    return routes

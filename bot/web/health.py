"""`/healthz`, `/readyz`, `/metrics`. None of them calls a platform."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from bot.metrics import CONTENT_TYPE, Heartbeats, Metrics
from storage.database import Database

STALE_S = 45.0
"""A loop not seen for so long hangs; longer than the longest send."""


def blueprint(database: Database, metrics: Metrics, heartbeats: Heartbeats) -> Blueprint:
    routes = Blueprint("health", __name__)

    def stale() -> list[str]:
        return heartbeats.stale(heartbeats.clock(), STALE_S)

    @routes.get("/healthz")
    def healthz() -> Response:
        hanging = stale()
        response = jsonify(status="hanging" if hanging else "ok", hanging=hanging)
        response.status_code = 503 if hanging else 200
        return response

    @routes.get("/readyz")
    def readyz() -> Response:
        problems = [f"{name} hangs" for name in stale()]
        database_problem = database.problem()
        if database_problem:
            problems.append(f"database: {database_problem}")
        response = jsonify(status="not ready" if problems else "ready", problems=problems)
        response.status_code = 503 if problems else 200
        return response

    @routes.get("/metrics")
    def metrics_page() -> Response:
        return Response(metrics.render(), content_type=CONTENT_TYPE)

    return routes

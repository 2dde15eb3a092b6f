"""Slack's Socket Mode: the WebSocket behind the addresses that `apps.connections.open` gives out.

Page: https://docs.slack.dev/apis/events-api/using-socket-mode.
"""

from __future__ import annotations

import contextlib
import http
import json
import secrets
import socket
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HandshakeRequest
from websockets.http11 import Response as HandshakeResponse
from websockets.sync.server import Server, ServerConnection, serve

from bot.sandbox.slack_app import SlackApp, Workspace

APP_CONNECTIONS = 10


class SocketGateway:
    """See the module; it has its own loopback port. `with SocketGateway(stand_in) as gateway: …`."""

    def __init__(self, stand_in: SlackApp) -> None:
        self._stand_in = stand_in
        self._tickets: set[str] = set()
        self._lines: list[ServerConnection] = []
        self._acks: dict[str, dict[str, Any]] = {}
        self._opened = 0
        self._changed = threading.Condition()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    def __enter__(self) -> SocketGateway:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = serve(
            self._serve, sock=listener, process_request=self._admit, ping_interval=None, close_timeout=1.0
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="sandbox-slack-socket", daemon=True)
        self._thread.start()
        self._stand_in.socket_url = self._new_url
        return self

    def __exit__(self, *_error: object) -> None:
        self._stand_in.socket_url = None
        if self._server is None or self._thread is None:
            return
        self.cut()
        self._server.shutdown()
        self._thread.join(5.0)

    def _new_url(self, workspace: Workspace) -> str:
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        return f"ws://127.0.0.1:{self.port}/link/?ticket={ticket}&app_id={workspace.app_id}"

    # -- what tests and clients ask for

    def wait_opened(self, count: int, timeout_s: float) -> bool:
        """Whether so many connections have been made in all, now or within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._opened >= count, timeout_s)

    def push(self, kind: str, payload: dict[str, Any], *, envelope_id: str = "", timeout_s: float = 10.0) -> bool:
        """Sends one envelope over one connection; whether it was acknowledged in time."""
        return self.exchange(kind, payload, envelope_id=envelope_id, timeout_s=timeout_s) is not None

    def exchange(
        self, kind: str, payload: dict[str, Any], *, envelope_id: str = "", timeout_s: float = 10.0
    ) -> dict[str, Any] | None:
        """The same; the acknowledgement, which may carry an answer."""
        envelope_id = envelope_id or secrets.token_hex(8)
        frame = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if not self.send(frame):
            return None
        with self._changed:
            self._changed.wait_for(lambda: envelope_id in self._acks, timeout_s)
            return self._acks.get(envelope_id)

    def ack(self, envelope_id: str) -> dict[str, Any] | None:
        """What was acknowledged, None when nothing was."""
        with self._changed:
            return self._acks.get(envelope_id)

    def send(self, frame: object) -> bool:
        """Any frame over the newest connection; False when there is none. A text is sent as it is."""
        with self._changed:
            line = self._lines[-1] if self._lines else None
        if line is None:
            return False
        try:
            line.send(frame if isinstance(frame, str) else json.dumps(frame))
        except ConnectionClosed:
            return False
        return True

    def refresh(self, reason: str = "refresh_requested") -> bool:
        """Asks for a new connection, as Slack does every few hours."""
        return self.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}})

    def cut(self) -> None:
        """Breaks every connection."""
        with self._changed:
            lines = list(self._lines)
        for line in lines:
            with contextlib.suppress(OSError):
                line.socket.shutdown(socket.SHUT_RDWR)

    # -- connections

    def _admit(self, connection: ServerConnection, request: HandshakeRequest) -> HandshakeResponse | None:
        ticket = parse_qs(urlsplit(request.path).query).get("ticket", [""])[0]
        with self._changed:
            if ticket not in self._tickets or len(self._lines) >= APP_CONNECTIONS:
                return connection.respond(http.HTTPStatus.UNAUTHORIZED, "ticket is used or unknown")
            self._tickets.discard(ticket)
        return None

    def _serve(self, line: ServerConnection) -> None:
        with self._changed:
            self._lines.append(line)
        try:
            line.send(json.dumps({"type": "hello", "num_connections": len(self._lines)}))
            with self._changed:
                self._opened += 1
                self._changed.notify_all()
            for raw in line:
                answer = json.loads(raw)
                with self._changed:
                    self._acks[str(answer.get("envelope_id"))] = answer
                    self._changed.notify_all()
        except ConnectionClosed:
            return
        finally:
            with self._changed:
                self._lines.remove(line)
                self._changed.notify_all()

"""DingTalk's Stream gateway: the endpoint that hands out tickets, and the WebSocket behind it.

Page: https://opensource.dingtalk.com/developerpedia/docs/learn/stream/protocol.
"""

from __future__ import annotations

import contextlib
import http
import json
import random
import secrets
import socket
import threading
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HandshakeRequest
from websockets.http11 import Response as HandshakeResponse
from websockets.sync.server import Server, ServerConnection, serve

from bot.sandbox.dingtalk import problem
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

TICKET_TTL_S = 90.0
MESSAGES = "/v1.0/im/bot/messages/get"
CARDS = "/v1.0/card/instances/callback"


@dataclass(frozen=True, slots=True)
class Ticket:
    client_id: str
    topics: frozenset[str]
    until: float


@dataclass(frozen=True, slots=True)
class Ack:
    """What a client answered to a frame; `data` is decoded."""

    message_id: str
    code: int
    message: str
    data: Any


@dataclass(eq=False, slots=True)
class _Line:
    """An open connection."""

    socket: ServerConnection
    ticket: Ticket
    id: str = field(default_factory=lambda: secrets.token_hex(8))


class StreamGateway:
    """See the module; its WebSocket has its own loopback port. Clients are apps of the platform "dingtalk"."""

    name = "dingtalk"

    def __init__(self, world: World) -> None:
        self.world = world
        self.port = 0
        self._tickets: dict[str, Ticket] = {}
        self._lines: list[_Line] = []
        self._acks: dict[str, Ack] = {}
        self._opened = 0
        self._changed = threading.Condition()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    # -- lifetime

    def start(self) -> None:
        """Listen."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = serve(
            self._serve,
            sock=listener,
            process_request=self._admit,
            ping_interval=None,
            close_timeout=1.0,
            compression=None,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="sandbox-stream", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._server is None or self._thread is None:
            return
        self.cut()
        self._server.shutdown()
        self._thread.join(5.0)
        self._server = self._thread = None

    @property
    def endpoint(self) -> str:
        return f"ws://127.0.0.1:{self.port}/connect"

    # -- tickets

    def owns(self, request: Request) -> bool:
        return request.path == "/v1.0/gateway/connections/open"

    def keys(self, request: Request) -> tuple[str, ...]:
        return (f"dingtalk:{request.path}", "dingtalk")

    def refusal(self, code: str | int, text: str) -> Answer:
        return problem(401 if str(code) == "authFailed" else 400, str(code), text or str(code))

    def answer(self, request: Request) -> Answer:
        if request.method != "POST":
            return problem(405, "UnsupportedHTTPMethod", "Specified method is not supported.")
        body = request.json_object()
        if request.content_type != "application/json" or body is None:
            return problem(400, "invalidParameter", "请求参数不合法")
        client_id, secret = body.get("clientId"), body.get("clientSecret")
        app = self.world.app("dingtalk", client_id) if isinstance(client_id, str) else None
        if (
            app is None
            or not isinstance(secret, str)
            or not secrets.compare_digest(app.client_secret.encode(), secret.encode("utf-8", "replace"))
        ):
            return problem(401, "authFailed", "clientId或clientSecret不正确")
        topics = _topics(body.get("subscriptions"))
        if not topics:
            return problem(400, "subscriptionsIsEmpty", "subscriptions不合法")
        word = secrets.token_hex(16)
        with self._changed:
            self._tickets[word] = Ticket(app.client_id, topics, self.world.now() + TICKET_TTL_S)
        if "json" not in request.headers.get("accept", ""):
            page = f"<Response><endpoint>{self.endpoint}</endpoint><ticket>{word}</ticket></Response>"
            return Answer(page.encode(), 200, "application/xml; charset=utf-8")
        return json_answer({"endpoint": self.endpoint, "ticket": word})

    # -- the socket

    def _admit(self, connection: ServerConnection, request: HandshakeRequest) -> HandshakeResponse | None:
        """A ticket lets one connection in, within 90 seconds."""
        parts = urlsplit(request.path)
        word = parse_qs(parts.query).get("ticket", [""])[0]
        with self._changed:
            ticket = self._tickets.pop(word, None)
        if parts.path != "/connect" or ticket is None or ticket.until < self.world.now():
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "ticket is invalid\n")
        connection.ticket = ticket  # type: ignore[attr-defined]  # the library offers no place of its own for this
        return None

    def _serve(self, connection: ServerConnection) -> None:
        line = _Line(connection, connection.ticket)  # type: ignore[attr-defined]  # see _admit
        with self._changed:
            self._lines.append(line)
            self._opened += 1
            self._changed.notify_all()
        try:
            for frame in connection:
                self._take(frame)
        except (ConnectionClosed, OSError):
            pass
        finally:
            with self._changed:
                self._lines.remove(line)
                self._changed.notify_all()

    def _take(self, frame: str | bytes) -> None:
        try:
            ack = json.loads(frame)
            headers = ack["headers"]
            data = json.loads(ack["data"])
            code, message = ack["code"], ack.get("message", "")
            if not isinstance(frame, str) or not isinstance(code, int) or not isinstance(headers, dict):
                raise ValueError("not an ack")
        except (ValueError, KeyError, TypeError):
            shown = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
            self.world.happen("refused", "dingtalk", "stream", shown[:2000], note="ack")
            return
        message_id = headers.get("messageId")
        if not isinstance(message_id, str):
            return  # the SDK acknowledges a disconnect without one
        with self._changed:
            self._acks[message_id] = Ack(message_id, code, message, data)
            self._changed.notify_all()

    # -- what the platform does to its clients

    @property
    def connections(self) -> int:
        """How many are open now."""
        with self._changed:
            return len(self._lines)

    @property
    def opened(self) -> int:
        """How many were opened since the start."""
        with self._changed:
            return self._opened

    def wait_opened(self, count: int = 1, timeout_s: float = 5.0) -> bool:
        """True as soon as that many connections were opened since the start and at least one is open."""
        with self._changed:
            return self._changed.wait_for(lambda: self._opened >= count and bool(self._lines), timeout_s)

    def wait_closed(self, timeout_s: float = 5.0) -> bool:
        """True as soon as no connection is open."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines, timeout_s)

    def wait_ack(self, message_id: str, timeout_s: float = 5.0) -> Ack | None:
        """The client's answer to that frame, None when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: message_id in self._acks, timeout_s)
            return self._acks.get(message_id)

    def frame(
        self,
        client_id: str,
        topic: str,
        data: Any,
        *,
        kind: Literal["CALLBACK", "SYSTEM", "EVENT"] = "CALLBACK",
        message_id: str = "",
    ) -> str | None:
        """Send a frame to one of the app's connections, chosen at random; its messageId, None when none took it."""
        wanted = message_id or self.world.new_id("frame_")
        headers = {
            "topic": topic,
            "messageId": wanted,
            "contentType": "application/json",
            "time": str(round(self.world.now() * 1000)),
            "appId": client_id,
        }
        with self._changed:
            lines = [
                line
                for line in self._lines
                if line.ticket.client_id == client_id and (kind != "CALLBACK" or topic in line.ticket.topics)
            ]
        if not lines:
            return None
        line = random.choice(lines)  # noqa: S311  (not a secret)
        headers["connectionId"] = line.id
        text = json.dumps(data, ensure_ascii=False)
        frame = {"specVersion": "1.0", "type": kind, "headers": headers, "data": text}
        try:
            line.socket.send(json.dumps(frame, ensure_ascii=False))
        except (ConnectionClosed, OSError):
            return None
        return wanted

    def push(self, client_id: str, body: Any, message_id: str = "") -> str | None:
        """A robot message (body of an HTTP callback) to the app; its frame's messageId, None when nobody listens."""
        return self.frame(client_id, MESSAGES, body, message_id=message_id)

    def push_card(self, client_id: str, body: Any, deadline_s: float = 2.0) -> Any:
        """The callback of a card to the app; what its acknowledgement answers, None when none came in time."""
        frame = self.frame(client_id, CARDS, body)
        ack = self.wait_ack(frame, deadline_s) if frame is not None else None
        return ack.data.get("response") if ack is not None and ack.code == 200 and isinstance(ack.data, dict) else None

    def ping(self, client_id: str) -> str | None:
        """A ping of the application's protocol; the ack must echo `opaque`."""
        return self.frame(client_id, "ping", {"opaque": secrets.token_hex(4)}, kind="SYSTEM")

    def disconnect(self, reason: str = "connection is expired") -> None:
        """Ask every client to come back; the connections then close from this side."""
        with self._changed:
            lines = list(self._lines)
        for line in lines:
            headers = {"topic": "disconnect", "contentType": "application/json"}
            frame = {"type": "SYSTEM", "headers": headers, "data": json.dumps({"reason": reason})}
            with contextlib.suppress(ConnectionClosed, OSError):
                line.socket.send(json.dumps(frame))

    def garbage(self, text: str = "<html>gateway</html>") -> None:
        """A frame that is no JSON, to every client."""
        with self._changed:
            lines = list(self._lines)
        for line in lines:
            with contextlib.suppress(ConnectionClosed, OSError):
                line.socket.send(text)

    def cut(self) -> None:
        """Every connection breaks without a closing handshake."""
        with self._changed:
            lines = list(self._lines)
        for line in lines:
            with contextlib.suppress(OSError):
                line.socket.socket.shutdown(socket.SHUT_RDWR)


def _topics(subscriptions: Any) -> frozenset[str]:
    """Topics of well-formed subscriptions; empty when one of them is not."""
    if not isinstance(subscriptions, list):
        return frozenset()
    topics = set()
    for one in subscriptions:
        if not isinstance(one, dict) or one.get("type") not in ("EVENT", "CALLBACK", "SYSTEM"):
            return frozenset()
        if not isinstance(one.get("topic"), str):
            return frozenset()
        topics.add(one["topic"])
    return frozenset(topics)

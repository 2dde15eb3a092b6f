"""A vendor on loopback: answers from a script, remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bot.http import Http

Answer = tuple[int, object]
"""Status and body; the body is bytes, or JSON. Status 0 closes the connection without an answer."""

OAPI, API = "https://oapi.dingtalk.com", "https://api.dingtalk.com"


@dataclass
class Vendor:
    """`script` maps a path to its answers, used up in order, the last one for ever."""

    url: str = ""
    script: dict[str, list[Answer]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str) -> Answer:
        answers = self.script.get(path.partition("?")[0], [(404, {"code": "notFound"})])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def asked(self, path: str) -> list[dict[str, Any]]:
        return [body for called, body, _ in self.calls if called.partition("?")[0] == path]

    def http(self) -> Http:
        return Http({OAPI: self.url, API: self.url})


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_PUT(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            with vendor.lock:
                vendor.calls.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
                status, answer = vendor.answer(self.path)
            if status == 0:
                self.close_connection = True
                return
            raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            """Nothing: the tests read `calls`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        vendor.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield vendor
        finally:
            server.shutdown()
            thread.join()

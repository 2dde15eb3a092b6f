"""All stand-ins together: one HTTP address for every vendor, the Stream gateway's WebSocket and a mail server.

Vendors can share an address because their paths differ, and an override of a vendor's URL replaces scheme, host and
port only. Everything binds 127.0.0.1, whatever the settings say.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast

from bot.sandbox.aliyun import Aliyun, Template
from bot.sandbox.arms import Arms
from bot.sandbox.cloudmonitor import VERSION, CloudMonitor, CloudMonitorPaths
from bot.sandbox.das import Das
from bot.sandbox.dingtalk import DingTalk
from bot.sandbox.dingtalk_client import DingTalkClient
from bot.sandbox.dingtalk_stream import StreamGateway
from bot.sandbox.directory import App
from bot.sandbox.lark import Lark
from bot.sandbox.lark_app import LarkApp
from bot.sandbox.mail import Mail
from bot.sandbox.slack import Slack
from bot.sandbox.slack_app import SlackApp
from bot.sandbox.voice import Voice
from bot.sandbox.wecom import WeCom
from bot.sandbox.wecom_app import WeComApp
from bot.sandbox.wire import Answer, Request, StandIn, json_answer, page_answer, text_answer
from bot.sandbox.world import X5, Broken, Drop, Page, Refused, Slow, World

LOOPBACK = "127.0.0.1"
MAX_BODY = 4 * 1024 * 1024
IDLE_S = 60.0
HOLD_MAX_S = 30.0

SMS_SIGNATURE = "Callboard"
SMS_TEMPLATES = (
    Template("SMS_CODE", "code", None, "您的验证码为${code}，10分钟内有效，请勿告诉他人。"),
    Template("SMS_ALERT", "notice", None, "${level}告警：${name}，${instance}，${time}起，组${group}，编号${id}。"),
)

VOICE_TEMPLATES = {"TTS_ALERT": "${level}告警，${name}，${instance}，${time}起，组${group}，编号${id}。"}

OVERRIDES = (
    *("SLACK_API_URL", "SLACK_HOOKS_URL", "DINGTALK_API_URL", "DINGTALK_OAPI_URL", "WECOM_API_URL", "LARK_API_URL"),
    *("ALIYUN_SMS_URL", "ALIYUN_VOICE_URL", "CLOUDMONITOR_URL", "ARMS_URL", "DAS_URL"),
)

log = logging.getLogger(__name__)


class StandIns:
    """The servers. `with StandIns(world) as stand_ins: … stand_ins.url`.

    port         of the HTTP server, 0: any free one
    mail_user    with one, the mail server wants AUTH
    more         further vendors, asked first
    """

    def __init__(
        self,
        world: World,
        port: int = 0,
        *,
        mail_user: str = "",
        mail_password: str = "",
        more: Sequence[StandIn] = (),
    ) -> None:
        self.world = world
        self.dingtalk = DingTalk(world)
        self.stream = StreamGateway(world)
        self.wecom = WeCom(world)
        self.wecom_app = WeComApp(world)
        self.lark = Lark(world)
        self.lark_app = LarkApp(world)
        self.slack = Slack(world)
        self.slack_app = SlackApp(world)
        self.arms = Arms(world)
        self.sms = Aliyun(world, (SMS_SIGNATURE,), SMS_TEMPLATES)
        self.voice = Voice(world, VOICE_TEMPLATES)
        self.voice.join(self.sms)
        self.cloudmonitor = CloudMonitor(world)
        self.sms.offer("DescribeContactList", VERSION, self.cloudmonitor.contact_list)
        self.sms.offer("DescribeContactGroupList", VERSION, self.cloudmonitor.group_list)
        self.das = Das(world)
        self.das.join(self.sms)
        self.mail = Mail(world, mail_user, mail_password)
        self._vendors: tuple[StandIn, ...] = (
            *more,
            self.stream,
            self.dingtalk,
            self.wecom_app,
            self.wecom,
            self.lark_app,
            self.lark,
            self.slack,
            self.slack_app,
            self.arms,
            CloudMonitorPaths(self.cloudmonitor, self.sms),
            self.sms,
        )
        self._port = port
        self._http: _Server | None = None
        self._thread: threading.Thread | None = None
        self.stopping = threading.Event()

    def start(self) -> StandIns:
        """Listen on every port; returns when all of them accept connections."""
        self.stopping.clear()
        self._http = _Server((LOOPBACK, self._port), self)
        self._thread = threading.Thread(target=self._http.accept_all, name="sandbox-http", daemon=True)
        self._thread.start()
        self.stream.start()
        self.mail.start()
        return self

    def stop(self) -> None:
        """Close every port and connection; requests that are held back end without an answer."""
        if self._http is None or self._thread is None:
            return
        self.stopping.set()
        self._http.stop_accepting()
        self._thread.join(5.0)
        self._http.server_close()
        self._http = self._thread = None
        self.stream.stop()
        self.mail.stop()

    def __enter__(self) -> StandIns:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`."""
        if self._http is None:
            raise RuntimeError("the stand-ins are not running")
        return f"http://{LOOPBACK}:{self._http.server_address[1]}"

    @property
    def smtp_url(self) -> str:
        """As the setting SMTP_URL has it."""
        return self.mail.url

    def overrides(self) -> dict[str, str]:
        """The settings that lead every vendor's address to these stand-ins."""
        return {**dict.fromkeys(OVERRIDES, self.url), "SMTP_URL": self.smtp_url}

    def dingtalk_client(self, service_url: str, app: App, *, stream: bool = False) -> DingTalkClient:
        """A client that types, and reaches our service by HTTP or through the Stream gateway."""
        push = (lambda body: self.stream.push(app.client_id, body) is not None) if stream else None

        def push_card(body: dict[str, Any]) -> Any:
            return self.stream.push_card(app.client_id, body)

        return DingTalkClient(self.world, service_url, app, push=push, push_card=push_card)

    # -- one request

    def respond(self, request: Request) -> Answer | None:
        """The answer; None: cut the connection without one."""
        vendor = next((one for one in self._vendors if one.owns(request)), None)
        if vendor is None:
            return json_answer({"code": 404, "message": "Not Found", "path": request.path}, 404)
        fault = self.world.next_fault(*vendor.keys(request))
        if isinstance(fault, Refused):
            return vendor.refusal(fault.code, fault.text)
        if isinstance(fault, Broken):
            return text_answer(fault.text, fault.status, fault.headers)
        if isinstance(fault, Page):
            return page_answer(fault.status)
        if isinstance(fault, X5):
            banned = {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "0b51c4e1"}
            return page_answer() if fault.page else json_answer(banned)
        if isinstance(fault, Drop) and not fault.after:
            return None
        with self.world.lock:
            answer = vendor.answer(request)
        if isinstance(fault, Slow):
            self._hold(fault)
        return None if isinstance(fault, Drop) or self.stopping.is_set() else answer

    def _hold(self, slow: Slow) -> None:
        if not isinstance(slow.until, threading.Event):
            self.stopping.wait(min(slow.until, HOLD_MAX_S))
            return
        for _ in range(round(HOLD_MAX_S / 0.05)):
            if slow.until.wait(0.05) or self.stopping.is_set():
                return


class _Server(ThreadingHTTPServer):
    """One thread per connection; knows its connections, so that it can end them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], stand_ins: StandIns) -> None:
        self.stand_ins = stand_ins
        self._open: dict[socket.socket, threading.Thread | None] = {}
        self._guard = threading.Lock()
        self._closing = False
        super().__init__(address, _Handler)

    def accept_all(self) -> None:
        """Take connections until `stop_accepting`, without the polling of `serve_forever`."""
        while not self._closing:
            try:
                connection, client = self.get_request()
            except OSError:
                log.warning("the sandbox cannot accept a connection", exc_info=True)
                self.stand_ins.stopping.wait(0.05)  # out of file descriptors: not in a tight loop
                continue
            if self._closing:
                self.shutdown_request(connection)
                return
            with self._guard:
                self._open[connection] = None  # before its thread exists, so that none is overlooked at the end
            self.process_request(connection, client)

    def stop_accepting(self) -> None:
        """Make `accept_all` return, by one last connection."""
        self._closing = True
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, self.server_address[1]), 1.0).close()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  (the library's signature)
        """A client that went away is no error; anything else is logged, never printed."""
        log.debug("connection ended", exc_info=True)

    def server_close(self) -> None:
        super().server_close()
        with self._guard:
            threads = dict(self._open)
        for connection, thread in threads.items():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            if thread is not None:
                thread.join(2.0)


class _Handler(BaseHTTPRequestHandler):
    """HTTP on one side, `StandIns.respond` on the other."""

    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    timeout = IDLE_S
    wbufsize = 65_536  # head and body leave in one packet
    disable_nagle_algorithm = True

    def _any(self) -> None:
        stand_ins = cast(_Server, self.server).stand_ins
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self._write(text_answer("length required", 411), close=True)
            return
        if int(length) > MAX_BODY:
            self._write(text_answer("request entity too large", 413), close=True)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, str(self.client_address[0]))
        try:
            answer = stand_ins.respond(request)
        except Exception:
            log.exception("a stand-in failed on %s", request.path)
            answer = text_answer("internal error", 500)
        if answer is None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._write(answer)

    def _write(self, answer: Answer, *, close: bool = False) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _any  # noqa: N815

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The header Date by the world's clock: clients look there when their signature was too old."""
        return super().date_time_string(
            cast(_Server, self.server).stand_ins.world.now() if timestamp is None else timestamp
        )

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name is the library's)
        """Nothing: paths hold tokens."""

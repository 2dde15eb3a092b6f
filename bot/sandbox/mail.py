"""A mail server that keeps what it gets, and refuses what a careful one would.

Fault keys: `mail` at MAIL FROM, `mail:<address>` at RCPT TO, `mail:data` after the message was sent.
"""

# ruff: noqa: ARG002  (the signatures are the library's)

from __future__ import annotations

import asyncio
import email
import email.policy
import hmac
import socket
import threading
from email.message import EmailMessage
from urllib.parse import quote

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from bot.sandbox.world import Drop, Fault, Refused, Slow, World

MAX_LINE = 998
MAX_BYTES = 10 * 1024 * 1024
NEEDED = ("From", "To", "Subject", "Date", "Message-ID")

_USUAL_WORDS = {
    "421": "4.3.2 Service not available, closing channel",
    "450": "4.2.1 The user is receiving mail at a rate that prevents delivery",
    "451": "4.7.1 Greylisting in action, please come back later",
    "452": "4.2.2 Mailbox full",
    "550": "5.1.1 No such user here",
    "552": "5.2.2 Mailbox full",
    "554": "5.7.1 Rejected as spam",
}


def complaint(raw: bytes) -> str:
    """What is wrong with the form of a message, "" when nothing is (RFC 5322)."""
    head, found, _ = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    if not found:
        return "5.6.0 no header"
    if any(len(line) > MAX_LINE for line in raw.splitlines()):
        return "5.6.0 line too long"
    if not head.isascii():
        return "5.6.7 non-ASCII header"
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for name in NEEDED:
        if len(message.get_all(name, [])) != 1 or not str(message[name]).strip():
            return f"5.6.0 header {name} needed exactly once"
    if message.defects:
        return "5.6.0 broken MIME"
    return ""


class Mail:
    """The SMTP server, on its own loopback port and thread. With a user, AUTH is needed before MAIL FROM."""

    def __init__(self, world: World, user: str = "", password: str = "") -> None:
        self.world = world
        self.user = user
        self.password = password
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._transports: set[asyncio.BaseTransport] = set()

    @property
    def url(self) -> str:
        """`smtp://[user:password@]127.0.0.1:<port>`."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"smtp://{login}127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; returns when connections are accepted."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._stopping.clear()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop, listener, ready), name="sandbox-mail", daemon=True
        )
        self._thread.start()
        ready.wait(5.0)  # a stop that came before the server is there would break it off half-made

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._loop is None or self._thread is None:
            return
        self._stopping.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop = self._thread = None

    def _run(self, loop: asyncio.AbstractEventLoop, listener: socket.socket, ready: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(loop.create_server(self._session, sock=listener))
        ready.set()
        try:
            loop.run_forever()
        finally:
            server.close()
            for transport in list(self._transports):
                transport.close()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _session(self) -> SMTP:
        return _Session(
            self,
            hostname="mail.sandbox",
            ident="ready",
            data_size_limit=MAX_BYTES,
            auth_require_tls=False,
            authenticator=self._authenticate if self.user else None,
            loop=self._loop,
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        right = (
            isinstance(data, LoginPassword)
            and hmac.compare_digest(data.login, self.user.encode())
            and hmac.compare_digest(data.password, self.password.encode())
        )
        return AuthResult(success=right, handled=False)

    # -- what aiosmtpd calls

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.user and not session.authenticated:
            return "530 5.7.0 Authentication required"
        refused = await self._fault(server, self.world.next_fault("mail"))
        if refused:
            return refused
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refused = await self._fault(server, self.world.next_fault(f"mail:{address.lower()}"))
        if refused:
            return refused
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        raw = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        fault = self.world.next_fault("mail:data")
        taken = not isinstance(fault, Refused) and not (isinstance(fault, Drop) and not fault.after)
        wrong = complaint(raw)
        if wrong and taken:
            self.world.happen(
                "refused", "mail", ",".join(envelope.rcpt_tos), raw.decode("utf-8", "replace"), note=wrong
            )
            return f"554 {wrong}"
        if taken:
            self._keep(raw, envelope)
        refused = await self._fault(server, fault)
        return refused or "250 2.0.0 OK: queued"

    def _keep(self, raw: bytes, envelope: Envelope) -> None:
        message = email.message_from_bytes(raw, policy=email.policy.default)
        if not isinstance(message, EmailMessage):
            raise TypeError("the default policy makes EmailMessage")
        parts: dict[str, str] = {}
        for kind in ("plain", "html"):
            part = message.get_body((kind,))
            parts[kind] = part.get_content().replace("\r\n", "\n") if part is not None else ""
        body = {
            "from": str(message["From"]),
            "subject": str(message["Subject"]),
            **parts,
            "headers": {name: str(value) for name, value in message.items()},
            "raw": raw.decode("utf-8", "replace"),
        }
        for address in dict.fromkeys(envelope.rcpt_tos):
            self.world.happen("mail", "mail", address.lower(), body, note=str(message["Message-ID"]))

    async def _fault(self, server: SMTP, fault: Fault | None) -> str:
        """The refusal that the fault means, "" when none; waits and cuts as it says."""
        if fault is None:
            return ""
        if isinstance(fault, Refused):
            code = str(fault.code)
            return f"{code} {fault.text or _USUAL_WORDS.get(code, 'refused')}"
        if isinstance(fault, Slow):
            await asyncio.get_running_loop().run_in_executor(None, self._hold, fault)
            return ""
        if isinstance(fault, Drop):
            if isinstance(server.transport, asyncio.Transport):
                server.transport.abort()
            return "421 4.3.2 closed"
        return "421 4.3.0 Service not available"

    def _hold(self, slow: Slow) -> None:
        if isinstance(slow.until, threading.Event):
            for _ in range(600):
                if slow.until.wait(0.05) or self._stopping.is_set():
                    return
        else:
            self._stopping.wait(min(slow.until, 30.0))


class _Session(SMTP):
    """One connection that its server knows of, so that it can be closed when the server stops."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.event_handler._transports.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler._transports.discard(self.transport)
        super().connection_lost(error)

"""Slack's Socket Mode: the same payloads over a WebSocket that we open, so that no address of ours need be public.

https://docs.slack.dev/apis/events-api/using-socket-mode. Payloads go through Bolt's routing like those that come by HTTP;
the connection is our own, because that of `slack_sdk` 3.47.0

- hides a failed handshake, speaks in the clear to every port but 443, and looks for proxies in the environment;
- comes back at once and for ever where it is refused;
- holds its lock while it waits for frames, so that stopping takes seconds;
- hands frames to ten threads, so that two messages of one person may be stored the other way round.

An envelope is acknowledged only after everything in it is stored: what was not stored is delivered again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from slack_bolt import BoltResponse
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from bot.http import Http, Unreachable
from bot.platforms.backoff import backoff_s
from handlers.buttons import ForgedButton
from handlers.errors import PayloadError

VENDOR = "https://slack.com"
OPEN_URL = f"{VENDOR}/api/apps.connections.open"

STEADY_S = 10.0
"""A connection that lasted this long was a good one: the waits before the next begin small again."""
PING_S = 20.0
"""How often we ask whether the other side is there; without an answer for as long the connection is given up."""
MAX_FRAME_BYTES = 4 * 1024 * 1024
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
LOOK_UP_S = 0.5
"""How long a request to stop can go unnoticed."""

Dispatch = Callable[[Mapping[str, Any]], BoltResponse]

# The package would log the address, which holds a ticket, and whole frames.
_MUTED = logging.getLogger("slack_socket.muted")
_MUTED.setLevel(logging.CRITICAL + 1)
_MUTED.propagate = False


class _Refused(Exception):
    """Slack gave out no connection; the text is fit for the log. `wait_s`: how long it asks us to stay away."""

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        self.wait_s = wait_s
        super().__init__(text)


class SocketRunner:
    """Keeps one connection open in a thread of its own until it is stopped.

    dispatch  takes a payload in durably and gives Slack's answer, or raises; called in the order of arrival
    api_url   `https://slack.com` or what stands in for it
    wait_s    seconds to wait after n failures in a row
    beat      called all the time while the thread is alive
    """

    def __init__(
        self,
        app_token: str,
        dispatch: Dispatch,
        *,
        api_url: str = "",
        log: logging.Logger | None = None,
        wait_s: Callable[[int], float] = backoff_s,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._app_token = app_token
        self._dispatch = dispatch
        self._encrypted = not api_url.startswith("http:")
        self._http = Http({VENDOR: api_url} if api_url else None)
        self._log = log or logging.getLogger(__name__)
        self._wait_s = wait_s
        self._beat = beat
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._connected = False

    def __repr__(self) -> str:
        return "SocketRunner()"

    # ---- from other threads

    def start(self) -> None:
        """Begins to connect."""
        self._beat()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="slack-socket", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Takes no more envelopes; the one under way is stored and acknowledged."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._http.close()

    @property
    def connected(self) -> bool:
        """Slack has said hello on the connection that is open."""
        return self._connected

    # ---- the thread

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began, least_s = time.monotonic(), 0.0
            try:
                asked_back = self._listen(self._open())
            except _Refused as refused:
                asked_back, least_s = False, refused.wait_s
                self._log.warning("Slack Socket Mode: %s", refused)
            except Exception as error:  # a bug must not end listening; the next connection starts afresh
                asked_back = False
                self._log.error("Slack Socket Mode: the connection failed (%s)", type(error).__name__)
            finally:
                self._connected = False
            if asked_back:
                failures = 0
                continue
            failures = 1 if time.monotonic() - began >= STEADY_S else failures + 1
            self._rest(max(least_s, self._wait_s(failures)))

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := end - time.monotonic()) > 0:
            self._beat()
            self._stopping.wait(min(left, 5.0))

    def _open(self) -> str:
        """Asks for a connection: an address with a ticket, good for one connection soon."""
        self._beat()
        try:
            reply = self._http.post(
                OPEN_URL,
                form={},
                headers={"Authorization": f"Bearer {self._app_token}"},
                timeout_s=OPEN_TIMEOUT_S,
            )
        except Unreachable as error:
            raise _Refused(f"Slack cannot be reached ({error.reason})") from None
        answer = reply.json()
        answer = answer if isinstance(answer, Mapping) else {}
        url = answer.get("url")
        if answer.get("ok") is not True or not isinstance(url, str):
            code = answer.get("error")
            if isinstance(code, str) and reply.status == 200:
                raise _Refused(
                    f"Slack gave no connection ({code[:60]}); check SLACK_APP_TOKEN, and that Socket Mode is on"
                )
            raise _Refused(f"Slack gave no connection (HTTP {reply.status})", reply.retry_after or 0.0)
        if urlsplit(url).scheme not in (("wss",) if self._encrypted else ("ws", "wss")):
            raise _Refused("Slack named an address that is not encrypted")
        return url

    def _listen(self, url: str) -> bool:
        """Reads envelopes until the connection ends; True when Slack asks to connect again."""
        try:
            socket = connect(
                url,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                max_size=MAX_FRAME_BYTES,
                proxy=None,
                logger=_MUTED,
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            raise _Refused(f"the connection was not accepted ({type(error).__name__})") from None
        with socket:
            while not self._stopping.is_set():
                self._beat()
                try:
                    raw = socket.recv(timeout=LOOK_UP_S)
                except TimeoutError:
                    continue
                except ConnectionClosed:
                    self._log.info("Slack Socket Mode: the connection has ended")
                    return False
                frame = _frame(raw)
                match frame.get("type"):
                    case "hello":
                        self._connected = True
                        self._log.info("Slack Socket Mode: connected")
                    case "disconnect":
                        # A refresh every few hours; "link_disabled" is Socket Mode switched off, which `_open` will meet.
                        self._log.info("Slack Socket Mode: Slack asks to connect again")
                        return frame.get("reason") != "link_disabled"
                    case _:
                        self._take(socket, frame)
        return False

    def _take(self, socket: ClientConnection, frame: Mapping[str, Any]) -> None:
        """One envelope: stored, then acknowledged. When storing fails it is not, and comes again."""
        envelope_id, payload = frame.get("envelope_id"), frame.get("payload")
        if not isinstance(envelope_id, str) or not isinstance(payload, Mapping):
            self._log.warning("Slack Socket Mode: a frame that cannot be read was left out")
            return
        answer: dict[str, Any] = {"envelope_id": envelope_id}
        try:
            response = self._dispatch(payload)
            body = json.loads(response.body) if response.body else None
            if isinstance(body, dict) and frame.get("accepts_response_payload") is True:
                answer["payload"] = body
        except PayloadError as error:
            # It would be as wrong the next time.
            self._log.warning("Slack Socket Mode: a payload was left out (%s)", error.path)
        except ForgedButton:
            self._log.warning("Slack Socket Mode: a button that is not one of ours was left out")
        except Exception as error:
            self._log.error("Slack Socket Mode: a payload was not stored (%s)", type(error).__name__)
            return
        try:
            socket.send(json.dumps(answer))
        except ConnectionClosed:
            self._log.info("Slack Socket Mode: the connection ended before an acknowledgement")


def _frame(raw: str | bytes) -> dict[str, Any]:
    """The frame; an empty one when it is not a JSON object."""
    try:
        frame = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}

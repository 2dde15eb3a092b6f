"""DingTalk Stream mode: messages over a WebSocket that we open, so that no address of ours need be public.

https://opensource.dingtalk.com/developerpedia/docs/learn/stream/protocol. Frames, routing and acknowledgements are
those of the package `dingtalk_stream` 0.24.3; its connection loop is replaced, because it

- dies when the first answer of the gateway is not JSON, asks it without a time limit, and waits 10 s after any error;
- drops the connection for one frame it cannot read, and sends acknowledgements of an old connection over a new one;
- swallows the first request to stop, and prints the ticket of the connection to the log;
- does not notice a connection that stays open while nothing comes any more;
- asks for proxies in the environment, which the rest of this service does not use.

A message is acknowledged only after `take_in` has stored it: what was not stored is delivered again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus, urlsplit

import dingtalk_stream
import websockets.exceptions  # not imported by `websockets` itself, which the package relies on
from dingtalk_stream.version import VERSION_STRING
from websockets.asyncio.client import ClientConnection, connect

from bot.http import Http, Unreachable
from bot.platforms.backoff import backoff_s

VENDOR = "https://api.dingtalk.com"
OPEN_URL = f"{VENDOR}/v1.0/gateway/connections/open"
BOT_TOPIC = "/v1.0/im/bot/messages/get"
CARD_TOPIC = "/v1.0/card/instances/callback"

SILENCE_S = 300.0
"""The server says something every 20 to 30 s; a connection without a frame for this long is dead, open or not."""
STEADY_S = 10.0
"""A connection that lasted this long was a good one: the waits before the next begin small again."""
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_WAITING_FRAMES = 1000
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
BEAT_S = 5.0

TakeIn = Callable[[Mapping[str, Any]], None]
Pressed = Callable[[Mapping[str, Any], str], Mapping[str, Any]]

# Both would print tickets, and whole messages. What is worth knowing is logged here, in our own words.
_MUTED = logging.getLogger("dingtalk_stream.muted")
_MUTED.setLevel(logging.CRITICAL + 1)
_MUTED.propagate = False


class _Refused(Exception):
    """The gateway did not give out a connection; the text is fit for the log."""


class StreamRunner:
    """Keeps one Stream connection open in a thread of its own until it is stopped.

    take_in    stores one message body (the same as in HTTP mode) durably, or raises; called by one thread, in the order
               of arrival, never in the thread that answers pings
    pressed    carries out one card callback, given the id of its frame, and gives what DingTalk is answered: within two
               seconds, so none waits for messages; None: cards are not subscribed to
    api_url    `https://api.dingtalk.com` or what stands in for it
    clock      aware, UTC; for `last_frame_at`
    wait_s     seconds to wait after n failures in a row
    silence_s  seconds without any frame after which the connection is replaced
    beat       called every few seconds while the thread is alive
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        take_in: TakeIn,
        *,
        api_url: str = VENDOR,
        clock: Callable[[], datetime],
        log: logging.Logger | None = None,
        wait_s: Callable[[int], float] = backoff_s,
        silence_s: float = SILENCE_S,
        beat: Callable[[], None] = lambda: None,
        pressed: Pressed | None = None,
    ) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._take_in = take_in
        self._pressed = pressed
        self._api_url = api_url
        self._http = Http({VENDOR: api_url})
        self._clock = clock
        self._log = log or logging.getLogger(__name__)
        self._wait_s = wait_s
        self._silence_s = silence_s
        self._beat = beat
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ask_to_stop: Callable[[], None] = lambda: None
        self._last_frame_at: datetime | None = None
        self._connected = False

    def __repr__(self) -> str:
        return f"StreamRunner({self._client_id!r})"

    @property
    def _topics(self) -> tuple[str, ...]:
        return (BOT_TOPIC,) if self._pressed is None else (BOT_TOPIC, CARD_TOPIC)

    # ---- from other threads

    def start(self) -> None:
        """Begins to connect; does nothing when that has been done."""
        with self._guard:
            if self._thread is not None and self._thread.is_alive():
                return
            stopped = threading.Event()
            self._ask_to_stop = stopped.set
            self._thread = threading.Thread(target=self._run, args=(stopped,), name="dingtalk-stream", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Stops taking messages, lets those under way be stored and acknowledged; True when the thread has ended."""
        with self._guard:
            thread, ask = self._thread, self._ask_to_stop
        if thread is None:
            return True
        ask()
        thread.join(timeout)
        return not thread.is_alive()

    def alive(self) -> bool:
        """The thread runs; it may be waiting to connect again."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def connected(self) -> bool:
        """A connection is open right now."""
        return self._connected

    def last_frame_at(self) -> datetime | None:
        """When anything last came from DingTalk, None when nothing has."""
        return self._last_frame_at

    # ---- in the thread

    def _run(self, stopped: threading.Event) -> None:
        """The guard: whatever goes wrong inside, begin again until asked to stop."""
        failures = 0
        while not stopped.is_set():
            try:
                asyncio.run(self._supervise(stopped))
            except Exception as error:
                # Only its kind: texts of exceptions may hold the ticket.
                self._log.error("DingTalk Stream broke down: %s", type(error).__name__)
                failures += 1
                stopped.wait(self._wait_s(failures))
        self._http.close()

    async def _supervise(self, stopped: threading.Event) -> None:
        """Connects again and again until asked to stop."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def ask() -> None:
            stopped.set()
            try:
                loop.call_soon_threadsafe(stop.set)
            except RuntimeError:  # the loop has ended by itself
                return

        self._ask_to_stop = ask
        if stopped.is_set():  # asked before we could listen
            return
        # One thread: messages are stored in the order in which people wrote them.
        storing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dingtalk-take-in")
        pressing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="dingtalk-press")
        beating = asyncio.create_task(self._keep_beating())
        failures = 0
        try:
            while not stop.is_set():
                began, ended_well = time.monotonic(), False
                try:
                    ended_well = await self._connection(stop, storing, pressing)
                except _Refused as error:
                    self._log.warning("DingTalk Stream: %s", error)
                except Exception as error:
                    self._log.warning("DingTalk Stream: connection lost (%s)", type(error).__name__)
                finally:
                    self._connected = False
                if time.monotonic() - began >= STEADY_S:
                    failures = 0
                failures += 1
                pause_s = 0.0 if ended_well and failures == 1 else self._wait_s(failures)
                await _first_of(stop.wait(), asyncio.sleep(pause_s))
        finally:
            beating.cancel()
            storing.shutdown(wait=False)
            pressing.shutdown(wait=False)

    async def _keep_beating(self) -> None:
        while True:
            self._beat()
            await asyncio.sleep(BEAT_S)

    async def _connection(self, stop: asyncio.Event, storing: ThreadPoolExecutor, pressing: ThreadPoolExecutor) -> bool:
        """One connection from its opening to its end. True when the server ended it in good order, or we did."""
        opening = asyncio.ensure_future(_in_daemon_thread(self._open))
        await _first_of(stop.wait(), asyncio.wait((opening,)))
        if stop.is_set():
            return True
        uri = opening.result()
        async with connect(
            uri,
            logger=_MUTED,
            proxy=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_FRAME_BYTES,
        ) as socket:
            self._connected = True
            self._log.info("DingTalk Stream is connected")
            client = _Client(self._client_id, self._client_secret, socket)
            client.register_callback_handler(BOT_TOPIC, _Inbox(self._take_in, storing))
            if self._pressed is not None:
                client.register_callback_handler(CARD_TOPIC, _Presses(self._pressed, pressing))
            return await self._listen(socket, client, stop)

    def _open(self) -> str:
        """Asks the gateway for a connection: its address with the ticket, good for one connection within 90 s."""
        try:
            reply = self._http.post(
                OPEN_URL,
                json={
                    "clientId": self._client_id,
                    "clientSecret": self._client_secret,
                    "subscriptions": [{"type": "CALLBACK", "topic": topic} for topic in self._topics],
                    "ua": f"dingtalk-sdk-python/v{VERSION_STRING}-union",
                    "localIp": "127.0.0.1",
                },
                headers={"Accept": "application/json"},
                timeout_s=OPEN_TIMEOUT_S,
            )
        except Unreachable as error:
            raise _Refused(f"the gateway cannot be reached ({error.reason})") from None
        answer = reply.json()
        if reply.status in (400, 401, 403) and isinstance(answer, Mapping):
            raise _Refused(
                f"the gateway refuses the app (HTTP {reply.status});"
                " check DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET, and that Stream mode is on"
            )
        endpoint = answer.get("endpoint") if isinstance(answer, Mapping) else None
        ticket = answer.get("ticket") if isinstance(answer, Mapping) else None
        if reply.status != 200 or not isinstance(endpoint, str) or not isinstance(ticket, str):
            raise _Refused(f"the gateway gave no connection (HTTP {reply.status})")
        schemes = ("wss",) if self._api_url.startswith("https:") else ("ws", "wss")
        if urlsplit(endpoint).scheme not in schemes:
            raise _Refused("the gateway named an address that is not encrypted")
        return f"{endpoint}?ticket={quote_plus(ticket)}"

    async def _listen(self, socket: ClientConnection, client: _Client, stop: asyncio.Event) -> bool:
        """Reads frames until the connection ends, falls silent or we are asked to stop."""
        under_way: set[asyncio.Task[None]] = set()
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                receiving = asyncio.ensure_future(socket.recv())
                await asyncio.wait((receiving, stopping), timeout=self._silence_s, return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    receiving.cancel()
                    if not stop.is_set():
                        self._log.warning("DingTalk Stream: nothing came for %.0f s, connecting again", self._silence_s)
                    return stop.is_set()
                try:
                    raw = receiving.result()
                except websockets.exceptions.ConnectionClosedOK:
                    return True
                self._last_frame_at = self._clock()
                frame = _frame(raw)
                if frame is None:
                    self._log.warning("DingTalk Stream: a frame that cannot be read was left out")
                    continue
                if _is_disconnect(frame):
                    # The server sends nothing more, expects no answer, and drops the line in ten seconds.
                    self._log.info("DingTalk Stream: the server asks to connect again")
                    return True
                task = asyncio.create_task(self._answer(client, frame))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                if len(under_way) >= MAX_WAITING_FRAMES:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            return True
        finally:
            stopping.cancel()
            # What came is stored and acknowledged before the connection is given up.
            if under_way:
                await asyncio.wait(under_way, timeout=CLOSE_TIMEOUT_S * 3)
            for task in under_way:
                task.cancel()

    async def _answer(self, client: _Client, frame: Mapping[str, Any]) -> None:
        try:
            await client.route_message(frame)
        except websockets.exceptions.ConnectionClosed:
            self._log.info("DingTalk Stream: the connection ended before an acknowledgement")
        except Exception as error:
            self._log.error("DingTalk Stream: a frame was not acknowledged (%s)", type(error).__name__)


class _Client(dingtalk_stream.DingTalkStreamClient):  # type: ignore[misc]  # the package has no types
    """The package's routing of frames, bound to one connection."""

    def __init__(self, client_id: str, client_secret: str, socket: ClientConnection) -> None:
        super().__init__(dingtalk_stream.Credential(client_id, client_secret), _MUTED)
        self.websocket = socket
        self.event_handler = _Events()

    async def route_message(self, json_message: Mapping[str, Any]) -> Any:
        """As in the package; a topic nobody listens to is answered 404, where the package leaves the server waiting."""
        headers = json_message["headers"]
        if json_message.get("type") == "CALLBACK" and headers.get("topic") not in self.callback_handler_map:
            answer = {
                "code": dingtalk_stream.AckMessage.STATUS_NOT_IMPLEMENT,
                "headers": {"messageId": headers.get("messageId"), "contentType": "application/json"},
                "message": "no such topic",
                "data": "{}",
            }
            await self.websocket.send(json.dumps(answer))
            return ""
        return await super().route_message(json_message)


class _Inbox(dingtalk_stream.CallbackHandler):  # type: ignore[misc]  # the package has no types
    """Messages of the robot: stored, then acknowledged. When storing fails, nothing is, and they come again."""

    def __init__(self, take_in: TakeIn, storing: ThreadPoolExecutor) -> None:
        super().__init__()
        self.logger = _MUTED
        self._take_in = take_in
        self._storing = storing

    async def process(self, message: Any) -> tuple[int, Any]:
        if not isinstance(message.data, Mapping):
            return dingtalk_stream.AckMessage.STATUS_BAD_REQUEST, None
        await asyncio.get_running_loop().run_in_executor(self._storing, self._take_in, message.data)
        return dingtalk_stream.AckMessage.STATUS_OK, None


class _Presses(dingtalk_stream.CallbackHandler):  # type: ignore[misc]  # the package has no types
    """Buttons of cards: the acknowledgement carries the card as it is then."""

    def __init__(self, pressed: Pressed, pressing: ThreadPoolExecutor) -> None:
        super().__init__()
        self.logger = _MUTED
        self._pressed = pressed
        self._pressing = pressing

    async def process(self, message: Any) -> tuple[int, Any]:
        if not isinstance(message.data, Mapping):
            return dingtalk_stream.AckMessage.STATUS_BAD_REQUEST, None
        frame = str(message.headers.message_id)
        answer = await asyncio.get_running_loop().run_in_executor(self._pressing, self._pressed, message.data, frame)
        return dingtalk_stream.AckMessage.STATUS_OK, answer


class _Events(dingtalk_stream.EventHandler):  # type: ignore[misc]  # the package has no types
    """Events are not subscribed to. One that comes all the same is answered in the documented form and forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.logger = _MUTED

    async def raw_process(self, event_message: Any) -> Any:
        ack = dingtalk_stream.AckMessage()
        ack.headers.message_id = event_message.headers.message_id
        ack.headers.content_type = dingtalk_stream.frames.Headers.CONTENT_TYPE_APPLICATION_JSON
        ack.message = "OK"
        ack.data = {"status": "SUCCESS"}
        return ack


def _frame(raw: str | bytes) -> dict[str, Any] | None:
    """The frame with `headers` (one official sample calls them `header`); None when it is none."""
    try:
        frame = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, dict):
        return None
    headers = frame.pop("headers", frame.pop("header", None))
    if not isinstance(headers, dict):
        return None
    # The package turns these two into numbers and fails when they are none; nobody here reads them.
    return frame | {"headers": {name: headers[name] for name in headers if name not in ("time", "eventBornTime")}}


def _is_disconnect(frame: Mapping[str, Any]) -> bool:
    return frame.get("type") == "SYSTEM" and frame["headers"].get("topic") == "disconnect"


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Returns when the first of them is done; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _in_daemon_thread(work: Callable[[], str]) -> str:
    """The result of blocking work in a thread that neither the loop nor the interpreter waits for at their end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def settle(result: str | Exception) -> None:
        if done.done():
            return
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)

    def run() -> None:
        result: str | Exception
        try:
            result = work()
        except Exception as error:
            result = error
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:  # the loop has ended in the meantime
            return

    threading.Thread(target=run, name="dingtalk-open", daemon=True).start()
    return await done

"""`POST /alerts/<kind>/<token>`: alerts in."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from flask import Blueprint, Response, jsonify, request

from bot.bodies import Bodies
from bot.intake import PATIENCE_S, Intake, Job, NotStored, OtherMapping, Overloaded, UnknownSource
from bot.metrics import Metrics
from bot.web.front import QUICK_BYTES, Answer, Tell
from handlers import mapping
from handlers.errors import PayloadError
from handlers.model import Alert
from handlers.sources import SOURCES
from handlers.sources.contract import Body
from handlers.texts import render
from storage.sources import SourceRow

log = logging.getLogger(__name__)

MAX_BYTES = 1024 * 1024
RETRY_AFTER_S = 2

ROUTE = "/alerts/<kind>/<token>"

HEADERS = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))


def refusal(status: int, error: str, **more: object) -> Response:
    """An error as JSON: one sentence, and where it concerns one field, its path. English, for logs of machines."""
    response = jsonify(error=error, **more)
    response.status_code = status
    return response


def read(source: SourceRow, body: Body, now: datetime) -> list[Alert]:
    """What the source reports; raises PayloadError. A mapping stands in for the form that its kind documents."""
    if source.mapping:
        return mapping.alerts(body, source.mapping, now)
    return SOURCES[source.kind].parse(body, now)


def blueprint(intake: Intake, bodies: Bodies, clock: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint("alerts", __name__)

    @routes.post(ROUTE)
    def alerts_in(kind: str, token: str) -> Response:
        if request.content_length is not None and request.content_length > MAX_BYTES:
            return refusal(413, f"The body is larger than {MAX_BYTES} bytes; send fewer alerts at once.")
        source = intake.source_of(token)
        if source is None or source.kind != kind or kind not in SOURCES:
            return refusal(401, "Unknown alert source: check the URL, or get a new one with `source rotate <name>`.")
        raw = request.get_data(cache=False)
        if len(raw) > MAX_BYTES:
            return refusal(413, f"The body is larger than {MAX_BYTES} bytes; send fewer alerts at once.")
        body = Body(raw, request.content_type or "")
        try:
            ids = _taken(intake, source, token, body, clock)
        except PayloadError as error:
            bodies.refused(source, raw, error)
            return refusal(400, f"{error.path}: {render(error.say, 'en')}", path=error.path)
        except (Overloaded, NotStored, UnknownSource) as error:
            status, sentence, headers = _refused(error)
            response = refusal(status, sentence)
            response.headers.extend(headers)
            return response
        bodies.accepted(source, raw)
        return jsonify(accepted=len(ids), alerts=list(ids))

    return routes


def _taken(intake: Intake, source: SourceRow, token: str, body: Body, clock: Callable[[], datetime]) -> tuple[int, ...]:
    """The numbers of the alerts in the body, read by the mapping that the source has now, not when it was looked up."""
    try:
        return intake.accept(source, token, read(source, body, clock()))
    except (OtherMapping, PayloadError):
        if source.kind not in mapping.KINDS:
            raise
        fresh = intake.looked_up(token)
        if fresh is None:
            raise UnknownSource from None
        if fresh.mapping == source.mapping:
            raise
    return intake.accept(fresh, token, read(fresh, body, clock()))


def _refused(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, sentence and headers of the answer to a report that was not taken."""
    match error:
        case UnknownSource():
            return 401, "This alert source was removed, or has a new URL.", {}
        case Overloaded():
            return 429, "Too many alerts at once; try again in a moment.", {"Retry-After": str(RETRY_AFTER_S)}
        case _:
            return 503, "The alerts could not be stored; send them again.", {"Retry-After": str(RETRY_AFTER_S)}


class Sender:
    """Who waits for a report to be stored, and is told in the loop."""

    __slots__ = ("job", "tell", "until")

    def __init__(self, tell: Tell, until: float) -> None:
        self.tell = tell
        self.until = until
        self.job: Job


class QuickAlerts:
    """The same route for reports that need no thread: small ones, of a source that is kept in mind.

    What is wrong with a report before it is handed over is left to the route, which says what. Only for one loop.
    """

    def __init__(self, intake: Intake, metrics: Metrics, clock: Callable[[], datetime]) -> None:
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._answered = metrics.http_requests.labels(ROUTE, "200")
        self._waiting: dict[Sender, None] = {}  # in the order in which they came
        self._looking = False
        self._read: list[tuple[Sender, SourceRow, str, Sequence[Alert]]] = []
        self._settled: deque[Sender] = deque()
        self._rung = False

    def take(self, method: str, path: str, content_type: str, body: bytes, tell: Tell) -> bool:
        parts = path.split("/")
        if method != "POST" or len(parts) != 4 or parts[1] != "alerts" or len(body) > QUICK_BYTES:
            return False
        _root, _alerts, kind, token = parts
        source = self._intake.in_mind(token)
        if source is None or source.kind != kind or kind not in SOURCES or source.mapping:
            return False
        try:
            report = SOURCES[kind].parse(Body(body, content_type), self._clock())
        except Exception:  # whatever it is, the route meets it too
            return False
        loop = asyncio.get_running_loop()
        if not self._read:
            loop.call_soon(self._hand_over, loop)
        self._read.append((Sender(tell, loop.time() + PATIENCE_S), source, token, report))
        return True

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gives away what was read since the loop looked for news: all at once, so that it is one commit."""
        read, self._read = self._read, []
        for one, source, token, report in read:
            ring = partial(self._ring, loop, one)
            try:
                one.job = self._intake.hand_over(source, token, report, ring, more_to_come=True)
            except (Overloaded, NotStored) as error:
                _told(one, self._refusal(error))
                continue
            self._waiting[one] = None
            if not self._looking:
                self._looking = True
                loop.call_at(one.until, self._look, loop)
        self._intake.wake()

    def _ring(self, loop: asyncio.AbstractEventLoop, one: Sender) -> None:
        """From any thread: the sender's job is settled. Wakes the loop once for all that were since it looked."""
        self._settled.append(one)
        if not self._rung:
            self._rung = True
            try:
                loop.call_soon_threadsafe(self._hear)
            except RuntimeError:  # the server has stopped: nobody waits any more
                self._settled.clear()

    def _hear(self) -> None:
        self._rung = False  # before looking: what settles from now on rings again
        answers: list[tuple[Sender, Answer | None]] = []
        stored = 0
        while self._settled:
            one = self._settled.popleft()
            if one not in self._waiting:
                continue
            del self._waiting[one]
            try:
                ids = self._intake.taken(one.job)
            except OtherMapping:
                answers.append((one, None))
            except (NotStored, UnknownSource) as error:
                answers.append((one, self._refusal(error)))
            else:
                stored += 1
                answers.append((one, _accepted(ids)))
        self._answered.inc(stored)
        for one, answer in answers:
            _told(one, answer)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answers those that have waited too long. One look for many: a timer for each would cost more than its use."""
        for one in list(self._waiting):
            if one.until > loop.time():
                loop.call_at(one.until, self._look, loop)
                return
            del self._waiting[one]
            _told(one, self._refusal(NotStored()))
        self._looking = False

    def _refusal(self, error: Exception) -> Answer:
        status, sentence, headers = _refused(error)
        self._metrics.http_requests.labels(ROUTE, str(status)).inc()
        return _said(status, json.dumps({"error": sentence}), headers)


def _told(one: Sender, answer: Answer | None) -> None:
    """What is wrong with one sender's connection must not cost the others their answers."""
    try:
        one.tell(answer)
    except Exception:
        log.exception("an answer could not be given")


def _accepted(ids: Sequence[int]) -> Answer:
    return _said(200, f'{{"accepted": {len(ids)}, "alerts": {list(ids)}}}')


def _said(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = text.encode() + b"\n"
    more = [(name.encode(), value.encode()) for name, value in headers.items()] if headers else ()
    return Answer(status, [*HEADERS, (b"content-length", b"%d" % len(body)), *more], body)

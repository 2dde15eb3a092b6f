"""The pretend world behind the stand-ins: a log of all that happened, scripted faults, and the platforms' own memory.

Who lives there, and in which groups, is in `directory.py`.

One lock guards everything; a stand-in handles one request completely while it holds it (`with world.lock`), so that a
limit and the message that it counts are one step. Times are epoch seconds of the clock given at the start.

Places, as used in `Event.place`, `fault` and the queries:

    group or one-to-one chat   its conversation id (`cidOnCall==`)
    phone, mailbox, ARMS       the E.164 number, the address, the integration key

Fault keys are `<platform>:<what>`: a robot's token, an endpoint's path, a phone number, a mailbox, or nothing for the
whole platform: `dingtalk:tok1`, `dingtalk:/v1.0/oauth2/accessToken`, `sms:+8613800138000`, `mail:a@example.com`,
`wecom`. The platforms are dingtalk, wecom, lark, slack, arms, sms, mail.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.sandbox.directory import Directory

Kind = Literal["card", "say", "typed", "update", "form", "home", "sms", "call", "mail", "alert", "refused", "repeat"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    kind      card     a robot posted into a group by its webhook
              say      the app's bot said something in a group or one-to-one
              typed    a person said something
              sms      a text message reached a phone       body: {"text", "sign", "template", "params", "out_id"}
              call     a phone was called              body: {"text", "params", "answered", "out_id"}
              mail     a mail reached a mailbox             body: {"from", "subject", "plain", "html", "headers", "raw"}
              update   a message of the app's bot was changed in place: `body` as it is now, `ref` says which
              form     a form was opened for `person` (a modal); closed again with body None
              home     the app's own page of `person` was drawn anew
              alert    ARMS took an event
              refused  a stand-in refused a request; `note` is the code it answered with
              repeat   the platform recognised a request as one that it had carried out already
    place     where (see the module); for "refused" whatever of it was known
    body      the message as the platform's client gets it: the posted JSON without signature members
    person    id of who said it ("typed") or whom it is for ("say", one-to-one)
    robot     token of the robot ("card")
    ref       the platform's own id of the message, form or page, where it has one
    """

    seq: int
    at: float
    kind: Kind
    platform: str
    place: str
    body: Any
    person: str = ""
    robot: str = field(default="", repr=False)
    note: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Answer in the platform's own shape with this code; `text` "" takes the platform's usual words."""

    code: str | int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """Answer with this HTTP status and plain text, as a broken server does."""

    status: int = 500
    text: str = "upstream error"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Answer with an HTML page, as a proxy or a login wall does."""

    status: int = 200


@dataclass(frozen=True, slots=True)
class X5:
    """DingTalk's gateway has banned the caller: an answer without any errcode, as JSON or as a page."""

    page: bool = False


@dataclass(frozen=True, slots=True)
class Slow:
    """Carry the request out, then hold the answer back for so many seconds, or until the event is set; 30 s at most."""

    until: float | threading.Event


@dataclass(frozen=True, slots=True)
class Drop:
    """Cut the connection before the request is carried out, or (`after`) when it was: only the answer is lost."""

    after: bool = False


Fault = Refused | Broken | Page | X5 | Slow | Drop


@dataclass(slots=True)
class _Script:
    faults: deque[Fault]
    forever: bool


class World(Directory):
    """The directory, and what goes on between those who are in it. Every public method may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._changed = threading.Condition(self.lock)
        self._events: list[Event] = []
        self._seq = 0
        self._scripts: dict[str, _Script] = {}
        self._hits: dict[str, deque[float]] = {}
        self._notes: dict[str, Any] = {}

    # -- what happened

    def happen(
        self,
        kind: Kind,
        platform: str,
        place: str,
        body: Any,
        *,
        person: str = "",
        robot: str = "",
        note: str = "",
        ref: str = "",
    ) -> Event:
        """Append to the log and wake everybody who waits."""
        with self.lock:
            self._seq += 1
            event = Event(self._seq, self.now(), kind, platform, place, body, person, robot, note, ref)
            self._events.append(event)
            self._changed.notify_all()
        return event

    @property
    def events(self) -> tuple[Event, ...]:
        """The whole log, oldest first."""
        with self.lock:
            return tuple(self._events)

    @property
    def last(self) -> int:
        """Sequence number of the newest event, 0 at the start. Never goes back, not even by `clear`."""
        with self.lock:
            return self._seq

    def after(self, seq: int) -> list[Event]:
        """Events that are newer than that number, oldest first."""
        with self.lock:
            newer: list[Event] = []
            for event in reversed(self._events):
                if event.seq <= seq:
                    break
                newer.append(event)
        newer.reverse()
        return newer

    def wait(self, after: int, timeout_s: float) -> list[Event]:
        """The newer events as soon as there are any; an empty list after `timeout_s` seconds of real time."""
        with self._changed:
            self._changed.wait_for(lambda: self._seq > after, timeout_s)
            return self.after(after)

    def wait_for(self, wanted: Callable[[Event], bool], *, after: int = 0, timeout_s: float = 5.0) -> Event | None:
        """The first event newer than `after` that is wanted, waiting for it; None when the time is over."""
        deadline = time.monotonic() + timeout_s
        while True:
            for event in self.wait(after, max(0.0, deadline - time.monotonic())):
                after = event.seq
                if wanted(event):
                    return event
            if time.monotonic() >= deadline:
                return None

    def _of(self, kind: Kind, platform: str | None, place: str | None) -> list[Event]:
        return [
            event
            for event in self.events
            if event.kind == kind and platform in (None, event.platform) and place in (None, event.place)
        ]

    def cards(self, platform: str, place: str | None = None) -> list[Event]:
        """What robots posted by webhook on that platform (in that group); for "arms" the events that it took."""
        return self._of("alert" if platform == "arms" else "card", platform, place)

    def said(self, conversation: str) -> list[Event]:
        """What the app's bot said in that conversation, webhook cards not included."""
        return self._of("say", None, conversation)

    def sms(self, phone: str) -> list[Event]:
        """Text messages that reached that E.164 number."""
        return self._of("sms", None, phone)

    def mail(self, address: str) -> list[Event]:
        """Mails that reached that mailbox."""
        return self._of("mail", None, address.lower())

    def refusals(self, platform: str | None = None) -> list[Event]:
        """What the stand-ins refused, scripted faults not included."""
        return self._of("refused", platform, None)

    def clear(self) -> None:
        """Forget messages, limits, penalties and scripted faults; people, groups, robots and sessions stay."""
        with self.lock:
            self._events.clear()
            self._scripts.clear()
            self._hits.clear()
            self._notes.clear()
            self._changed.notify_all()

    # -- faults

    def fault(self, key: str, *faults: Fault, forever: bool = False) -> None:
        """The next requests at that key are answered so, one each; with `forever` the last one stays.

        No faults at all: the key works normally again.
        """
        with self.lock:
            if faults:
                self._scripts[key] = _Script(deque(faults), forever)
            else:
                self._scripts.pop(key, None)

    def next_fault(self, *keys: str) -> Fault | None:
        """What is scripted for the first of the keys that has something; for the stand-ins."""
        with self.lock:
            for key in keys:
                script = self._scripts.get(key)
                if script is None:
                    continue
                if script.forever and len(script.faults) == 1:
                    return script.faults[0]
                fault = script.faults.popleft()
                if not script.faults:
                    del self._scripts[key]
                return fault
        return None

    # -- the platforms' own memory

    def hits(self, key: str, per_s: float) -> int:
        """How many `hit`s that key had in the last `per_s` seconds (a hit exactly that long ago is over)."""
        with self.lock:
            edge = self.now() - per_s
            return sum(1 for at in self._hits.get(key, ()) if at > edge)

    def hit(self, key: str, keep: int = 1000) -> None:
        """Count one now; only the last `keep` are remembered."""
        with self.lock:
            times = self._hits.get(key)
            if times is None or times.maxlen != keep:
                times = self._hits[key] = deque(times or (), keep)
            times.append(self.now())

    def remember(self, key: str, value: Any) -> None:
        """A platform's note to itself (a penalty's end, an idempotency key, a token)."""
        with self.lock:
            self._notes[key] = value

    def recall(self, key: str) -> Any:
        """The note, None when there is none."""
        with self.lock:
            return self._notes.get(key)

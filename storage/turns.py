"""How threads share one writer: each in its turn, and together where they can."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
Tx = TypeVar("Tx")


class TurnTimeout(Exception):
    """It took too long until it was one's turn."""


class Turns:
    """A lock that is handed to whoever waits longest.

    With an ordinary one a thread that takes it again at once starves all others: they are woken and find it taken.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._guard = threading.Lock()
        self._line: deque[threading.Lock] = deque()
        self._taken = False

    def turn(self, *, needed: bool = True) -> AbstractContextManager[None]:
        """Raises TurnTimeout; where the turn is not needed it is only waited for, and then one goes on without it."""
        return _Turn(self, needed)

    def take(self) -> bool:
        """Whether it became ours; then it has to be given."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._line.append(mine)
        if mine.acquire(timeout=self._timeout_s):
            return True
        with self._guard, suppress(ValueError):
            self._line.remove(mine)
            return False
        return True  # it became ours in this very moment

    def give(self) -> None:
        with self._guard:
            if self._line:
                self._line.popleft().release()
            else:
                self._taken = False


class _Turn(AbstractContextManager[None]):
    __slots__ = ("_needed", "_taken", "_turns")

    def __init__(self, turns: Turns, needed: bool) -> None:
        self._turns = turns
        self._needed = needed

    def __enter__(self) -> None:
        self._taken = self._turns.take()
        if self._needed and not self._taken:
            raise TurnTimeout

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken:
            self._turns.give()


class _Wish(Generic[Tx]):
    """What one thread wants to write. The event says that it is done, or that it is for its thread to lead."""

    def __init__(self, write: Callable[[Tx], Any]) -> None:
        self.write = write
        self.event = threading.Event()
        self.leads = False
        self.result: Any = None
        self.error: BaseException | None = None


class Together(Generic[Tx]):
    """Threads that come while another one waits for the writer are written in its transaction: one commit for all."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Tx]], most: int) -> None:
        """`most`: so many in one transaction."""
        self._transaction = transaction
        self._most = most
        self._guard = threading.Lock()
        self._wishes: deque[_Wish[Tx]] = deque()
        self._led = False

    def run(self, write: Callable[[Tx], T]) -> T:
        """What `write` returns, once it is committed. It is called again, alone, when a transaction with others failed."""
        wish: _Wish[Tx] = _Wish(write)
        with self._guard:
            self._wishes.append(wish)
            wish.leads, self._led = not self._led, True
        if not wish.leads:
            wish.event.wait()
        if wish.leads:
            self._lead(wish)
        if wish.error is not None:
            raise wish.error
        return cast("T", wish.result)

    def _lead(self, own: _Wish[Tx]) -> None:
        """Writes what has gathered, with its own; then somebody else leads."""
        gathered: list[_Wish[Tx]] = []
        try:
            with self._transaction() as tx:
                gathered = self._gathered()
                for wish in gathered:
                    wish.result = wish.write(tx)
        except BaseException as error:
            if gathered:
                self._one_by_one(gathered, error)
            else:  # the writer cannot be had: the others find out themselves
                self._leave(own)
                own.error = error
        finally:
            self._hand_over()
        for wish in gathered:
            wish.event.set()

    def _gathered(self) -> list[_Wish[Tx]]:
        with self._guard:
            return [self._wishes.popleft() for _ in range(min(self._most, len(self._wishes)))]

    def _one_by_one(self, wishes: list[_Wish[Tx]], error: BaseException) -> None:
        """One of them failed, or the commit: each has its own transaction now, so that a bad one fails alone."""
        for wish in wishes:
            if len(wishes) == 1:
                wish.error = error
                return
            try:
                with self._transaction() as tx:
                    wish.result = wish.write(tx)
            except BaseException as own:
                wish.error = own

    def _leave(self, wish: _Wish[Tx]) -> None:
        with self._guard:
            self._wishes.remove(wish)

    def _hand_over(self) -> None:
        with self._guard:
            self._led = bool(self._wishes)
            if self._wishes:
                self._wishes[0].leads = True
                self._wishes[0].event.set()

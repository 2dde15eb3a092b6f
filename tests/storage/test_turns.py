"""Threads that share one writer: in turn, and together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from storage.database import Database, is_unavailable
from storage.schema import setting
from storage.turns import Together, Turns, TurnTimeout

PATIENCE_S = 20.0


def wait_until_in_line(turns: Turns, count: int) -> None:
    pause = threading.Event()
    for _ in range(4000):
        if len(turns._line) == count:
            return
        pause.wait(0.005)
    raise AssertionError("they do not stand in line")


def test_whoever_waits_longest_is_next_also_when_the_first_comes_back_at_once() -> None:
    turns = Turns(PATIENCE_S)
    order: list[str] = []

    def once(name: str) -> None:
        with turns.turn():
            order.append(name)

    with ThreadPoolExecutor(3) as pool:
        with turns.turn():
            for count, name in enumerate(("a", "b", "c"), 1):
                pool.submit(once, name)
                wait_until_in_line(turns, count)
        once("again")
    assert order == ["a", "b", "c", "again"]


def once(turns: Turns, *, needed: bool = True) -> str:
    with turns.turn(needed=needed):
        return "went on"


def test_who_does_not_need_its_turn_goes_on_without_and_takes_it_from_nobody() -> None:
    turns = Turns(0.01)
    with turns.turn(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(once, turns, needed=False).result(PATIENCE_S) == "went on"
        assert isinstance(pool.submit(once, turns).exception(PATIENCE_S), TurnTimeout)
    assert once(turns) == "went on"


def test_who_waited_too_long_leaves_the_line_and_the_others_go_on() -> None:
    turns = Turns(0.01)
    with turns.turn(), ThreadPoolExecutor(1) as pool:
        late = pool.submit(once, turns)
        assert isinstance(late.exception(PATIENCE_S), TurnTimeout)
    once(turns)
    assert is_unavailable(TurnTimeout())


class Book:
    """A transaction that can be held up: what is written counts when it ends well."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.fails = 0
        self.turns = Turns(PATIENCE_S)

    @contextmanager
    def transaction(self) -> Iterator[list[str]]:
        with self.turns.turn():
            page: list[str] = []
            yield page
            if self.fails:
                self.fails -= 1
                raise OSError("the disk is full")
            self.commits.append(page)


def gathered(book: Book, together: Together[list[str]], *words: str) -> list[BaseException | str]:
    """What each thread got that wrote a word while the first one waited for its turn."""

    def write(word: str) -> str:
        def on(page: list[str]) -> str:
            page.append(word)
            if word == "bad":
                raise ValueError(word)
            return word.upper()

        return together.run(on)

    pause = threading.Event()
    with ThreadPoolExecutor(len(words)) as pool:
        with book.turns.turn():
            futures = []
            for count, word in enumerate(words, 1):
                futures.append(pool.submit(write, word))
                while len(together._wishes) < count:
                    pause.wait(0.002)
        return [future.exception(PATIENCE_S) or future.result() for future in futures]


def test_what_gathers_while_the_writer_is_busy_is_one_transaction() -> None:
    book = Book()
    assert gathered(book, Together(book.transaction, 10), "a", "b", "c") == ["A", "B", "C"]
    assert book.commits == [["a", "b", "c"]]


def test_a_transaction_has_a_largest_size_and_the_rest_has_the_next() -> None:
    book = Book()
    assert gathered(book, Together(book.transaction, 2), "a", "b", "c", "d", "e") == ["A", "B", "C", "D", "E"]
    assert book.commits == [["a", "b"], ["c", "d"], ["e"]]


def test_what_cannot_be_written_fails_alone() -> None:
    book = Book()
    first, bad, last = gathered(book, Together(book.transaction, 10), "a", "bad", "c")
    assert (first, last) == ("A", "C")
    assert isinstance(bad, ValueError)
    assert book.commits == [["a"], ["c"]]


def test_when_the_commit_fails_each_is_tried_once_more_and_learns_its_own_end() -> None:
    book = Book()
    book.fails = 2
    first, second = gathered(book, Together(book.transaction, 10), "a", "b")
    assert isinstance(first, OSError)
    assert second == "B"
    assert book.commits == [["b"]]


def test_the_only_one_is_not_tried_twice() -> None:
    book = Book()
    book.fails = 1
    together = Together(book.transaction, 10)
    (error,) = gathered(book, together, "a")
    assert isinstance(error, OSError)
    assert gathered(book, together, "b") == ["B"]


def test_who_cannot_have_the_writer_fails_and_the_next_one_tries() -> None:
    book = Book()
    book.turns = Turns(0.01)
    together = Together(book.transaction, 10)
    with book.turns.turn(), ThreadPoolExecutor(2) as pool:
        late = [pool.submit(together.run, lambda page: page.append("late")) for _ in range(2)]
        assert all(isinstance(one.exception(PATIENCE_S), TurnTimeout) for one in late)
    assert gathered(book, together, "c") == ["C"]
    assert book.commits == [["c"]]


def test_many_threads_write_together_and_nothing_is_lost(database: Database) -> None:
    def write(number: int) -> int:
        def on(tx: object) -> int:
            tx.conn.execute(setting.insert().values(name=f"n{number}", value=str(number)))  # type: ignore[attr-defined]
            return number

        return database.write_together(on, lasting=False)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(write, range(200))) == list(range(200))
    with database.read() as tx:
        assert len(tx.conn.execute(setting.select()).all()) == 200


def test_a_transaction_inside_another_one_is_refused_and_does_not_wait_for_itself(database: Database) -> None:
    with database.write(), pytest.raises(RuntimeError, match="already open"):
        database.write_together(lambda _tx: None)

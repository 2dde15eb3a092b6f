"""The pretend world: its log, its windows, its scripted faults."""

from __future__ import annotations

import threading

from bot.sandbox.directory import Robot
from bot.sandbox.world import Broken, Drop, Page, Refused, World
from tests.bot.sandbox.conftest import Clock


def test_sequence_numbers_grow_also_over_a_clear(world: World) -> None:
    first = world.happen("card", "dingtalk", "g", {})
    world.clear()
    second = world.happen("card", "dingtalk", "g", {})
    assert second.seq > first.seq
    assert world.after(first.seq) == [second]
    assert world.events == (second,)


def test_waiting_ends_with_the_next_event(world: World) -> None:
    seen: list[object] = []
    before = world.last
    thread = threading.Thread(target=lambda: seen.extend(world.wait(before, 10.0)))
    thread.start()
    event = world.happen("sms", "sms", "+8613800138000", {"text": "1"})
    thread.join(5.0)
    assert seen == [event]


def test_waiting_for_nothing_gives_nothing(world: World) -> None:
    assert world.wait(world.last, 0.0) == []
    assert world.wait_for(lambda event: True, timeout_s=0.0) is None


def test_a_window_forgets_what_is_exactly_as_old_as_it_is_long(world: World, clock: Clock) -> None:
    world.hit("k")
    clock.move(59.999)
    assert world.hits("k", 60.0) == 1
    clock.move(0.001)
    assert world.hits("k", 60.0) == 0


def test_faults_come_once_each_and_the_special_key_first(world: World) -> None:
    world.fault("wecom", Page())
    world.fault("wecom:key1", Refused(45009), Broken(502))
    assert [world.next_fault("wecom:key1", "wecom") for _ in range(4)] == [Refused(45009), Broken(502), Page(), None]


def test_a_fault_for_ever_stays_until_it_is_taken_back(world: World) -> None:
    world.fault("lark", Broken(), Drop(), forever=True)
    assert [world.next_fault("lark") for _ in range(4)] == [Broken(), Drop(), Drop(), Drop()]
    world.fault("lark")
    assert world.next_fault("lark") is None


def test_no_secret_shows_in_a_repr() -> None:
    assert "hush" not in repr(Robot("lark", "hush-token", "g", secret="hush"))
    world = World()
    assert "hush" not in repr(world.add_app("sms", "id", "hush"))


def test_twenty_threads_lose_no_event(world: World) -> None:
    def many() -> None:
        for _ in range(50):
            world.happen("card", "slack", "g", {})
            world.hit("k", keep=2000)

    threads = [threading.Thread(target=many) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.seq for event in world.events] == list(range(1, 1001))
    assert world.hits("k", 1.0) == 1000

"""Who gets the next free sender, as a table."""

from __future__ import annotations

import pytest

from bot.delivery.shares import ASKED, MOST_SLOW, OTHERS, OTHERS_ILL, URGENT, URGENT_ILL, Held, choices, counted
from storage.lanes import Pick

SENDERS = 24
ALL = (ASKED, URGENT, URGENT_ILL, OTHERS, OTHERS_ILL)


def lanes(count: int, channel: str, pick: Pick) -> list[Held]:
    return [Held(f"{channel}:{n}", bool(pick.urgent), bool(pick.well), pick.asked) for n in range(count)]


def spread(count: int, pick: Pick) -> list[Held]:
    """Lanes of so many channels."""
    return [Held(f"channel{n}:x", bool(pick.urgent), bool(pick.well), pick.asked) for n in range(count)]


@pytest.mark.parametrize(
    ("held", "picks"),
    [
        ([], ALL),
        (spread(7, OTHERS_ILL), ALL),
        (spread(8, OTHERS_ILL), (ASKED, URGENT, OTHERS)),
        (spread(17, OTHERS), ALL),
        (spread(18, OTHERS), (ASKED, URGENT, URGENT_ILL)),
        (spread(20, OTHERS), (ASKED, URGENT)),
        (spread(21, OTHERS), (ASKED,)),
        (spread(23, OTHERS), (ASKED,)),
        (spread(14, URGENT), ALL),
        (spread(15, URGENT), (ASKED, URGENT, URGENT_ILL, OTHERS)),
        (spread(18, URGENT), (ASKED, OTHERS)),
        (spread(18, URGENT) + lanes(3, "sms", OTHERS), (ASKED,)),
        (spread(18, URGENT) + lanes(3, "sms", ASKED), (OTHERS,)),
        (spread(21, ASKED), (OTHERS,)),
        (spread(24, OTHERS), ()),
        (spread(25, OTHERS), ()),
    ],
)
def test_each_kind_of_lanes_has_its_share(held: list[Held], picks: tuple[Pick, ...]) -> None:
    assert tuple(one.pick for one in choices(held, SENDERS)) == picks


@pytest.mark.parametrize(
    ("count", "for_others", "for_urgent", "for_asked"),
    [
        (13, "", "", ""),
        (14, "dingtalk", "", ""),
        (16, "dingtalk", "", ""),
        (17, "dingtalk", "dingtalk", ""),
        (20, "dingtalk", None, "dingtalk"),
    ],
)
def test_a_channel_has_a_share_and_for_what_is_urgent_or_asked_for_a_little_more(
    count: int, for_others: str, for_urgent: str | None, for_asked: str
) -> None:
    full = {
        one.pick: one.full for one in choices(lanes(count, "dingtalk", URGENT) + lanes(1, "wecom", OTHERS), SENDERS)
    }
    assert full.pop(ASKED) == for_asked
    assert full.pop(URGENT, None) == for_urgent
    assert set(full.values()) == {for_others}


def test_a_chat_is_a_channel_of_its_own_for_each_platform() -> None:
    both = lanes(9, "chat:dingtalk", OTHERS) + lanes(9, "chat:slack", OTHERS)
    assert {one.full for one in choices(both, SENDERS)} == {""}
    assert {one.full for one in choices(lanes(18, "chat:slack", OTHERS), SENDERS)} == {"", "chat:slack"}


@pytest.mark.parametrize("hung", ALL, ids=["asked", "urgent", "urgent and ill", "others", "others and ill"])
@pytest.mark.parametrize("senders", [1, 2, 3, 4, 24, 40])
def test_when_all_of_a_channel_hangs_what_is_urgent_elsewhere_finds_a_sender_and_others_too(
    senders: int, hung: Pick
) -> None:
    held: list[Held] = []
    while any(one.pick == hung and one.full != "dingtalk" for one in choices(held, senders)):
        held += [Held(f"dingtalk:{len(held)}", bool(hung.urgent), bool(hung.well), hung.asked)]
    assert held, "somebody is always served"
    left = {one.pick for one in choices(held, senders)}
    if senders >= SENDERS:
        assert {URGENT, OTHERS} <= left


def test_who_has_been_waited_for_long_takes_no_sender_unless_there_are_very_many() -> None:
    held = {one.key: one for one in lanes(100, "lark", URGENT)}
    ticks = {key: float(n) for n, key in enumerate(held)}
    assert counted(held, {}, 50.0) == list(held.values())
    assert counted(held, dict.fromkeys(held), 50.0) == list(held.values()), "they are at work"
    assert [one.key for one in counted(held, ticks, 50.0)] == list(held)[50:]
    assert len(counted(held, ticks, 100.0)) == 100 - MOST_SLOW

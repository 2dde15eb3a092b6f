"""Who gets the next free sender, as a table."""

from __future__ import annotations

import pytest

from bot.delivery.shares import OTHERS, OTHERS_ILL, URGENT, URGENT_ILL, Choice, Held, choices
from storage.lanes import Pick

SENDERS = 24
ALL = (URGENT, URGENT_ILL, OTHERS, OTHERS_ILL)


def lanes(count: int, channel: str, pick: Pick) -> list[Held]:
    return [Held(f"{channel}:{n}", bool(pick.urgent), bool(pick.well)) for n in range(count)]


def spread(count: int, pick: Pick) -> list[Held]:
    """Lanes of so many channels."""
    return [Held(f"channel{n}:x", bool(pick.urgent), bool(pick.well)) for n in range(count)]


@pytest.mark.parametrize(
    ("held", "picks"),
    [
        ([], ALL),
        (spread(7, OTHERS_ILL), ALL),
        (spread(8, OTHERS_ILL), (URGENT, OTHERS)),
        (spread(20, OTHERS), (URGENT, URGENT_ILL, OTHERS, OTHERS_ILL)),
        (spread(21, OTHERS), (URGENT, URGENT_ILL)),
        (spread(23, OTHERS), (URGENT,)),
        (spread(17, URGENT), ALL),
        (spread(18, URGENT), (URGENT, URGENT_ILL, OTHERS)),
        (spread(21, URGENT), (OTHERS,)),
        (spread(21, URGENT) + lanes(1, "sms", OTHERS), (OTHERS,)),
        (spread(20, URGENT) + lanes(3, "sms", OTHERS), (URGENT,)),
        (spread(24, OTHERS), ()),
        (spread(25, OTHERS), ()),
    ],
)
def test_each_kind_of_lanes_has_its_share(held: list[Held], picks: tuple[Pick, ...]) -> None:
    assert tuple(one.pick for one in choices(held, SENDERS)) == picks


@pytest.mark.parametrize(
    ("count", "for_others", "for_urgent"),
    [(15, "", ""), (16, "dingtalk", ""), (18, "dingtalk", ""), (19, "dingtalk", "dingtalk")],
)
def test_a_channel_has_two_thirds_and_for_what_is_urgent_a_little_more(
    count: int, for_others: str, for_urgent: str
) -> None:
    found = choices(lanes(count, "dingtalk", URGENT) + lanes(1, "wecom", OTHERS), SENDERS)
    assert found[0] == Choice(URGENT, for_urgent)
    assert {one.full for one in found[1:]} == {for_others}


def test_a_chat_is_a_channel_of_its_own_for_each_platform() -> None:
    both = lanes(9, "chat:dingtalk", OTHERS) + lanes(9, "chat:slack", OTHERS)
    assert {one.full for one in choices(both, SENDERS)} == {""}
    assert {one.full for one in choices(lanes(18, "chat:slack", OTHERS), SENDERS)} == {"", "chat:slack"}


@pytest.mark.parametrize("hung", ALL, ids=["urgent", "urgent and ill", "others", "others and ill"])
@pytest.mark.parametrize("senders", [1, 2, 3, 4, 24, 40])
def test_when_all_of_a_channel_hangs_what_is_urgent_elsewhere_finds_a_sender_and_others_too(
    senders: int, hung: Pick
) -> None:
    held: list[Held] = []
    while any(one.pick == hung and one.full != "dingtalk" for one in choices(held, senders)):
        held += [Held(f"dingtalk:{len(held)}", bool(hung.urgent), bool(hung.well))]
    assert held, "somebody is always served"
    left = {one.pick for one in choices(held, senders)}
    if senders >= SENDERS:
        assert {URGENT, OTHERS} <= left

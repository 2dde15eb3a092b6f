"""Zones as people write them, and times as they stand on cards."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from handlers.errors import CommandError
from handlers.times import minute, zone_name, zone_named

AUTUMN = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
"""When clocks in Berlin go from 03:00 back to 02:00."""


@pytest.mark.parametrize(
    ("moment", "zone", "shown"),
    [
        (datetime(2026, 11, 23, 13, 5, 59, tzinfo=UTC), "Asia/Shanghai", "2026-11-23 21:05 (UTC+8)"),
        (datetime(2026, 11, 23, 13, 5, tzinfo=UTC), "UTC", "2026-11-23 13:05 (UTC)"),
        (datetime(2026, 11, 23, 13, 5, tzinfo=UTC), "Asia/Kolkata", "2026-11-23 18:35 (UTC+5:30)"),
        (datetime(2026, 11, 23, 1, 5, tzinfo=UTC), "America/St_Johns", "2026-11-22 21:35 (UTC-3:30)"),
        (datetime(2026, 10, 25, 0, 59, tzinfo=UTC), "Europe/Berlin", "2026-10-25 02:59 (UTC+2)"),
        (AUTUMN, "Europe/Berlin", "2026-10-25 02:00 (UTC+1)"),
        (datetime(2026, 3, 8, 6, 59, tzinfo=UTC), "America/New_York", "2026-03-08 01:59 (UTC-5)"),
        (datetime(2026, 3, 8, 7, 0, tzinfo=UTC), "America/New_York", "2026-03-08 03:00 (UTC-4)"),
        (datetime(9999, 12, 31, 23, 0, tzinfo=UTC), "Asia/Shanghai", "9999-12-31 23:00 (UTC)"),
    ],
)
def test_a_time_on_a_card_names_its_zone_also_around_the_change_of_clocks(
    moment: datetime, zone: str, shown: str
) -> None:
    assert minute(moment, ZoneInfo(zone)) == shown


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Asia/Shanghai", "Asia/Shanghai"),
        ("asia/shanghai", "Asia/Shanghai"),
        ("america/new york", "America/New_York"),
        ("New York", "America/New_York"),
        ("london", "Europe/London"),
        ("北京", "Asia/Shanghai"),
        ("UTC", "UTC"),
        ("utc+8", "Etc/GMT-8"),
        ("GMT-5", "Etc/GMT+5"),
        ("+08:00", "Etc/GMT-8"),
    ],
)
def test_a_zone_is_found_as_people_write_it(typed: str, name: str) -> None:
    assert zone_name(typed) == name


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("Asia/Shangai", "Did you mean “Asia/Shanghai”?"),
        ("Europe/Berln", "Did you mean “Europe/Berlin”?"),
        ("Chengdu", "like Asia/Shanghai"),
        ("+25", "like Asia/Shanghai"),
        ("../../etc/passwd", "like Asia/Shanghai"),
    ],
)
def test_a_zone_that_does_not_exist_is_refused_with_the_nearest(typed: str, said: str) -> None:
    with pytest.raises(CommandError) as refused:
        zone_name(typed)
    assert said in str(refused.value.say)


def test_a_stored_zone_that_is_gone_gives_the_default() -> None:
    assert zone_named("Asia/Shanghai", UTC) == ZoneInfo("Asia/Shanghai")
    for gone in (None, "", "Mars/Olympus", "../x"):
        assert zone_named(gone, UTC) is UTC

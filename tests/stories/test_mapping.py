"""JSON of another form: refused, looked at by its owner, mapped in chat, tried on what came in, and taken from then on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from storage import sources
from tests.conftest import Clock
from tests.stories.conftest import ADMIN, GROUP, MEMBER, ROBOT_SECRET, ROBOT_URL, Town, words

BODY = {
    "alerts": [
        {"name": "Disk full", "level": "P1", "state": "bad", "host": "db7", "since": "2026-03-02T08:00:00Z", "n": 93},
        {"name": "Slow", "level": "P5", "state": "bad", "host": "web1", "page": "https://mon.example/web1"},
    ],
    "token": "body-secret",
}
OVER = {"alerts": [{"name": "Disk full", "level": "P1", "state": "fine", "host": "db7"}]}

ENGLISH = (
    "source add nagios json to dba",
    "source map nagios each=$.alerts title={{ name }} severity=@.level severity.P1=critical severity.P5=info"
    ' status=@.state status.fine=resolved starts_at=@.since link=@.page label.host="@.host" fingerprint={{ name }}',
    "source map nagios preview",
    "source show nagios",
    "source map nagios clear",
    ("is read like this now", "is 2 alerts", "could not be read in the last 24 hours", "has no mapping any more"),
)
CHINESE = (
    "告警源添加 nagios json 到 dba",
    "告警源映射 nagios 每个=$.alerts 标题=“{{ name }}” 级别=@.level 级别.P1=critical 级别.P5=info 状态=@.state"
    " 状态.fine=resolved 开始＝@.since 链接=@.page 标签.host=@.host 指纹={{ name }}",
    "告警源映射 nagios 预览",
    "查看告警源 nagios",
    "告警源映射 nagios 清除",
    (),
)


def with_robot(town: Town) -> None:
    town.say(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}")
    town.say(town.code_for(GROUP))
    town.say("group create dba members Team")


@pytest.mark.parametrize("said", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_a_foreign_form_is_mapped_in_chat(said: tuple[Any, ...], town: Town) -> None:
    add, mapped, preview, show, clear, (set_, previewed, refused, cleared) = (*said[:5], said[5] or ("", "", "", ""))
    with_robot(town)
    path = "/alerts/json/" + town.say(add).partition("/alerts/json/")[2].split()[0]
    answer = town.alert(path, BODY)
    assert (answer.status_code, answer.json()["path"]) == (400, "$.alerts[0].title")

    shown = town.say(show)
    for part in (refused, "nagios", "$.alerts[0].title", '"name": "Disk full"'):
        assert part in shown
    assert set_ in town.say(mapped)
    tried = town.say(preview)
    for part in (previewed, "Disk full", "Slow", "db7", "https://mon.example/web1"):
        assert part in tried
    assert "No alert is open" in town.say("alerts"), "a preview raises nothing"

    after = town.world.last
    assert town.alert(path, BODY).json() == {"accepted": 2, "alerts": [1, 2]}
    town.quiet()
    cards = [words(e.body) for e in town.world.cards("dingtalk") if e.seq > after]
    assert len(cards) == 2
    [disk] = [card for card in cards if "Disk full" in card]
    for part in ("#1", "CRITICAL" if set_ else "", "db7", "93", "16:00"):
        assert part in disk
    assert town.alert(path, OVER).json() == {"accepted": 1, "alerts": [1]}
    town.quiet()
    assert "#1" in words(town.world.cards("dingtalk")[-1].body)

    assert cleared in town.say(clear)
    assert town.alert(path, BODY).status_code == 400


def test_a_mapping_is_in_force_from_the_next_report_on_in_every_process(town: Town) -> None:
    """The source stays in mind of whoever takes its reports in; a change that was made elsewhere is found out."""
    town.say("group create dba")
    path = town.source("dba", "json", "nagios")
    ours = {"title": "Disk", "name": "db7"}
    assert town.alert(path, ours).json()["alerts"] == [1]
    with town.service.database.write() as tx:
        row = sources.by_key(tx, "nagios")
        assert row is not None
        sources.set_mapping(tx, row.id, {"title": "$.name"})
    assert town.alert(path, ours).json()["alerts"] == [2]
    assert "db7" in town.say("alert 2")
    assert town.alert(path, {"name": "db8"}).status_code == 200
    with town.service.database.write() as tx:
        sources.set_mapping(tx, row.id, {"title": "$.title"})
    assert town.alert(path, {"title": "Disk"}).status_code == 200, "also where the old mapping finds nothing"
    with town.service.database.write() as tx:
        sources.remove(tx, row.id)
    assert town.alert(path, {"name": "db8"}).status_code == 401


def test_what_a_source_sent_is_for_its_owner_alone(town: Town) -> None:
    town.say("group create dba")
    path = town.source("dba", "json", "nagios")
    town.alert(path, BODY)
    for command in ("source show nagios", "source map nagios preview", "source map nagios title=$.x"):
        assert "Only an admin may" in town.say(command, person=MEMBER)
    town.say("source map nagios title=$.alerts[0].name")
    for command in ("source show nagios", "source map nagios preview"):
        after = town.world.last
        assert "body-secret" not in town.say(command, group=True)
        assert "Disk full" in town.answer(town.chat(ADMIN), after=after)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("source map", "name of an alert source is missing"),
        ("source map nagios", "has no mapping: it takes our own form"),
        ("source map nagios preview", "has sent nothing in the last 24 hours"),
        ("source map nagios severity=$.level", "needs at least the title"),
        ("source map nagios title=$.a colour=$.b", "is no field of an alert"),
        ("source map nagios title=$..a..b", "only one .. is possible"),
        ("source map nagios title", "I cannot read “title”"),
        ("source map prom title=$.a", "kind alertmanager, whose form is known"),
        ("source show nagios", "Everything it sent in the last 24 hours could be read"),
    ],
)
def test_a_wrong_mapping_is_answered_with_what_is_wrong(command: str, answer: str, mapped_town: Town) -> None:
    assert answer in mapped_town.say(command)


@pytest.fixture(scope="module")
def mapped_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One town for the whole table: nothing in it changes anything."""
    town = Town(tmp_path_factory.mktemp("town"), Clock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC)))
    town.say("group create dba")
    town.source("dba", "json", "nagios")
    town.source("dba", "alertmanager", "prom")
    yield town
    town.end()

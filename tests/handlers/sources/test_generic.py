"""Our own JSON format."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import PayloadError
from handlers.model import Alert
from handlers.sources.contract import Body
from handlers.sources.generic import FIELDS
from handlers.sources.generic import parse as parse_json
from tests.handlers.sources.conftest import NOW

Parse = Callable[[str, bytes | str], list[Alert]]
Load = Callable[[str], list[Alert]]


def test_an_object_with_everything(load: Load) -> None:
    [alert] = load("json/object.json")
    assert (alert.title, alert.rule) == ("Disk full on db1", "Disk full on db1")
    assert (alert.status, alert.severity) == ("firing", "critical")
    assert alert.description == "3.1% of /var/lib/mysql is left."
    assert alert.labels == {
        "host": "db1",
        "free": "3.1",
        "mount": "/var/lib/mysql",
        "cores": "8",
        "primary": "true",
    }
    assert alert.annotations == {"owner": "dba", "tags": '["disk",{"team":"数据库"}]'}
    assert alert.links == (("link", "https://grafana.example.com/d/node?var=db1"),)
    assert (alert.starts_at, alert.ends_at) == (datetime(2026, 3, 28, 1, 0, tzinfo=UTC), None)


def test_a_list_and_an_envelope(load: Load) -> None:
    db2, db3 = load("json/list.json")
    assert [(a.title, a.status, a.severity) for a in (db2, db3)] == [
        ("Replica lags on db2", "firing", "warning"),
        ("Replica lags on db3", "resolved", "warning"),
    ]
    assert db3.ends_at == datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
    [backup] = load("json/envelope.json")
    assert (backup.title, backup.severity) == ("Backup failed", "info")


def test_a_title_is_enough_and_empty_values_are_none(parse: Parse) -> None:
    for body in (
        {"title": " x "},
        {
            "title": "x",
            "link": "",
            "fingerprint": "",
            "starts_at": "",
            "status": None,
            "labels": None,
            "severity": None,
        },
    ):
        [alert] = parse("json", json.dumps(body))
        assert alert == Alert(fingerprint=alert.fingerprint, title="x", rule="x")


def test_an_alert_with_a_title_may_have_a_field_called_alerts(parse: Parse) -> None:
    [alert] = parse("json", '{"title": "x", "alerts": [1, 2]}')
    assert alert.annotations == {"alerts": "[1,2]"}


def test_no_alerts_are_no_error(parse: Parse) -> None:
    assert parse("json", "[]") == parse("json", '{"alerts": []}') == []


def test_a_resolved_alert_without_an_end_ended_by_now(parse: Parse) -> None:
    [alert] = parse("json", '{"title": "x", "status": "RESOLVED"}')
    assert alert.ends_at == NOW


def test_labels_win_over_unknown_fields_of_the_same_name(parse: Parse) -> None:
    [alert] = parse("json", '{"title": "x", "host": "a", "labels": {"host": "b", "gone": null}}')
    assert alert.labels == {"host": "b"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"status": "firing"}, {"status": "resolved"}, True),
        ({"severity": "info"}, {"severity": "critical"}, True),
        ({"description": "a"}, {"annotations": {"b": "c"}}, True),
        ({"value": 91, "host": "a"}, {"host": "a", "value": 97}, True),
        ({"labels": {"a": "1", "b": "2"}}, {"labels": {"b": "2", "a": "1"}}, True),
        ({"host": "a"}, {"labels": {"host": "a"}}, True),
        ({"host": "a"}, {"host": "b"}, False),
        ({}, {"title": "y"}, False),
        ({"fingerprint": "f", "host": "a"}, {"fingerprint": "f", "host": "b", "title": "y"}, True),
        ({"fingerprint": "f"}, {"fingerprint": "g"}, False),
        ({"fingerprint": 7}, {"fingerprint": "7"}, True),
        ({"fingerprint": "f"}, {}, False),
    ],
)
def test_the_same_condition_has_the_same_fingerprint(
    one: dict[str, object], other: dict[str, object], same: bool, parse: Parse
) -> None:
    first, second = parse("json", json.dumps([{"title": "x", **one}, {"title": "x", **other}]))
    assert (first.fingerprint == second.fingerprint) is same


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("{}", "$.title", "Disk full on db1"),
        ('{"title": null}', "$.title", "Disk full on db1"),
        ('{"title": " \\u200b\\n"}', "$.title", "Disk full on db1"),
        ('{"title": 5}', "$.title", "expected a text, got 5"),
        ('[{"title": "a"}, {"title": ""}]', "$[1].title", "Disk full on db1"),
        ('[{"title": "a"}, "b"]', "$[1]", "expected an object"),
        ('{"alerts": [{"title": "a", "severity": "high"}]}', "$.alerts[0].severity", "critical, warning, info"),
        ('{"alerts": {"title": "a"}}', "$.alerts", "expected a list"),
        ('{"title": "a", "status": "open"}', "$.status", 'one of firing, resolved, got "open"'),
        ('{"title": "a", "status": true}', "$.status", "one of firing, resolved, got true"),
        ('{"title": "a", "labels": []}', "$.labels", "expected an object, got a list"),
        ('{"title": "a", "labels": {"b": {"c": 1}}}', "$.labels.b", "expected a text or a number, got an object"),
        ('{"title": "a", "annotations": {"b": [1]}}', "$.annotations.b", "expected a text or a number, got a list"),
        ('{"title": "a", "description": 5}', "$.description", "expected a text"),
        ('{"title": "a", "link": "ftp://example.com"}', "$.link", "https://example.com/runbook"),
        ('{"title": "a", "link": "https://u:p@example.com"}', "$.link", "https://example.com/runbook"),
        ('{"title": "a", "fingerprint": []}', "$.fingerprint", "expected a text or a number"),
        ('{"title": "a", "starts_at": "2026-03-28T01:00:00"}', "$.starts_at", "2026-03-28T09:00:00+08:00"),
        ('{"title": "a", "ends_at": 1774659600}', "$.ends_at", "expected a text"),
        ("[" + ",".join(['{"title":"a"}'] * 10_001) + "]", "$", "at most 10000"),
    ],
)
def test_a_wrong_field_is_named(body: str, path: str, words: str, parse: Parse) -> None:
    with pytest.raises(PayloadError) as caught:
        parse("json", body)
    assert caught.value.path == path
    assert words in str(caught.value.say)


def test_a_value_nested_almost_too_deeply_is_an_error_or_an_annotation(parse: Parse) -> None:
    results = {outcome(parse, '{"title": "a", "b": ' + "[" * depth + "]" * depth + "}") for depth in range(50, 1100, 7)}
    assert results == {"[[[", "expected flat data, got lists or objects nested too deeply"}


def outcome(parse: Parse, body: str) -> str:
    """The beginning of the annotation `b`, or the refusal."""
    try:
        [alert] = parse("json", body)
    except PayloadError as error:
        return str(error.say)
    return alert.annotations["b"][:3]


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)


@given(
    title=PRINTABLE,
    labels=st.dictionaries(PRINTABLE, PRINTABLE, max_size=5),
    extra=st.dictionaries(PRINTABLE.filter(lambda name: name not in FIELDS), PRINTABLE | st.integers(), max_size=3),
)
def test_labels_come_out_as_they_went_in(title: str, labels: dict[str, str], extra: dict[str, object]) -> None:
    body = json.dumps({"title": title, "labels": labels, **extra}).encode()
    [alert] = parse_json(Body(body), NOW)
    assert alert.title == title
    assert alert.labels == {**{name: str(value) for name, value in extra.items()}, **labels}


def test_a_nested_field_that_changes_does_not_make_another_condition(parse: Parse) -> None:
    [one], [other] = (
        parse("json", '{"title": "x", "meta": {"ts": 0}}'),
        parse("json", '{"title": "x", "meta": {"ts": 1}}'),
    )
    assert one.fingerprint == other.fingerprint


def test_a_link_too_long_to_show_costs_no_alert(parse: Parse) -> None:
    [alert] = parse("json", '{"title": "x", "link": "https://example.com/' + "a" * 2500 + '"}')
    assert alert.links == ()

"""Alertmanager's webhook, versions 4 and 3."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from handlers.errors import PayloadError
from handlers.model import Alert
from handlers.sources.alertmanager import silence_url
from tests.handlers.sources.conftest import NOW

Parse = Callable[[str, bytes | str], list[Alert]]
Load = Callable[[str], list[Alert]]


def test_a_firing_alert_of_version_4(load: Load) -> None:
    [alert] = load("alertmanager/v4-firing.json")
    assert alert.title == "Disk of db1 fills up within 4 hours"
    assert (alert.status, alert.severity, alert.rule) == ("firing", "critical", "DiskWillFillIn4Hours")
    assert alert.description == "Filesystem /var/lib/mysql of db1:9100 has 3.1% left."
    assert alert.labels["instance"] == "db1:9100"
    assert alert.annotations["runbook_url"] == "https://runbooks.example.com/disk"
    assert alert.starts_at == datetime(2026, 3, 28, 1, 0, 0, 123_456, tzinfo=UTC)
    assert alert.ends_at is None
    links = dict(alert.links)
    assert list(links) == ["runbook", "dashboard", "graph", "silence"]
    assert links["runbook"] == "https://runbooks.example.com/disk"
    assert links["dashboard"] == "https://grafana.example.com/d/node"
    assert links["graph"].startswith("http://prometheus.example.com:9090/graph?g0.expr=")
    assert 'alertname="DiskWillFillIn4Hours", instance="db1:9100"' in unquote(links["silence"])


@pytest.mark.parametrize("version", ["v4", "v3"])
def test_firing_and_resolved_share_their_fingerprint(version: str, load: Load) -> None:
    [firing] = load(f"alertmanager/{version}-firing.json")
    [resolved] = load(f"alertmanager/{version}-resolved.json")
    assert (firing.status, resolved.status) == ("firing", "resolved")
    assert firing.fingerprint == resolved.fingerprint
    assert resolved.ends_at == datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
    assert resolved.title == firing.title


def test_a_mixed_group_gives_every_alert_its_own_status(load: Load) -> None:
    down, up, nameless = load("alertmanager/v4-mixed.json")
    assert [alert.status for alert in (down, up, nameless)] == ["firing", "resolved", "firing"]
    assert [alert.severity for alert in (down, up, nameless)] == ["critical", "info", "warning"]
    assert [alert.title for alert in (down, up, nameless)] == ["InstanceDown", "InstanceDown", "instance=db3:9100"]
    assert down.starts_at == datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
    assert down.ends_at is None, "the end of a firing alert is only a time-out"
    assert up.ends_at == datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
    assert up.description == "db2 does not answer"
    assert [label for label, _ in up.links] == ["silence"], "javascript: is no link"
    assert dict(down.links)["silence"].startswith("https://ops.example.com/alertmanager/#/silences/new?filter=%7B")
    assert len({alert.fingerprint for alert in (down, up, nameless)}) == 3


def alert_body(**fields: object) -> str:
    return json.dumps({"version": "4", "alerts": [fields]})


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"annotations": {"summary": "S"}, "labels": {"alertname": "N"}}, "S"),
        ({"annotations": {"summary": "\u200b"}, "labels": {"alertname": "N"}}, "N"),
        ({"annotations": {"title": "T", "message": "M"}, "labels": {"alertname": "N"}}, "T"),
        ({"annotations": {"message": "M\nsecond line"}}, "M second line"),
        ({"labels": {"job": "x", "b": 1}}, "b=1, job=x"),
        ({"labels": None, "annotations": None}, "Alert without a name"),
        ({}, "Alert without a name"),
    ],
)
def test_the_title_is_never_empty(fields: dict[str, object], title: str, parse: Parse) -> None:
    [alert] = parse("alertmanager", alert_body(**fields))
    assert alert.title == title


def test_without_a_fingerprint_the_labels_make_it_in_any_order(parse: Parse) -> None:
    [one] = parse("alertmanager", alert_body(labels={"alertname": "A", "instance": "x"}))
    [same] = parse("alertmanager", alert_body(labels={"instance": "x", "alertname": "A"}, annotations={"value": "9"}))
    [other] = parse("alertmanager", alert_body(labels={"alertname": "A", "instance": "y"}))
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_a_given_fingerprint_of_any_length_counts(parse: Parse) -> None:
    [long] = parse("alertmanager", alert_body(fingerprint="f" * 10_000, labels={"a": "1"}))
    [same] = parse("alertmanager", alert_body(fingerprint="f" * 10_000, labels={"a": "2"}))
    [other] = parse("alertmanager", alert_body(fingerprint="f" * 9_999, labels={"a": "1"}))
    assert long.fingerprint == same.fingerprint != other.fingerprint
    assert len(long.fingerprint) <= 128


def test_the_status_of_the_group_counts_where_an_alert_has_none(parse: Parse) -> None:
    [alert] = parse("alertmanager", '{"status": "resolved", "alerts": [{"labels": {"alertname": "A"}}]}')
    assert alert.status == "resolved"
    assert alert.ends_at == NOW


def test_no_alerts_are_no_error(parse: Parse) -> None:
    assert parse("alertmanager", '{"version": "4", "status": "firing", "alerts": []}') == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("{}", "$.alerts"),
        ("[]", "$"),
        ('{"alerts": {}}', "$.alerts"),
        ('{"alerts": [5]}', "$.alerts[0]"),
        ('{"alerts": [{}, {"labels": {"a": []}}]}', "$.alerts[1].labels.a"),
        ('{"alerts": [{"annotations": "x"}]}', "$.alerts[0].annotations"),
        ('{"alerts": [{"status": "burning"}]}', "$.alerts[0].status"),
        ('{"alerts": [{}, {}, {"startsAt": "yesterday"}]}', "$.alerts[2].startsAt"),
        ('{"alerts": [{"endsAt": 5}]}', "$.alerts[0].endsAt"),
        ('{"status": "x", "alerts": []}', "$.status"),
    ],
)
def test_a_wrong_field_is_named(body: str, path: str, parse: Parse) -> None:
    with pytest.raises(PayloadError) as caught:
        parse("alertmanager", body)
    assert caught.value.path == path


def test_a_quote_in_a_label_stays_inside_its_matcher() -> None:
    url = silence_url("http://am.example.com/", {"a": 'x", b="y'})
    assert unquote(url) == 'http://am.example.com/#/silences/new?filter={a="x\\", b=\\"y"}'
    assert '"' not in url

"""Grafana's webhook: unified alerting and legacy."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from handlers.errors import PayloadError
from handlers.model import Alert
from tests.handlers.sources.conftest import FIXTURES, NOW

Parse = Callable[[str, bytes | str], list[Alert]]
Load = Callable[[str], list[Alert]]


def unified(**changes: object) -> str:
    """The firing fixture with other values in its one alert."""
    body = json.loads((FIXTURES / "grafana/v11-firing.json").read_text("utf-8"))
    body["alerts"][0] |= changes
    return json.dumps(body)


def legacy(**changes: object) -> str:
    body = json.loads((FIXTURES / "grafana/legacy-alerting.json").read_text("utf-8"))
    return json.dumps({name: value for name, value in (body | changes).items() if value is not ...})


def test_a_firing_alert_of_unified_alerting(load: Load) -> None:
    [alert] = load("grafana/v11-firing.json")
    assert alert.title == "Replication of db2 lags"
    assert (alert.status, alert.severity, alert.rule) == ("firing", "critical", "Replication lag")
    assert alert.description == "db2 is 312 s behind its primary."
    assert alert.labels == {
        "alertname": "Replication lag",
        "grafana_folder": "databases",
        "instance": "db2:9104",
        "severity": "critical",
        "team": "dba",
    }
    assert alert.annotations["value"] == "B = 312.5, C = 1"
    assert alert.starts_at == datetime(2026, 3, 28, 1, 0, 0, 123_456, tzinfo=UTC)
    assert alert.ends_at is None
    links = dict(alert.links)
    assert list(links) == ["runbook", "dashboard", "panel", "silence", "image", "graph"]
    assert links["panel"] == "https://grafana.example.com/d/mysql?orgId=1&viewPanel=4"
    assert links["graph"] == "https://grafana.example.com/alerting/grafana/adx1example/view?orgId=1"


@pytest.mark.parametrize(("firing", "resolved"), [("v11-firing", "v11-resolved"), ("legacy-alerting", "legacy-ok")])
def test_firing_and_resolved_share_their_fingerprint(firing: str, resolved: str, load: Load) -> None:
    [fired] = load(f"grafana/{firing}.json")
    [recovered] = load(f"grafana/{resolved}.json")
    assert (fired.status, recovered.status) == ("firing", "resolved")
    assert recovered.fingerprint == fired.fingerprint
    assert (recovered.title, recovered.severity) == (fired.title, fired.severity)
    assert recovered.ends_at in (datetime(2026, 3, 28, 1, 12, tzinfo=UTC), NOW)


def test_a_mixed_group_of_version_9_gives_every_alert_its_own_status(load: Load) -> None:
    full, free = load("grafana/v9-mixed.json")
    assert [(alert.status, alert.severity) for alert in (full, free)] == [("firing", "warning"), ("resolved", "info")]
    assert [alert.title for alert in (full, free)] == ["Disk full", "db3 has room again"]
    assert full.annotations["value"] == "[ var='B0' metric='disk_used' labels={instance=db1:9100} value=97 ]"
    assert [label for label, _ in full.links] == ["silence", "graph"], "empty addresses are no links"
    assert full.fingerprint != free.fingerprint


def test_a_rule_without_data_is_named_by_the_rule(load: Load) -> None:
    [alert] = load("grafana/v9-no-data.json")
    assert (alert.title, alert.rule, alert.severity) == ("Replication lag (no data)", "Replication lag", "warning")
    assert "value" not in alert.annotations


@pytest.mark.parametrize(
    ("changes", "fingerprint_same"),
    [
        ({"values": {"B": 999}, "valueString": "x"}, True),
        ({"values": None, "valueString": None, "annotations": None}, True),
        ({"fingerprint": "other"}, False),
    ],
)
def test_what_is_measured_is_no_part_of_the_condition(
    changes: dict[str, object], fingerprint_same: bool, load: Load, parse: Parse
) -> None:
    [alert] = load("grafana/v11-firing.json")
    [other] = parse("grafana", unified(**changes))
    assert (other.fingerprint == alert.fingerprint) is fingerprint_same


def test_unknown_fields_become_labels_and_nested_ones_annotations(parse: Parse) -> None:
    [alert] = parse("grafana", unified(ruleUid="adx1", extra={"a": [1]}, embeddedImage="iVBORw0KGgo="))
    assert alert.labels["ruleUid"] == "adx1"
    assert alert.annotations["extra"] == '{"a":[1]}'
    assert "iVBORw0KGgo=" not in (*alert.labels.values(), *alert.annotations.values())


def test_a_label_wins_over_an_unknown_field_of_its_name(parse: Parse) -> None:
    [alert] = parse("grafana", unified(team="nobody"))
    assert alert.labels["team"] == "dba"


def test_only_web_addresses_are_links(parse: Parse) -> None:
    [alert] = parse("grafana", unified(panelURL="javascript:alert(1)", imageURL="attachment.png"))
    assert {"panel", "image"}.isdisjoint(dict(alert.links))


def test_a_legacy_alert(load: Load) -> None:
    [alert] = load("grafana/legacy-alerting.json")
    assert (alert.title, alert.status, alert.severity) == ("Replication lag", "firing", "critical")
    assert alert.description == "A replica is behind its primary."
    assert alert.labels == {
        "instance": "db2:9104",
        "alertname": "Replication lag",
        "severity": "critical",
        "team": "dba",
    }
    assert alert.annotations == {"value": "lag = 312.5", "dashboardId": "2", "panelId": "6", "orgId": "1"}
    assert dict(alert.links)["image"] == "https://images.example.com/lag.png"


@pytest.mark.parametrize(
    ("changes", "title", "status", "severity"),
    [
        ({"state": "Alerting", "tags": None}, "Replication lag", "firing", "warning"),
        ({"state": "ok"}, "Replication lag", "resolved", "critical"),
        ({"state": "no_data"}, "Replication lag (no data)", "firing", "critical"),
        ({"state": "no_data", "tags": {}}, "Replication lag (no data)", "firing", "warning"),
        ({"state": "paused"}, "Replication lag (paused)", "resolved", "critical"),
        ({"tags": {"severity": "info"}}, "Replication lag", "firing", "info"),
        ({"tags": {"priority": "P1"}}, "Replication lag", "firing", "critical"),
        ({"ruleName": ..., "title": "[Alerting] Lag [db2]"}, "Lag [db2]", "firing", "critical"),
        ({"ruleName": "\u200b", "title": ""}, "Alert without a name", "firing", "critical"),
    ],
)
def test_state_and_severity_of_a_legacy_alert(
    changes: dict[str, object], title: str, status: str, severity: str, parse: Parse
) -> None:
    [alert] = parse("grafana", legacy(**changes))
    assert (alert.title, alert.status, alert.severity) == (title, status, severity)


@pytest.mark.parametrize("state", ["pending", "unknown"])
def test_a_legacy_rule_that_is_not_yet_an_alert_is_none(state: str, parse: Parse) -> None:
    assert parse("grafana", legacy(state=state)) == []


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"ruleName": "renamed", "state": "no_data", "evalMatches": []}, True),
        ({"ruleId": 4}, False),
        ({"orgId": 2}, False),
        ({"ruleId": 0}, False),
    ],
)
def test_the_rule_is_the_condition_of_a_legacy_alert(changes: dict[str, object], same: bool, parse: Parse) -> None:
    [alert] = parse("grafana", legacy())
    [other] = parse("grafana", legacy(**changes))
    assert (alert.fingerprint == other.fingerprint) is same


def test_tests_of_two_legacy_rules_are_two_conditions(parse: Parse) -> None:
    [one] = parse("grafana", legacy(ruleId=0, ruleName="one"))
    [other] = parse("grafana", legacy(ruleId=0, ruleName="other"))
    assert one.fingerprint != other.fingerprint


def test_several_series_are_one_alert_with_all_values(parse: Parse) -> None:
    matches = [
        {"metric": "a", "value": 1, "tags": {"instance": "x"}},
        {"metric": "", "value": 2, "tags": None},
        {"metric": "c", "value": None},
    ]
    [alert] = parse("grafana", legacy(evalMatches=matches))
    assert alert.annotations["value"] == "a = 1, 2"
    assert "instance" not in alert.labels


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("{}", "$", "expected a Grafana webhook"),
        ("[]", "$", "expected an object, got a list"),
        ('{"alerts": {}}', "$.alerts", "expected a list"),
        ('{"alerts": [5]}', "$.alerts[0]", "expected an object"),
        ('{"alerts": [{"status": "burning"}]}', "$.alerts[0].status", "one of firing, resolved"),
        ('{"alerts": [{}, {"values": [1]}]}', "$.alerts[1].values", "expected an object"),
        ('{"alerts": [{"panelURL": 5}]}', "$.alerts[0].panelURL", "expected a text"),
        ('{"alerts": [{"startsAt": "yesterday"}]}', "$.alerts[0].startsAt", "expected a time"),
        ('{"ruleName": "x", "state": "burning"}', "$.state", "one of alerting, ok, no_data, paused"),
        ('{"ruleName": "x", "state": "ok", "tags": []}', "$.tags", "expected an object"),
        ('{"ruleName": "x", "state": "ok", "evalMatches": [1]}', "$.evalMatches[0]", "expected an object"),
        ('{"ruleName": {}, "state": "ok"}', "$.ruleName", "expected a text or a number"),
    ],
)
def test_a_wrong_field_is_named(body: str, path: str, words: str, parse: Parse) -> None:
    with pytest.raises(PayloadError) as caught:
        parse("grafana", body)
    assert caught.value.path == path
    assert words in str(caught.value.say)

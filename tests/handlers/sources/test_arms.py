"""ARMS Alert Management's webhook, its proposed template and its console's test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from handlers.errors import PayloadError
from handlers.model import Alert
from handlers.sources.arms import SOURCE
from handlers.sources.contract import Body
from tests.handlers.sources.conftest import FIXTURES, NOW

Parse = Callable[[str, bytes | str], list[Alert]]
Load = Callable[[str], list[Alert]]


def webhook(labels: Mapping[str, object] | None = None, **changes: object) -> str:
    """The firing fixture with other labels (None leaves one out) and other values in its one alert."""
    body = json.loads((FIXTURES / "arms/webhook-firing.json").read_text("utf-8"))
    body["alerts"][0] |= changes
    merged = {**body["alerts"][0]["labels"], **(labels or {})}
    body["alerts"][0]["labels"] = {name: value for name, value in merged.items() if value is not None}
    return json.dumps(body)


def test_a_firing_alert(load: Load) -> None:
    [alert] = load("arms/webhook-firing.json")
    assert (alert.title, alert.rule) == ("RDS CPU 使用率", "RDS CPU 使用率")
    assert (alert.status, alert.severity) == ("firing", "warning")
    assert alert.description == "实例 orders-primary CPU 使用率 97.39%，超过 90%"
    assert alert.labels == {
        "alertname": "RDS CPU 使用率",
        "severity": "warning",
        "instance": "rm-uf6example000001",
        "regionId": "cn-shanghai",
        "namespace": "acs_rds_dashboard",
        "account": "1000000000000001",
        "integration": "das-integration",
    }
    assert alert.annotations["value"] == "97.39"
    assert alert.annotations["_aliyun_arms_alert_rule_id"] == "3000001"
    assert alert.links == (("link", "https://alerts.console.aliyun.com/#/alarm/alert/detail/2848"),)
    assert (alert.starts_at, alert.ends_at) == (datetime(2026, 3, 28, 1, 0, 0, 123_000, tzinfo=UTC), None)


def test_firing_and_resolved_share_their_fingerprint(load: Load) -> None:
    [fired] = load("arms/webhook-firing.json")
    [recovered] = load("arms/webhook-resolved.json")
    assert recovered.fingerprint == fired.fingerprint
    assert (recovered.status, recovered.severity, recovered.title) == ("resolved", "warning", fired.title)
    assert recovered.ends_at == datetime(2026, 3, 28, 1, 12, 0, 456_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("severity", "level", "expected"),
    [
        ("P1", "CRITICAL", "critical"),
        ("P2", "ERROR", "warning"),
        ("P3", "WARN", "info"),
        ("P4", "PAGE", "info"),
        ("critical", "ERROR", "critical"),
        ("error", "ERROR", "warning"),
        ("warning", "ERROR", "warning"),
        ("page", "PAGE", "info"),
        ("Optimization", None, "info"),
        (None, "CRITICAL", "critical"),
        (None, "ERROR", "warning"),
        (None, "WARN", "warning"),
        (None, "PAGE", "info"),
        ("squirrel", "CRITICAL", "critical"),
        ("squirrel", "squirrel", "warning"),
        (None, None, "warning"),
    ],
)
def test_severities_are_those_of_the_rule_or_else_of_arms(
    severity: str | None, level: str | None, expected: str, parse: Parse
) -> None:
    [alert] = parse("arms", webhook({"severity": severity, "_aliyun_arms_alert_level": level}))
    assert alert.severity == expected


def test_without_a_fingerprint_what_arms_adds_is_no_part_of_the_condition(parse: Parse) -> None:
    [one] = parse("arms", webhook(fingerprint=""))
    changed: dict[str, object] = {"_aliyun_arms_entropy": "0.3017", "_aliyun_arms_alert_level": "CRITICAL"}
    [same] = parse("arms", webhook(changed, fingerprint=""))
    others = [
        parse("arms", webhook(labels, fingerprint=""))[0].fingerprint
        for labels in ({"instance": "rm-other"}, {"_aliyun_arms_involvedObject_name": "orders"})
    ]
    assert one.fingerprint == same.fingerprint
    assert len({one.fingerprint, *others}) == 3


@pytest.mark.parametrize("start", [1774659600123, "1774659600123", "2026-03-28T01:00:00.123Z"])
def test_the_start_may_be_called_start_time_and_be_milliseconds(start: object, parse: Parse) -> None:
    [alert] = parse("arms", webhook(startsAt=None, startTime=start))
    assert alert.starts_at == datetime(2026, 3, 28, 1, 0, 0, 123_000, tzinfo=UTC)


def test_unknown_fields_become_labels(parse: Parse) -> None:
    body = json.loads(webhook(ruleId=7, extra=[1]))
    [alert] = parse("arms", json.dumps(body | {"alarmId": 2848}))
    assert (alert.labels["ruleId"], alert.labels["alarmId"]) == ("7", "2848")
    assert alert.annotations["extra"] == "[1]"


@pytest.mark.parametrize(
    "body",
    [
        "$alertmanager_content",
        " $alertmanager_content\n",
        '"$alertmanager_content"',
        '{"alerts": "$alertmanager_content"}',
        "$content",
        '{"msgtype": "text", "text": "$content"}',
        '{"status": "{{ .status }}", "alerts": [{"labels": {"alertname": "{{ .commonLabels.alertname }}"}}]}',
        '{"alerts": [{"status": "{{ .status }}"}]}',
        '{"Alert name": "{{ .commonLabels.alertname }}", "Alert content": "x"}',
        (FIXTURES / "arms/test-template.txt").read_text("utf-8"),
    ],
)
def test_the_test_of_the_console_arrives_and_leaves_nothing_open(body: str, parse: Parse) -> None:
    [alert] = parse("arms", body)
    assert alert.title == "Test from the ARMS console received"
    assert (alert.status, alert.severity) == ("resolved", "info")


def test_a_second_test_is_a_new_one() -> None:
    body = Body(b"$alertmanager_content")
    [one] = SOURCE.parse(body, NOW)
    [other] = SOURCE.parse(body, NOW.replace(hour=3))
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize("message", ["Namespace: {{$labels.namespace}}", "$content"])
def test_a_real_alert_whose_message_has_a_placeholder_is_no_test(message: str, parse: Parse) -> None:
    [alert] = parse("arms", webhook(annotations={"message": message}))
    [rendered] = parse("arms", json.dumps({"Alert name": "Memory", "Alert content": message}))
    assert (alert.status, alert.description) == ("firing", message)
    assert (rendered.status, rendered.description) == ("firing", message)


def test_the_proposed_template_and_its_recovery(load: Load) -> None:
    [fired] = load("arms/template.json")
    [recovered] = load("arms/template-recovery.json")
    assert (fired.title, fired.status, fired.severity) == ("RDS CPU usage", "firing", "warning")
    assert fired.description == "orders-primary CPU 97.39%, over 90%"
    assert fired.labels == {"alertname": "RDS CPU usage", "cluster": "orders-prod", "policy": "to-callboard"}
    assert fired.annotations == {"began": "2026-03-28 09:00:00"}
    assert (recovered.status, recovered.fingerprint) == ("resolved", fired.fingerprint)


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("{}", "$.alerts", "$alertmanager_content"),
        ('{"text": "hello"}', "$.alerts", "$alertmanager_content"),
        ("[]", "$", "expected an object"),
        ('{"alerts": 5}', "$.alerts", "expected a list"),
        ('{"alerts": [5]}', "$.alerts[0]", "expected an object"),
        ('{"alerts": [{"status": "burning"}]}', "$.alerts[0].status", "one of firing, resolved"),
        ('{"alerts": [{"labels": {"a": []}}]}', "$.alerts[0].labels.a", "expected a text or a number"),
        ('{"alerts": [{"startsAt": "yesterday"}]}', "$.alerts[0].startsAt", "expected a time"),
        ('{"alerts": [{"startTime": {}}]}', "$.alerts[0].startTime", "expected a text or a number"),
        ('{"alerts": [], "externalURL": 5}', "$.externalURL", "expected a text"),
    ],
)
def test_a_wrong_field_is_named(body: str, path: str, words: str, parse: Parse) -> None:
    with pytest.raises(PayloadError) as caught:
        parse("arms", body)
    assert caught.value.path == path
    assert words in str(caught.value.say)

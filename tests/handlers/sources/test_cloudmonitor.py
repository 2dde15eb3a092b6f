"""CloudMonitor's three callbacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import pytest

from handlers.errors import PayloadError
from handlers.model import Alert
from handlers.sources.cloudmonitor import SOURCE
from handlers.sources.contract import Body
from tests.handlers.sources.conftest import FIXTURES, NOW

Parse = Callable[[str, bytes | str], list[Alert]]
Load = Callable[[str], list[Alert]]
FIRED_AT = datetime(2026, 3, 28, 1, 0, 0, 123_000, tzinfo=UTC)


def threshold(**changes: str | None) -> str:
    """The threshold fixture with other values; None leaves a field out."""
    fields: dict[str, str | None] = dict(parse_qsl((FIXTURES / "cloudmonitor/threshold.form").read_text("utf-8")))
    fields |= changes
    return urlencode({name: value for name, value in fields.items() if value is not None})


def event(**changes: object) -> str:
    """The event fixture with other values in its `alert`."""
    body = json.loads((FIXTURES / "cloudmonitor/event.json").read_text("utf-8"))
    body["alert"] |= changes
    return json.dumps(body)


def test_a_threshold_alert(load: Load) -> None:
    [alert] = load("cloudmonitor/threshold.form")
    assert alert.title == "RDS CPU 使用率: orders-primary"
    assert (alert.status, alert.severity, alert.rule) == ("firing", "warning", "RDS CPU 使用率")
    assert alert.description == "CpuUsage = 97.39% ($Average >= 90)"
    assert alert.labels == {
        "instanceId": "rm-uf6example000001",
        "alertname": "RDS CPU 使用率",
        "instance": "orders-primary",
        "region": "cn-shanghai",
        "namespace": "acs_rds_dashboard",
        "metric": "CpuUsage",
        "value": "97.39%",
        "threshold": "$Average >= 90",
        "group": "orders-prod",
        "account": "1000000000000001",
    }
    assert alert.annotations["duration"] == "5分钟"
    assert (alert.starts_at, alert.ends_at) == (FIRED_AT, None)


def test_its_recovery_closes_it_with_the_level_it_had(load: Load) -> None:
    [fired] = load("cloudmonitor/threshold.form")
    [recovered] = load("cloudmonitor/threshold-ok.form")
    assert recovered.fingerprint == fired.fingerprint
    assert (recovered.status, recovered.severity, recovered.title) == ("resolved", "warning", fired.title)
    assert recovered.starts_at is None
    assert recovered.ends_at == datetime(2026, 3, 28, 1, 12, 0, 456_000, tzinfo=UTC)
    assert "region" not in recovered.labels, "its text null is no region"


def test_missing_data_is_a_warning_of_the_same_condition(load: Load) -> None:
    [fired] = load("cloudmonitor/threshold.form")
    [silent] = load("cloudmonitor/threshold-no-data.form")
    assert silent.fingerprint == fired.fingerprint
    assert (silent.status, silent.severity) == ("firing", "warning")
    assert silent.title == "RDS CPU 使用率: orders-primary (no data)"
    assert silent.description == "CpuUsage ($Average >= 90)"
    assert "value" not in silent.labels


@pytest.mark.parametrize(
    ("changes", "status", "severity"),
    [
        ({"triggerLevel": "CRITICAL"}, "firing", "critical"),
        ({"triggerLevel": "WARN"}, "firing", "warning"),
        ({"triggerLevel": "INFO"}, "firing", "info"),
        ({"triggerLevel": "null"}, "firing", "warning"),
        ({"triggerLevel": None, "preTriggerLevel": None}, "firing", "warning"),
        ({"alertState": "ALARM", "triggerLevel": "CRITICAL"}, "firing", "critical"),
        ({"alertState": "alert"}, "firing", "warning"),
        ({"alertState": "OK", "triggerLevel": "OK", "preTriggerLevel": "CRITICAL"}, "resolved", "critical"),
        ({"alertState": "OK", "triggerLevel": "OK", "preTriggerLevel": "null"}, "resolved", "warning"),
        ({"alertState": "OK", "triggerLevel": None, "preTriggerLevel": "INFO"}, "resolved", "info"),
        ({"alertState": "INSUFFICIENT_DATA", "triggerLevel": "CRITICAL"}, "firing", "warning"),
    ],
)
def test_state_and_level_of_a_threshold_alert(
    changes: dict[str, str | None], status: str, severity: str, parse: Parse
) -> None:
    [alert] = parse("cloudmonitor", threshold(**changes))
    assert (alert.status, alert.severity) == (status, severity)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"triggerLevel": "CRITICAL", "curValue": "99", "timestamp": "1774659660123", "transId": "x"}, True),
        ({"instanceName": "null", "regionId": "null", "alertName": "renamed"}, True),
        ({"dimensions": "{userId=1000000000000001, instanceId=rm-uf6example000001}"}, True),
        ({"dimensions": '{"userId": 1000000000000001, "instanceId": "rm-uf6example000001"}'}, True),
        ({"dimensions": "{instanceId=rm-uf6example000002, userId=1000000000000001}"}, False),
        ({"ruleId": "other"}, False),
        ({"userId": "2"}, False),
    ],
)
def test_account_rule_and_dimensions_make_the_incident(
    changes: dict[str, str | None], same: bool, parse: Parse
) -> None:
    [alert] = parse("cloudmonitor", threshold())
    [other] = parse("cloudmonitor", threshold(**changes))
    assert (alert.fingerprint == other.fingerprint) is same


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("{device=/dev/vda1, mountpoint=/a, b=c}", {"device": "/dev/vda1", "mountpoint": "/a", "b": "c"}),
        ("{path=a=b}", {"path": "a=b"}),
        ("{process=nginx, worker, port=80}", {"process": "nginx, worker", "port": "80"}),
        ('{"device": "/dev/vda1"}', {"device": "/dev/vda1"}),
        ('[{"device": "/dev/vda1"}, {"port": 80}]', {"device": "/dev/vda1", "port": "80"}),
        ("{rm-1}", {"dimension": "rm-1"}),
        ("{}", {}),
        ("null", {}),
        ("", {}),
    ],
)
def test_dimensions_are_java_map_text_or_json(text: str, labels: dict[str, str], parse: Parse) -> None:
    [alert] = parse("cloudmonitor", threshold(dimensions=text))
    [bare] = parse("cloudmonitor", threshold(dimensions=None))
    assert {name: value for name, value in alert.labels.items() if name not in bare.labels} == labels


def test_custom_labels_are_labels(parse: Parse) -> None:
    [alert] = parse("cloudmonitor", threshold(customLabels='[{"label": "team", "value": "dba"}]'))
    assert alert.labels["team"] == "dba"


@pytest.mark.parametrize("timestamp", ["1774659600", "1774659600000"])
def test_timestamps_are_seconds_or_milliseconds(timestamp: str, parse: Parse) -> None:
    [alert] = parse("cloudmonitor", threshold(timestamp=timestamp))
    assert alert.starts_at == datetime(2026, 3, 28, 1, 0, tzinfo=UTC)


def test_a_recovery_without_a_time_ended_by_now(parse: Parse) -> None:
    [alert] = parse("cloudmonitor", threshold(alertState="OK", timestamp="null"))
    assert alert.ends_at == NOW


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("threshold.form", "application/json"),
        ("event.form", "text/plain"),
        ("event.json", "application/x-www-form-urlencoded; charset=UTF-8"),
        ("event-legacy.json", ""),
    ],
)
def test_the_content_type_does_not_matter(name: str, content_type: str) -> None:
    raw = (FIXTURES / "cloudmonitor" / name).read_bytes()
    assert SOURCE.parse(Body(raw, content_type), NOW) == SOURCE.parse(Body(raw), NOW)


def test_a_system_event(load: Load) -> None:
    [alert] = load("cloudmonitor/event.json")
    assert alert.title == "RDS 实例主备切换 (Instance_Failover): orders-primary"
    assert (alert.status, alert.severity, alert.rule) == ("firing", "warning", "Instance_Failover")
    assert alert.description == "engine: MySQL"
    assert alert.starts_at == datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
    assert alert.labels == {
        "alertname": "Instance_Failover",
        "instance": "orders-primary",
        "instanceId": "rm-uf6example000001",
        "product": "RDS",
        "resource": "acs:rds:cn-shanghai:1000000000000001:dbInstance/rm-uf6example000001",
        "account": "1000000000000001",
        "region": "cn-shanghai",
        "event_type": "Maintenance",
        "event_status": "Executed",
        "policy": "db-events-to-bot",
    }


def test_an_event_as_form_says_the_same_as_json(load: Load) -> None:
    assert load("cloudmonitor/event.form") == load("cloudmonitor/event.json")


def test_an_event_of_an_old_rule(load: Load) -> None:
    [alert] = load("cloudmonitor/event-legacy.json")
    assert alert.title == "RDS Instance_Failover: orders-primary"
    assert (alert.status, alert.severity) == ("firing", "warning")
    assert alert.description == "engine: MySQL"
    assert alert.starts_at == datetime(2026, 3, 28, 1, 0, 0, 642_000, tzinfo=UTC)
    assert alert.labels["instanceId"] == "rm-uf6example000001"


def test_an_event_is_known_by_its_id_and_resolved_by_its_status(parse: Parse) -> None:
    [fired] = parse("cloudmonitor", event())
    [resolved] = parse("cloudmonitor", event(alertStatus="RESOLVED", timestamp=1774660200000))
    [other] = parse("cloudmonitor", event(dedupId="another"))
    assert resolved.fingerprint == fired.fingerprint != other.fingerprint
    assert (resolved.status, resolved.ends_at) == ("resolved", datetime(2026, 3, 28, 1, 10, tzinfo=UTC))


def test_the_end_of_an_outage_recovers_its_start_across_both_forms(load: Load) -> None:
    [start] = load("cloudmonitor/outage-start.json")
    [end] = load("cloudmonitor/outage-end.json")
    assert start.fingerprint == end.fingerprint
    assert (start.status, start.severity, end.status) == ("firing", "critical", "resolved")
    assert end.ends_at == datetime(2026, 3, 28, 1, 10, tzinfo=UTC)


def test_outages_of_two_instances_are_two(parse: Parse) -> None:
    [one] = parse("cloudmonitor", event(eventName="Instance_Failure_Start", arn="acs:rds::1:dbInstance/a"))
    [two] = parse("cloudmonitor", event(eventName="Instance_Failure_Start", arn="acs:rds::1:dbInstance/b"))
    [other] = parse("cloudmonitor", event(eventName="Disk_Failure_Start", arn="acs:rds::1:dbInstance/a"))
    assert len({alert.fingerprint for alert in (one, two, other)}) == 3


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({"eventContentMap": {"a": 1, "b": {"c": [1]}}}, 'a: 1\nb: {"c":[1]}'),
        ({"eventContentMap": None, "eventRawContent": '{"a": "x"}'}, "a: x"),
        ({"eventContentMap": None, "eventRawContent": "plain words"}, "content: plain words"),
        ({"eventContentMap": "", "eventRawContent": None}, ""),
    ],
)
def test_the_content_of_an_event_is_its_description(changes: dict[str, object], description: str, parse: Parse) -> None:
    [alert] = parse("cloudmonitor", event(**changes))
    assert alert.description == description


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("a=b", "$", "expected a CloudMonitor callback"),
        ("[]", "$", "expected a CloudMonitor callback"),
        ('{"status": "firing", "alerts": []}', "$", "add a source of the kind alertmanager or arms"),
        (threshold(alertState="MELTED"), "$.alertState", "alert, alarm, ok, insufficient_data"),
        (threshold(timestamp="soon"), "$.timestamp", "1774659600000"),
        ('{"alert": 5}', "$.alert", "expected an object"),
        ("alert=%7B", "$.alert", "expected JSON, got an error in line 1"),
        ("alert=%7B%7D", "$.alert.eventName", "expected a text, got nothing"),
        (event(alertStatus="GONE"), "$.alert.alertStatus", "triggered, resolved"),
        (event(meta={"sysEventMeta": [1]}), "$.alert.meta.sysEventMeta", "expected an object"),
        ('{"name": "", "eventTime": "", "level": ""}', "$.name", "expected a text"),
        ('{"name": "X", "eventTime": "20260230T000000+0800", "level": ""}', "$.eventTime", "20260328T090000.642+0800"),
        ('{"name": "X", "eventTime": "soon", "level": ""}', "$.eventTime", "expected a time"),
    ],
)
def test_a_wrong_field_is_named(body: str, path: str, words: str, parse: Parse) -> None:
    with pytest.raises(PayloadError) as caught:
        parse("cloudmonitor", body)
    assert caught.value.path == path
    assert words in str(caught.value.say)

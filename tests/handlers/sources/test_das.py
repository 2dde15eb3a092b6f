"""Events of DAS, as ARMS pushes them and as its API answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handlers.errors import PayloadError
from handlers.model import Alert
from tests.handlers.sources.conftest import FIXTURES, NOW

Parse = Callable[[str, bytes | str], list[Alert]]
Load = Callable[[str], list[Alert]]


def event(**changes: object) -> str:
    """The firing event with other values; None leaves a field out."""
    body = json.loads((FIXTURES / "das/event-firing.json").read_text("utf-8"))
    return json.dumps({name: value for name, value in (body | changes).items() if value is not None})


def in_range(*texts: object) -> str:
    """An answer to GetAutonomousNotifyEventsInRange with these elements."""
    body = json.loads((FIXTURES / "das/events-in-range.json").read_text("utf-8"))
    body["Data"]["List"]["T"] = list(texts)
    return json.dumps(body)


def test_the_content_of_an_event_as_the_api_answers_it(load: Load) -> None:
    [alert] = load("das/event-content.json")
    assert (alert.title, alert.rule) == ("SQL Optimization: shop.orders", "SQL_OPTIMIZE")
    assert (alert.status, alert.severity) == ("firing", "info"), "its priority HIGH ranks advice, it is no outage"
    assert alert.description == "ALTER TABLE `shop`.`orders` ADD INDEX `idx_buyer` (`buyer_id`)"
    assert alert.labels["sqlId"] == "e2b1d6c1000000000000000000000001"
    assert alert.labels["improvement"] == "812.25"
    assert "Successful" not in alert.labels.values(), "what surrounds the answer is no part of the event"


def test_the_same_content_with_its_quotes_escaped_once_is_read_the_same(load: Load, parse: Parse) -> None:
    body = json.loads((FIXTURES / "das/event-content.json").read_text("utf-8"))
    body["Data"] = body["Data"].replace('\\"', '"')
    assert parse("das", json.dumps(body)) == load("das/event-content.json")


def test_another_task_for_the_same_statement_is_the_same_condition(load: Load, parse: Parse) -> None:
    [alert] = load("das/event-content.json")
    text = (FIXTURES / "das/event-content.json").read_text("utf-8")
    [again] = parse("das", text.replace("7e1ba595", "7e1ba596"))
    [other] = parse("das", text.replace("e2b1d6c1", "e2b1d6c2"))
    assert alert.fingerprint == again.fingerprint != other.fingerprint


def test_a_list_of_events_is_read_though_only_their_id_is_promised(load: Load) -> None:
    [alert] = load("das/events-in-range.json")
    assert (alert.title, alert.status, alert.severity) == ("DAS event", "firing", "warning")
    assert alert.annotations["span_id"] == "7e7b2774-0000-4000-8000-000000000001"


def test_an_event_of_the_list_and_its_joined_content_are_one_condition(load: Load) -> None:
    [listed] = load("das/events-in-range.json")
    [joined] = load("das/event-joined.json")
    assert joined.fingerprint == listed.fingerprint
    assert joined.title == "SQL Optimization: rm-uf6example000001"
    assert (joined.severity, joined.labels["instance"]) == ("info", "rm-uf6example000001")


def test_an_event_and_its_end(load: Load) -> None:
    [fired] = load("das/event-firing.json")
    [over] = load("das/event-resolved.json")
    assert (fired.title, fired.status, fired.severity) == ("Metric Exception: orders-primary", "firing", "critical")
    assert fired.description == "CPU usage is 97.39%, far above its forecast."
    assert fired.labels == {
        "alertname": "TimeSeriesAbnormal",
        "instance": "orders-primary",
        "instanceId": "rm-uf6example000001",
        "region": "cn-shanghai",
        "Engine": "MySQL",
        "Metric": "mysql.cpu_usage",
        "Value": "97.39",
    }
    assert fired.starts_at == datetime(2026, 3, 28, 1, 0, 0, 123_000, tzinfo=UTC)
    assert (over.status, over.fingerprint) == ("resolved", fired.fingerprint)
    assert over.ends_at == datetime(2026, 3, 28, 1, 12, 0, 456_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("level", "kind", "severity"),
    [
        ("Notice", "AutoScale", "info"),
        ("Optimization", "TimeSeriesAbnormal", "info"),
        ("Warn", "SQLThrottle", "warning"),
        ("Critical", "SQL_OPTIMIZE", "critical"),
        ("noticed", "AutoScale", "info"),
        ("squirrel", "SQLOptimize", "warning"),
        (None, "SQLOptimize", "info"),
        (None, "ResourceOptimize", "info"),
        (None, "TimeSeriesAbnormal", "warning"),
    ],
)
def test_levels(level: str | None, kind: str, severity: str, parse: Parse) -> None:
    [alert] = parse("das", event(Level=level, EventType=kind))
    assert alert.severity == severity


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"Value": "99", "Level": "Warn", "StartTime": "1774659700000", "Message": "worse"}, True),
        ({"InstanceId": "rm-other"}, False),
        ({"EventType": "AutoScale"}, False),
        ({"Metric": "mysql.iops"}, False),
    ],
)
def test_without_an_id_type_and_instance_make_the_condition(
    changes: dict[str, object], same: bool, parse: Parse
) -> None:
    [alert] = parse("das", event(SpanId=None))
    [other] = parse("das", event(SpanId=None, **changes))
    assert (alert.fingerprint == other.fingerprint) is same


def test_field_names_count_in_any_case_and_unknown_ones_become_labels(parse: Parse) -> None:
    body = {
        "spanid": "1",
        "taskType": "SQLThrottle",
        "DBName": "shop",
        "detail": {"a": 1},
        "empty": [],
        "status": "new",
    }
    [alert] = parse("das", json.dumps(body))
    assert alert.labels == {"alertname": "SQLThrottle", "DBName": "shop", "status": "new"}
    assert alert.annotations == {"detail": '{"a":1}', "span_id": "1"}
    assert alert.title == "Throttling"


def test_a_guessed_name_that_holds_something_else_costs_nothing(parse: Parse) -> None:
    [alert] = parse("das", event(Event={"a": 1}, EndTime={"b": 2}, Message="one", Summary="two", Url="none"))
    assert (alert.annotations["Event"], alert.annotations["EndTime"]) == ('{"a":1}', '{"b":2}')
    assert (alert.description, alert.annotations["summary"]) == ("one", "two")
    assert (alert.links, alert.labels["Url"]) == ((), "none")


def test_a_time_nobody_understands_stays_readable(parse: Parse) -> None:
    [alert] = parse("das", event(StartTime="2026-03-28 09:00:00"))
    assert (alert.starts_at, alert.labels["StartTime"]) == (None, "2026-03-28 09:00:00")


def test_an_element_of_the_list_is_an_alert_whatever_it_says(parse: Parse) -> None:
    alerts = parse(
        "das", in_range('"T": []', "", '{"level": "Warn", "who": "x"}', '{"SpanId": "1", "eventType": "AutoScale"}')
    )
    assert [alert.title for alert in alerts] == ["DAS event", "DAS event", "DAS event", "Auto Scaling"]
    assert (alerts[0].description, alerts[2].labels["who"]) == ('"T": []', "x")
    assert len({alert.fingerprint for alert in alerts}) == 4


def test_an_empty_list_is_no_error(parse: Parse) -> None:
    assert parse("das", in_range()) == []


def test_a_list_of_bare_events_gives_each(parse: Parse) -> None:
    alerts = parse("das", f"[{event()}, {event(SpanId='2', Status='Resolved')}]")
    assert [alert.status for alert in alerts] == ["firing", "resolved"]


def test_what_arms_pushes_is_read_as_arms_writes_it(load: Load) -> None:
    [alert] = load("das/pushed-by-arms.json")
    assert (alert.title, alert.severity) == ("RDS CPU 使用率", "warning")
    assert alert.fingerprint.startswith("das:1:")


@pytest.mark.parametrize("body", ["$alertmanager_content", '{"Alert name": "{{ .commonLabels.alertname }}"}'])
def test_the_test_of_the_arms_console_is_understood(body: str, parse: Parse) -> None:
    [alert] = parse("das", body)
    assert (alert.status, alert.ends_at) == ("resolved", NOW)


def test_an_event_that_quotes_a_template_is_no_test(parse: Parse) -> None:
    [alert] = parse("das", event(Message="select '{{name}}'"))
    assert alert.status == "firing"


def test_a_subscription_is_refused_before_its_contacts_are_read(parse: Parse) -> None:
    sample = Path(__file__).parents[2] / "fixtures" / "samples" / "das-event-subscription.json"
    with pytest.raises(PayloadError) as caught:
        parse("das", sample.read_bytes())
    assert caught.value.path == "$.Data"
    assert "13900000000" not in str(caught.value.say)


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("{}", "$", "expected a DAS event"),
        ("[{}]", "$[0]", "expected a DAS event"),
        ("[5]", "$[0]", "expected an object"),
        ('{"RequestId": "x", "Code": "NoPermission", "Message": "no"}', "$", "expected a DAS event"),
        ('{"Data": 5}', "$.Data", "expected an object"),
        ('{"Data": "{"}', "$.Data", "expected JSON"),
        ('{"Data": {"List": {"T": [5]}}}', "$.Data.List.T[0]", "expected a text"),
        ('{"Data": {"List": {}}}', "$.Data.List.T", "expected a list"),
        ('{"SpanId": []}', "$.SpanId", "expected a text or a number"),
        ('{"SpanId": "1", "level": {}}', "$.level", "expected a text or a number"),
        ('{"SpanId": "1", "instanceId": []}', "$.instanceId", "expected a text or a number"),
        ('{"SpanId": "1", "labels": []}', "$.labels", "expected an object"),
        ('{"SpanId": "1", "indexAdvices": [5]}', "$.indexAdvices[0]", "expected an object"),
        ('{"alerts": [{"status": 5}]}', "$.alerts[0].status", "one of firing, resolved"),
    ],
)
def test_a_wrong_field_is_named(body: str, path: str, words: str, parse: Parse) -> None:
    with pytest.raises(PayloadError) as caught:
        parse("das", body)
    assert caught.value.path == path
    assert words in str(caught.value.say)

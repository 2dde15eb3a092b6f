"""What holds for every line of `SOURCES`, and the limits every alert keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import PayloadError
from handlers.model import SEVERITIES, Alert
from handlers.sources import SOURCES, contract
from handlers.sources.contract import Body, cut, fingerprint, fitted, is_blank, severity_of
from handlers.sources.generic import FIELDS as FIELDS_OF_JSON
from tests.handlers.sources.conftest import FIXTURES, NOW

Parse = Callable[[str, bytes | str], list[Alert]]

KINDS = [kind for kind in SOURCES if kind != "robot"]
"""What a robot's message means depends on the path it is posted to: see `test_robot`."""

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)

# Names that mean something to a source, so that random bodies get past the first look.
FIELDS = {
    "alertmanager": ["status", "externalURL", "alerts"],
    "cloudmonitor": [
        *("alertState", "triggerLevel", "preTriggerLevel", "alertName", "ruleId", "metricName", "curValue", "unit"),
        *("dimensions", "timestamp", "userId", "instanceName", "customLabels"),
        *("alert", "name", "eventTime", "level", "content", "severity", "time", "startTime"),
    ],
    "grafana": [
        *("status", "alerts", "orgId", "title"),
        *("state", "ruleName", "ruleId", "tags", "evalMatches", "ruleUrl", "imageUrl", "message", "dashboardId"),
    ],
    "arms": [
        "status",
        "alerts",
        "externalURL",
        "level",
        "Alert name",
        "告警名称",
        "Recovery time",
        "告警内容",
        "severity",
    ],
    "das": [
        *("alerts", "RequestId", "Code", "Data", "labels", "SpanId", "taskType", "eventType", "Level", "instanceId"),
        *("status", "startTime", "endTime", "message", "indexAdvices", "priority", "url"),
    ],
    "json": [*sorted(FIELDS_OF_JSON), "extra"],
}
LIKE_ALERTMANAGER = ("alertmanager", "grafana", "arms", "das")
WORDS = st.sampled_from(
    (
        *("firing", "OK", "ALERT", "TRIGGERED", "WARN", "null", "", "2026-03-28T01:00:00Z", "20260328T090000+0800"),
        *("https://example.com/x", "{a=b, c=d}", '{"eventName": "X_End"}', '[{"label": "a", "value": 1}]', "0"),
        *(
            "$alertmanager_content",
            "{{ .status }}",
            "alerting",
            "no_data",
            '{"List": {"T": ["{}", "x"]}}',
            '{\\"a\\": 1}',
        ),
    )
)


def only_alerts_or_a_payload_error(kind: str, raw: bytes, content_type: str = "") -> None:
    refusal: PayloadError | None = None
    alerts: list[Alert] = []
    try:
        alerts = SOURCES[kind].parse(Body(raw, content_type), NOW)
    except PayloadError as error:
        refusal = error
    if refusal is not None:
        readable(refusal)
    for alert in alerts:
        within_limits(alert)


def readable(refusal: PayloadError) -> None:
    assert refusal.path.startswith("$")
    assert 0 < len(str(refusal.say)) < 400
    (refusal.path + str(refusal.say)).encode()  # no lone surrogates


def within_limits(alert: Alert) -> None:
    assert alert.title.strip()
    assert "\n" not in alert.title
    assert len(alert.title) <= contract.TITLE_MAX_CHARS
    assert len(alert.rule) <= contract.RULE_MAX_CHARS
    assert len(alert.fingerprint) <= 128
    assert alert.severity in SEVERITIES
    assert len(alert.description) <= contract.DESCRIPTION_MAX_CHARS
    for texts in (alert.labels, alert.annotations):
        assert len(texts) <= contract.LABELS_MAX
        assert all(0 < len(name) <= contract.LABEL_NAME_MAX_CHARS for name in texts)
        assert all(len(value) <= contract.LABEL_VALUE_MAX_CHARS for value in texts.values())
    for time in (alert.starts_at, alert.ends_at):
        assert time is None or time.utcoffset() is not None
    for text in (alert.title, alert.description, alert.rule, *alert.labels.values(), *alert.annotations.values()):
        assert "\x00" not in text
        text.encode()


def test_the_table_is_keyed_by_the_names_of_its_entries() -> None:
    assert {name: source.name for name, source in SOURCES.items()} == {name: name for name in SOURCES}


@pytest.mark.parametrize("kind", KINDS)
@given(raw=st.binary(), content_type=st.sampled_from(("", "application/json", "text/plain; charset=GBK", "\x00")))
@settings(max_examples=60, deadline=None)
def test_any_bytes_give_alerts_or_a_payload_error(kind: str, raw: bytes, content_type: str) -> None:
    only_alerts_or_a_payload_error(kind, raw, content_type)


def test_every_source_is_tried_with_its_own_fields() -> None:
    assert set(FIELDS) == set(KINDS)


@pytest.mark.parametrize("kind", FIELDS)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_any_json_gives_alerts_or_a_payload_error(kind: str, data: st.DataObject) -> None:
    value = JSON_VALUES | WORDS
    flat: st.SearchStrategy[object] = st.dictionaries(st.sampled_from(FIELDS[kind]), value, max_size=10)
    if kind in LIKE_ALERTMANAGER:
        names = (
            *("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "generatorURL"),
            *("startTime", "values", "valueString", "dashboardURL", "level", "extra"),
        )
        texts = st.dictionaries(st.sampled_from(("alertname", "severity", "summary", "a")), WORDS | st.text())
        alert = st.dictionaries(st.sampled_from(names), value | texts)
        flat = st.fixed_dictionaries({"alerts": st.lists(alert, max_size=3)}) | flat
    if kind == "das":
        event = flat.map(json.dumps) | WORDS | value
        listed = st.fixed_dictionaries({"List": st.fixed_dictionaries({"T": st.lists(event, max_size=3)})})
        flat = st.fixed_dictionaries({"Data": listed | listed.map(json.dumps) | event}) | flat
    body = json.dumps(data.draw(flat | JSON_VALUES | st.lists(flat, max_size=3)))
    only_alerts_or_a_payload_error(kind, body.encode())


@given(fields=st.dictionaries(st.sampled_from(FIELDS["cloudmonitor"]), WORDS | st.text(), max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_form_gives_alerts_or_a_payload_error(fields: dict[str, str]) -> None:
    only_alerts_or_a_payload_error("cloudmonitor", urlencode(fields, errors="replace").encode())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        pytest.param(b"{", "$", "line 1, column 2", id="broken JSON"),
        pytest.param(b'{"a": "\xff"}', "$", "position 7", id="not UTF-8"),
        pytest.param(b'{"a": NaN}', "$", "NaN", id="NaN"),
        pytest.param(b'{"a": 1e999}', "$", "infinite", id="infinite"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", "$", "too long", id="huge integer"),
        pytest.param(b"[" * 200_000, "$", "too deeply", id="deep nesting, unclosed"),
        pytest.param(b"[" * 5_000 + b"]" * 5_000, "$", "too deeply", id="deep nesting"),
    ],
)
def test_a_body_that_is_no_json_is_refused_with_the_reason(
    kind: str, raw: bytes, path: str, words: str, parse: Parse
) -> None:
    with pytest.raises(PayloadError) as caught:
        parse(kind, raw)
    assert caught.value.path == path
    assert words in str(caught.value.say)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raw", [b"", b"  \n", b"5", b'"text"', b"null", b"true"])
def test_a_body_that_is_no_object_is_refused(kind: str, raw: bytes, parse: Parse) -> None:
    with pytest.raises(PayloadError) as caught:
        parse(kind, raw)
    assert caught.value.path == "$"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if (FIXTURES / kind).is_dir()])
def test_every_fixture_of_a_source_is_understood_and_read_the_same_twice(kind: str, parse: Parse) -> None:
    files = sorted((FIXTURES / kind).iterdir())
    assert files
    for file in files:
        alerts = parse(kind, file.read_bytes())
        assert alerts
        assert alerts == parse(kind, file.read_bytes())
        for alert in alerts:
            within_limits(alert)


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_has_fixtures(kind: str) -> None:
    assert (FIXTURES / kind).is_dir()


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", "critical"),
        ("CRITICAL", "critical"),
        (" Page ", "critical"),
        ("error", "critical"),
        ("fatal", "critical"),
        ("P1", "critical"),
        ("warning", "warning"),
        ("WARN", "warning"),
        ("p2", "warning"),
        ("info", "info"),
        ("none", "info"),
        ("P3", "info"),
        ("p4", "info"),
        ("", "warning"),
        ("squirrel", "warning"),
    ],
)
def test_severity_words_of_other_systems(word: str, severity: str) -> None:
    assert severity_of(word) == severity


def test_a_fingerprint_does_not_depend_on_the_order_of_labels_and_names_its_recipe() -> None:
    one = fingerprint("json", "labels", {"a": "1", "b": "2"})
    assert one == fingerprint("json", "labels", {"b": "2", "a": "1"})
    assert one.startswith("json:1:")
    others = {
        fingerprint("json", "labels", {"a": "1", "b": "3"}),
        fingerprint("json", "labels", {"a": "1b", "": "2"}),
        fingerprint("json", "given", {"a": "1", "b": "2"}),
        fingerprint("alertmanager", "labels", {"a": "1", "b": "2"}),
        fingerprint("json", "labels", "a", "1", "b", "2"),
    }
    assert len(others | {one}) == 6


LABELS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5)


@given(st.lists(st.text(max_size=10) | LABELS, max_size=4))
def test_a_fingerprint_is_the_hash_of_json_with_sorted_names(identity: list[str | dict[str, str]]) -> None:
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    assert fingerprint("json", *identity) == f"json:1:{hashlib.sha256(text.encode()).hexdigest()}"


@given(st.text(st.characters(), max_size=5))
def test_a_text_is_blank_when_nothing_of_it_could_be_seen(text: str) -> None:
    assert is_blank(text) is all(not ch.isprintable() or ch.isspace() for ch in text)


def test_an_ordinary_alert_stays_as_it_is_and_names_of_labels_are_put_on_one_line() -> None:
    ordinary = Alert("f", "disk full", rule="disk", labels={"host": "db1"}, annotations={"a b-c": "x\ny"})
    assert fitted(ordinary) is ordinary
    odd = fitted(replace(ordinary, labels={"a\n b": "1", "é": "2", " ": "3", "x" * 101: "4"}))
    assert odd == replace(ordinary, labels={"a b": "1", "é": "2", "x" * 99 + "…": "4"})


@given(st.text(max_size=30), st.integers(min_value=1, max_value=20))
def test_a_cut_text_is_its_beginning_and_a_mark(text: str, limit: int) -> None:
    result = cut(text, limit)
    assert len(result) <= limit
    assert result == text or (result.endswith("…") and text.startswith(result[:-1]) and len(result) == limit)


def test_an_alert_that_is_too_large_is_cut_everywhere() -> None:
    huge = {f"label{n:03}" + "n" * 200: "v" * 5_000 for n in range(300)}
    alert = fitted(
        Alert(
            fingerprint="f",
            title="a\n" * 2_000,
            rule="r" * 2_000,
            description="d" * 50_000,
            labels=huge,
            annotations={"": "nothing", "\u200b": "nothing", "k": "v"},
            links=(("a", "https://example.com"),) * 50,
        )
    )
    within_limits(alert)
    assert alert.title.startswith("a a a ")
    assert alert.title.endswith("…")
    assert next(iter(alert.labels)).startswith("label000")
    assert len(alert.labels) == 100
    assert alert.annotations == {"k": "v"}
    assert len(alert.links) == 10

"""Mappings of foreign JSON: what they read, what they refuse, and that nothing in them takes long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers import mapping
from handlers.errors import CommandError, PayloadError
from handlers.model import Alert
from handlers.sources.contract import Body
from tests.handlers.sources.conftest import NOW
from tests.handlers.sources.test_contract import JSON_VALUES, readable, within_limits


def read(mapped: dict[str, str], body: Any) -> list[Alert]:
    mapping.checked(mapped)
    return mapping.alerts(Body(body if isinstance(body, bytes) else json.dumps(body).encode()), mapped, NOW)


def only(mapped: dict[str, str], body: Any) -> Alert:
    [alert] = read(mapped, body)
    return alert


BODY = {
    "alert": {"name": "Disk full", "host": "db7", "tags": ["a", "b"]},
    "level": "P1",
    "state": "OK",
    "at": 1774659600000,
    "page": "https://mon.example/7",
    "n": 5,
}


@pytest.mark.parametrize(
    ("expression", "title"),
    [
        ("$.alert.name", "Disk full"),
        ("$['alert']['name']", "Disk full"),
        ("$..host", "db7"),
        ("$.alert.tags[*]", "a, b"),
        ("$.alert.tags", '["a","b"]'),
        ("$.n", "5"),
        ("@.level", "P1"),
        ("{{ alert.name }} on {{ alert['host'] | upper }}", "Disk full on DB7"),
        ("{{ 'big' if n > 3 else 'small' }}", "big"),
        ("{{ nothing.at.all | default('none') }}", "none"),
        ("{{ alert.tags[0] }}{{ alert.tags[9] }}", "a"),
        ("{{ level ~ '-' ~ state }}", "P1-OK"),
        ("Something happened", "Something happened"),
    ],
)
def test_a_field_is_a_path_a_template_or_a_text(expression: str, title: str) -> None:
    assert only({"title": expression}, BODY).title == title


def test_every_field_of_an_alert_can_be_read() -> None:
    mapped = {
        "title": "$.alert.name",
        "status": "$.state",
        "severity": "$.level",
        "description": "{{ alert.name }} since long",
        "link": "$.page",
        "starts_at": "$.at",
        "ends_at": "2026-03-28T02:00:00Z",
        "fingerprint": "$.alert.host",
        "label.host": "$.alert.host",
    }
    alert = only(mapped, BODY)
    assert (alert.title, alert.status, alert.severity) == ("Disk full", "resolved", "critical")
    assert alert.description == "Disk full since long"
    assert alert.links == (("link", "https://mon.example/7"),)
    assert alert.starts_at is not None
    assert alert.starts_at.isoformat() == "2026-03-28T01:00:00+00:00"
    assert alert.ends_at == NOW
    assert alert.labels == {"host": "db7", "n": "5"}
    assert alert.annotations == {"alert.tags": '["a","b"]'}
    other = json.loads(json.dumps(BODY))
    other["n"], other["state"] = 6, "bad"
    assert only(mapped, other).fingerprint == alert.fingerprint
    assert only(mapped, other).status == "firing"


@pytest.mark.parametrize(
    ("words", "said", "severity", "status"),
    [
        ({}, "P2", "warning", "firing"),
        ({}, "recovered", "warning", "resolved"),
        ({"severity.5": "critical", "status.5": "resolved"}, 5, "critical", "resolved"),
        ({"severity.严重": "critical"}, "严重", "critical", "firing"),
        ({"severity.p2": "info", "status.ok": "firing"}, "P2", "info", "firing"),
        ({"status.ok": "firing"}, "OK", "info", "firing"),
        ({}, None, "warning", "firing"),
    ],
)
def test_their_words_are_translated(words: dict[str, str], said: Any, severity: str, status: str) -> None:
    alert = only({"title": "x", "severity": "$.w", "status": "$.w", **words}, {"w": said})
    assert (alert.severity, alert.status) == (severity, status)


@pytest.mark.parametrize("each", ["$.alerts", "$.alerts[*]", "$.by.*"])
def test_each_element_is_an_alert_that_sees_the_whole_body(each: str) -> None:
    elements = [{"name": "a", "host": "1"}, {"name": "b"}]
    body = {"alerts": elements, "by": {"x": elements[0], "y": elements[1]}, "site": "sh"}
    alerts = read({"each": each, "title": "{{ name }}", "label.site": "$.site"}, body)
    assert [(alert.title, alert.labels) for alert in alerts] == [
        ("a", {"site": "sh", "host": "1"}),
        ("b", {"site": "sh"}),
    ]
    assert alerts[0].fingerprint != alerts[1].fingerprint


@pytest.mark.parametrize(
    ("mapped", "body", "path"),
    [
        ({"title": "$.alert.name"}, {}, "$.alert.name"),
        ({"title": "{{ alert.name }}"}, {}, "$"),
        ({"title": "@.t", "each": "$.a"}, {"a": [{"t": "x"}, {}]}, "$.a[1].t"),
        ({"title": "x", "each": "$.a"}, {}, "$.a"),
        ({"title": "x", "each": "$.a"}, {"a": [1] * 2001}, "$.a"),
        ({"title": "x", "each": "$.a[*]"}, {"a": [1] * 2001}, "$.a[*]"),
        ({"title": "x", "starts_at": "$.at"}, {"at": "yesterday"}, "$.at"),
        ({"title": "x", "starts_at": "$.at"}, {"at": [5]}, "$.at"),
        ({"title": "{{ n | length }}"}, {"n": 5}, "$"),
        ({"title": "{{ 'a' if n > 'b' else 'c' }}"}, {"n": 5}, "$"),
        ({"title": "$.a"}, b"{", "$"),
    ],
)
def test_a_body_without_what_the_mapping_wants_is_refused_with_the_place(
    mapped: dict[str, str], body: Any, path: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        read(mapped, body)
    assert caught.value.path == path
    readable(caught.value)


@pytest.mark.parametrize(
    ("mapped", "why"),
    [
        ({}, "at least the title"),
        ({"title": "$.a", "colour": "$.b"}, "no field of an alert"),
        ({"title": "$.a", "severity.P1": "bad"}, "one of critical"),
        ({"title": "$.a", "label.": "x"}, "no field of an alert"),
        ({"title": "$."}, "cannot be used"),
        ({"title": "$.a[?@.b]"}, "only names"),
        ({"title": "$.a[?match(@.b, '(a+)+$')]"}, "only names"),
        ({"title": "$.a[0,0]"}, "only names"),
        ({"title": "$..*..*"}, "only one .."),
        ({"title": "$.a | $.b"}, "cannot be used"),
        ({"title": "x", "each": "$..a"}, "may not have .."),
        ({"title": "x", "each": "{{ a }}"}, "cannot be used"),
        ({"title": "{{ a"}, "cannot be used"),
        ({"title": "{% for a in range(9) %}x{% endfor %}"}, "“for”"),
        ({"title": "{{ range(9) }}"}, "“call”"),
        ({"title": "{{ 9 ** 9 }}"}, "“**”"),
        ({"title": "{{ 'a' * 9 }}"}, "“*”"),
        ({"title": "{{ a | replace('a', 'aa') }}"}, "“replace”"),
        ({"title": "{{ " + "(" * 400}, "cannot be used"),
        ({"title": "x" * 501}, "at most 500 characters"),
        ({"title": "x", **{f"label.l{n}": "x" for n in range(30)}}, "At most 30 fields"),
        ({"title": "$.*.a", "label.a": "$[1:2]", "label.b": "$..b", "label.c": "$.*"}, "Only 3 paths"),
    ],
)
def test_a_mapping_that_could_fail_or_take_long_is_refused(mapped: dict[str, str], why: str) -> None:
    with pytest.raises(CommandError) as caught:
        mapping.checked(mapped)
    assert why in str(caught.value.say)


@pytest.mark.parametrize("name", ["items", "keys", "__class__", "copy"])
def test_a_template_sees_fields_and_nothing_of_python(name: str) -> None:
    assert only({"title": "[{{ a.%s }}]" % name}, {"a": {"b": 1}}).title == "[]"  # noqa: UP031
    assert only({"title": "[{{ a.%s }}]" % name}, {"a": {name: "mine"}}).title == "[mine]"  # noqa: UP031


def test_a_large_body_is_not_searched_and_a_deep_one_neither() -> None:
    large = b"[" + b"1," * 200_000 + b"1]"
    with pytest.raises(PayloadError, match="at most 262144 bytes"):
        read({"title": "$..x"}, large)
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    for title in ("$..x", "{{ a }}"):
        try:
            within_limits(only({"title": title}, deep))
        except PayloadError as error:
            readable(error)


EXPRESSIONS = st.sampled_from(
    (
        *("$.a", "$..b", "@.a[0]", "$.*", "{{ a }}", "{{ a.b.c }}", "{{ a | length }}", "{{ a[0] | upper }}", "x"),
        *("{{ a > b }}", "{{ a ~ b }}", "{{ b | first }}", "{{ b | title }}", "$.a[1:]", "$['b']"),
    )
)


@given(
    st.dictionaries(
        st.sampled_from(("status", "severity", "link", "starts_at", "fingerprint", "label.q")), EXPRESSIONS
    ),
    EXPRESSIONS,
    st.sampled_from(("", "$", "$.a", "$.a.*")),
    st.dictionaries(st.sampled_from("abc"), JSON_VALUES, max_size=3) | JSON_VALUES,
)
@settings(max_examples=80, deadline=None)
def test_any_body_gives_alerts_or_a_payload_error(more: dict[str, str], title: str, each: str, body: Any) -> None:
    mapped = {"title": title, **more, **({"each": each} if each else {})}
    try:
        mapping.checked(mapped)
    except CommandError:
        return
    try:
        alerts = read(mapped, body)
    except PayloadError as error:
        readable(error)
        return
    for alert in alerts:
        within_limits(alert)

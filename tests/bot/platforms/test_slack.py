"""Slack's callbacks: signatures, words, events and commands."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms import PLATFORMS
from bot.platforms.contract import Incoming
from bot.platforms.slack import credentials
from bot.platforms.slack_callback import decode_command, decode_event, verify
from bot.platforms.slack_text import plain
from bot.settings import Settings
from handlers.errors import PayloadError

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "vectors" / "slack.json").read_text(encoding="utf-8")
)
NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
HOOK = "https://hooks.slack.com/commands/T0001/1/x"
API = "https://slack.com/api/chat.postMessage"


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]


def headers(row: dict[str, Any]) -> dict[str, str]:
    return {"X-Slack-Request-Timestamp": row["timestamp"], "X-Slack-Signature": row["signature"]}


def test_the_platform_is_in_the_table() -> None:
    assert PLATFORMS["slack"].name == "slack"
    assert PLATFORMS["slack"].private


def test_the_token_is_not_in_the_repr() -> None:
    settings = Settings(_env_file=None, slack_bot_token="xoxb-secret", slack_signing_secret="s")
    assert "xoxb" not in repr(credentials(settings))
    assert credentials(Settings(_env_file=None)) is None


# ---- signatures


@pytest.mark.parametrize("row", VECTORS["positive"], ids=names(VECTORS["positive"]))
def test_known_signatures_are_accepted(row: dict[str, Any]) -> None:
    assert verify(headers(row), row["body"].encode(), row["secret"], row["now"])
    assert verify({k.lower(): v for k, v in headers(row).items()}, row["body"].encode(), row["secret"], row["now"])


@pytest.mark.parametrize("row", VECTORS["negative"], ids=names(VECTORS["negative"]))
def test_known_forgeries_are_refused(row: dict[str, Any]) -> None:
    assert not verify(row["headers"], row["body"].encode(), row["secret"], row["now"])


@pytest.mark.parametrize("row", VECTORS["lenient_timestamps_accepted_by_the_sdk"], ids=lambda row: row["name"])
def test_timestamps_that_are_not_digits_are_refused_whoever_signed_them(row: dict[str, Any]) -> None:
    assert not verify(headers(row), row["body"].encode(), row["secret"], row["now"])


@pytest.mark.parametrize("row", VECTORS["raw_bytes"], ids=names(VECTORS["raw_bytes"]))
def test_the_raw_bytes_are_what_is_signed(row: dict[str, Any]) -> None:
    assert verify(headers(row), bytes.fromhex(row["body_hex"]), row["secret"], int(row["timestamp"]))


@pytest.mark.parametrize("secret", VECTORS["empty_secret"]["cases"])
def test_an_empty_secret_signs_nothing(secret: str) -> None:
    row = VECTORS["positive"][0]
    assert not verify(headers(row), row["body"].encode(), secret, row["now"])


@given(
    st.dictionaries(st.sampled_from(["X-Slack-Request-Timestamp", "x-slack-signature", "y"]), st.text()),
    st.binary(),
    st.text(),
)
def test_no_headers_at_all_make_the_check_fail_otherwise_than_with_no(
    given_headers: dict[str, str], body: bytes, secret: str
) -> None:
    assert verify(given_headers, body, secret, 1_700_000_000) is False


# ---- words


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("help", "help"),
        ("a &amp; b &lt;c&gt;", "a & b <c>"),
        ("&amp;lt;", "&lt;"),
        ("支付值班 & 100% #1", "支付值班 & 100% #1"),
        ("<mailto:li@example.com|li@example.com>", "li@example.com"),
        ("<mailto:li@example.com|Li>", "li@example.com"),
        ("<tel:+8613800138000|138 0013 8000>", "138 0013 8000"),
        ("<tel:+8613800138000>", "+8613800138000"),
        ("<https://example.com/a?b=1&amp;c=2>", "https://example.com/a?b=1&c=2"),
        ("<https://example.com/a|runbook>", "https://example.com/a"),
        ("<http://example.com|example.com>", "example.com"),
        ("<#C0001|ops> <#C0002>", "#ops #C0002"),
        ("<!here> <!channel|channel> <!subteam^S1|@oncall> <!subteam^S1>", "@here channel @oncall @subteam"),
        ("a < b and c > d", "a < b and c > d"),
        ("<ops> <>", "<ops> <>"),
        ("half \ud83d", "half \ufffd"),
        ("\u00a0help\n", "help"),
        ("x" * 50_000, "x" * 20_000),
    ],
)
def test_text_is_what_was_typed(text: str, typed: str) -> None:
    assert plain(text) == (typed, ())


@pytest.mark.parametrize(
    ("text", "typed", "people"),
    [
        ("add <@U2|li> x", "add   x", (("U2", "li"),)),
        ("<@U2> <@U2|li> <@W3>", "", (("U2", "li"), ("W3", ""))),
        ("<@U0BOT>, help", "help", ()),
        ("<@U0BOT>：帮助", "帮助", ()),
        ("hey <@U0BOT> help", "hey   help", ()),
        ("<@U0BOT|callboard> <@U2> help", "help", (("U2", ""),)),
        ("&lt;@U2&gt;", "<@U2>", ()),
        ("<@x|y>", "@x", ()),
        ("<@U2|a&amp;b>", "", (("U2", "a&b"),)),
    ],
)
def test_mentions_are_people_and_the_bots_own_is_nobody(text: str, typed: str, people: Any) -> None:
    assert plain(text, ("U0BOT",)) == (typed, people)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    said, _people = plain(text, ("U0BOT",))
    assert said == said.strip()


# ---- events


def event(**changes: object) -> dict[str, Any]:
    """A mention; a change to `...` removes a member. `body__x` changes the outer body."""
    inner: dict[str, Any] = {
        "type": "app_mention",
        "user": "U0001",
        "text": "<@U0BOT> verify 123456",
        "ts": "1700000000.000100",
        "channel": "C0001",
        "event_ts": "1700000000.000100",
    }
    outer: dict[str, Any] = {
        "team_id": "T0001",
        "type": "event_callback",
        "event_id": "Ev0001",
        "authorizations": [{"user_id": "U0BOT", "is_bot": True}],
    }
    inner |= {name: value for name, value in changes.items() if not name.startswith("body__")}
    outer |= {name.removeprefix("body__"): value for name, value in changes.items() if name.startswith("body__")}
    outer["event"] = {name: value for name, value in inner.items() if value is not ...}
    return {name: value for name, value in outer.items() if value is not ...}


OPENED = {"type": "app_home_opened", "channel": "D0001", "tab": "home"}
DIRECT = {"type": "message", "channel_type": "im", "channel": "D0001"}


def test_a_mention_is_decoded_completely() -> None:
    assert decode_event(event()) == Incoming(
        platform="slack",
        message_id="Ev0001",
        person="slack:T0001/U0001",
        name="",
        conversation="slack:T0001/C0001",
        direct=False,
        text="verify 123456",
        reply_url=API,
    )


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        (DIRECT, "conversation", "slack:T0001/D0001/U0001"),
        (DIRECT, "direct", True),
        (DIRECT, "reply_url", API),
        ({**DIRECT, "channel_type": ...}, "direct", True),
        ({"thread_ts": "1700000000.000100"}, "reply_url", f"{API}?thread_ts=1700000000.000100"),
        ({"thread_ts": "x&y=z"}, "reply_url", API),
        ({"thread_ts": 5}, "reply_url", API),
        ({"text": ...}, "text", ""),
        ({"text": 5}, "text", ""),
        ({"text": "<@U0BOT> admin add <@U2>"}, "mentions", (("slack:T0001/U2", ""),)),
        ({"text": "<@U2> and <@U0BOT>"}, "mentions", (("slack:T0001/U2", ""),)),
        ({"body__authorizations": ..., "text": "<@UX> admin add <@U2>"}, "mentions", (("slack:T0001/U2", ""),)),
        ({"body__authorizations": 5, "text": "<@UX> help"}, "text", "help"),
        ({"body__authorizations": [5, {"is_bot": False, "user_id": "U2"}], "text": "<@UX> help"}, "mentions", ()),
        ({"user_team": "T0009"}, "person", "slack:T0009/U0001"),
        ({"user_team": 5}, "person", "slack:T0001/U0001"),
        (OPENED, "text", "home"),
        (OPENED, "conversation", "slack:T0001/home/U0001"),
        (OPENED, "direct", True),
        (OPENED, "reply_url", f"{API}?home=1"),
        ({**OPENED, "user_team": "T0009"}, "person", "slack:T0009/U0001"),
    ],
)
def test_events_are_decoded(changes: dict[str, Any], field: str, expected: object) -> None:
    incoming = decode_event(event(**changes))
    assert incoming is not None
    assert getattr(incoming, field) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"bot_id": "B0001"},
        {**DIRECT, "bot_id": "B0001", "user": ...},
        {**DIRECT, "subtype": "bot_message"},
        {**DIRECT, "subtype": "message_changed"},
        {**DIRECT, "subtype": "message_deleted"},
        {**DIRECT, "user": "U0BOT"},
        {**DIRECT, "user": "USLACKBOT"},
        {**DIRECT, "user": ...},
        {"type": "message", "channel_type": "channel"},
        {"type": "message", "channel_type": "group", "channel": "G0001"},
        {"type": "message", "channel_type": "mpim", "channel": "G0001"},
        {"type": "app_mention", "channel": "D0001"},
        {"type": "reaction_added"},
        {"type": "app_home_opened", "channel": "D0001"},
        {"type": "app_home_opened", "channel": "D0001", "tab": "messages"},
    ],
)
def test_what_bots_say_and_what_is_not_said_to_the_bot_is_nothing(changes: dict[str, Any]) -> None:
    assert decode_event(event(**changes)) is None


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"body__event_id": ...}, "$.event_id"),
        ({"body__event_id": ""}, "$.event_id"),
        ({"body__event_id": 5}, "$.event_id"),
        ({"body__event_id": "x" * 300}, "$.event_id"),
        ({"body__team_id": ...}, "$.team_id"),
        ({"body__team_id": "T1/U1"}, "$.team_id"),
        ({"channel": ...}, "$.event.channel"),
        ({"channel": {}}, "$.event.channel"),
        ({"user": {"id": "U1"}}, "$.event.user"),
        ({"user": "U1/../U2"}, "$.event.user"),
    ],
)
def test_an_event_without_what_is_needed_names_it(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(PayloadError) as failure:
        decode_event(event(**changes))
    assert failure.value.path == path


# ---- commands


def form(**changes: object) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "token": "deprecated",
        "team_id": "T0001",
        "channel_id": "C0001",
        "channel_name": "ops",
        "user_id": "U0001",
        "user_name": "wang",
        "command": "/callboard",
        "text": "contact add <@U0002|li>",
        "response_url": HOOK,
        "trigger_id": "1.2.abc",
    }
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def test_a_command_is_decoded_completely() -> None:
    assert decode_command(form(), NOW) == Incoming(
        platform="slack",
        message_id="1.2.abc",
        person="slack:T0001/U0001",
        name="wang",
        conversation="slack:T0001/C0001/U0001",
        direct=True,
        text="contact add",
        title="ops",
        mentions=(("slack:T0001/U0002", "li"),),
        reply_url=HOOK,
        reply_until=NOW + timedelta(minutes=30),
        trigger="1.2.abc",
        within="slack:T0001/C0001",
    )


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"channel_name": "directmessage"}, "title", ""),
        ({"channel_id": "D0001", "channel_name": "x"}, "title", ""),
        ({"channel_id": "D0001", "channel_name": "directmessage"}, "within", ""),
        ({"text": ...}, "text", ""),
        ({"text": "a &amp; b"}, "text", "a & b"),
        ({"user_name": ...}, "name", ""),
        ({"trigger_id": ...}, "message_id", "v0=signature"),
        ({"trigger_id": ...}, "trigger", ""),
        ({"response_url": ...}, "reply_url", API),
        ({"response_url": ...}, "reply_until", None),
        *(
            ({"response_url": url}, "reply_url", API)
            for url in (
                "https://evil.example.com/commands/T/1/x",
                "http://hooks.slack.com/commands/T/1/x",
                "https://hooks.slack.com@evil.example.com/commands",
                "https://user@hooks.slack.com/commands/x",
                "https://hooks.slack.com:8443/commands/x",
                "https://hooks.slack.com/",
                "https://hooks.slack.com.evil.example.com/commands/x",
                "file:///etc/passwd",
                "x" * 5000,
            )
        ),
    ],
)
def test_commands_are_decoded(changes: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(decode_command(form(**changes), NOW, "v0=signature"), field) == expected


@pytest.mark.parametrize("name", ["team_id", "channel_id", "user_id", "trigger_id"])
def test_a_command_without_what_is_needed_names_it(name: str) -> None:
    with pytest.raises(PayloadError) as failure:
        decode_command(form(**{name: ...}), NOW)
    assert failure.value.path == f"$.{name}"

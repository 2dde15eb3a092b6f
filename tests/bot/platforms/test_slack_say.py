"""Saying a document in Slack: which way out is taken, and what its answers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.channels.contract import Receipt
from bot.http import Http, HttpReply
from bot.markup.slack import BLOCKS
from bot.platforms import PLATFORMS
from bot.platforms.contract import Place, Speaker
from bot.platforms.slack_refusals import REFUSALS, api_refusal, respond_refusal
from bot.platforms.slack_say import (
    HOME_URL,
    MESSAGE_MAX_CHARS,
    SlackCredentials,
    answer_url,
    message,
    reply_url_of,
    text_only,
    way_back,
)
from bot.sandbox.slack_blocks import refused_message
from handlers.document import Button, Dialog, Document, Examples, Facts, Field, Items, Link, Paragraph, Table
from handlers.errors import DeliveryError
from tests.bot.platforms.conftest import Answer, Vendor

NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
POST, WHISPER, HOOK = "/api/chat.postMessage", "/api/chat.postEphemeral", "/commands/T0001/1/x"
UPDATE, OPEN, PUBLISH = "/api/chat.update", "/api/views.open", "/api/views.publish"
HOOK_URL = f"https://hooks.slack.com{HOOK}"
SOON = NOW + timedelta(minutes=10)

IN_CHANNEL = Place("slack:T0001/C0001", "slack:T0001/U0001", False, answer_url(""))
IN_THREAD = replace(IN_CHANNEL, reply_url=answer_url("1700000000.000100"))
IN_CHAT = Place("slack:T0001/D0001/U0001", "slack:T0001/U0001", True, answer_url(""))
COMMAND = Place("slack:T0001/C0001/U0001", "slack:T0001/U0001", True, HOOK_URL, SOON)
COMMAND_IN_CHAT = Place("slack:T0001/D0001/U0001", "slack:T0001/U0001", True, HOOK_URL, SOON)
LATE = replace(COMMAND, reply_until=NOW + timedelta(seconds=20))
ALONE = Place("", "slack:T0001/U0001", True)
PRESSED = replace(IN_CHANNEL, replaces="C0001/1700000000.000100")
WHISPERED = replace(COMMAND, replaces="response")

TAKEN: Answer = (200, {"ok": True, "channel": "C0001", "ts": "1700000000.000100"})
DOCUMENT = Document("Hello", (Paragraph("a *b* <!here>"),))

Say = Callable[[Place], Receipt]


def no(word: str, status: int = 200) -> Answer:
    return status, {"ok": False, "error": word}


@pytest.fixture
def speaker(vendor: Vendor) -> Iterator[Speaker]:
    """Everything works unless a test scripts otherwise."""
    vendor.script = {POST: [TAKEN], WHISPER: [(200, {"ok": True, "message_ts": "1.2"})], HOOK: [(200, b"ok")]}
    vendor.script |= {UPDATE: [TAKEN], OPEN: [(200, {"ok": True})], PUBLISH: [(200, {"ok": True})]}
    http = Http({"https://slack.com": vendor.url, "https://hooks.slack.com": vendor.url})
    yield Speaker(http=http, now=NOW, key="answer-1", credentials=SlackCredentials("xoxb-1"))
    http.close()


@pytest.fixture
def say(speaker: Speaker) -> Say:
    """Says DOCUMENT somewhere."""
    return lambda place: PLATFORMS["slack"].say(DOCUMENT, "en", place, speaker)


def ways(vendor: Vendor) -> list[tuple[str, str, str]]:
    """Path, channel and thread (or user) of every call."""
    return [
        (path, body.get("channel", ""), body.get("thread_ts", body.get("user", ""))) for path, body, _ in vendor.calls
    ]


@pytest.mark.parametrize(
    ("place", "script", "expected"),
    [
        (IN_CHANNEL, {}, [(POST, "C0001", "")]),
        (IN_THREAD, {}, [(POST, "C0001", "1700000000.000100")]),
        (
            IN_THREAD,
            {POST: [no("thread_not_found"), TAKEN]},
            [(POST, "C0001", "1700000000.000100"), (POST, "C0001", "")],
        ),
        (IN_CHAT, {}, [(POST, "D0001", "")]),
        (ALONE, {}, [(POST, "U0001", "")]),
        (COMMAND, {}, [(HOOK, "", "")]),
        (COMMAND, {HOOK: [(200, {"ok": True})]}, [(HOOK, "", "")]),
        (COMMAND_IN_CHAT, {}, [(HOOK, "", "")]),
        (LATE, {}, [(WHISPER, "C0001", "U0001")]),
        (COMMAND, {HOOK: [no("used_url", 404)]}, [(HOOK, "", ""), (WHISPER, "C0001", "U0001")]),
        (COMMAND, {HOOK: [(404, b"expired_url")]}, [(HOOK, "", ""), (WHISPER, "C0001", "U0001")]),
        (COMMAND_IN_CHAT, {HOOK: [no("used_url", 404)]}, [(HOOK, "", ""), (POST, "U0001", "")]),
        (LATE, {WHISPER: [no("not_in_channel")]}, [(WHISPER, "C0001", "U0001"), (POST, "U0001", "")]),
        (LATE, {WHISPER: [no("channel_not_found")]}, [(WHISPER, "C0001", "U0001"), (POST, "U0001", "")]),
        (IN_CHANNEL, {POST: [no("invalid_blocks"), TAKEN]}, [(POST, "C0001", ""), (POST, "C0001", "")]),
        (COMMAND, {HOOK: [(400, b"invalid_blocks"), (200, b"ok")]}, [(HOOK, "", ""), (HOOK, "", "")]),
        (replace(COMMAND, reply_url="https://evil.example.com/x"), {}, [(WHISPER, "C0001", "U0001")]),
        (replace(IN_CHANNEL, reply_url=""), {}, [(POST, "C0001", "")]),
    ],
)
def test_the_way_out(
    vendor: Vendor, say: Say, place: Place, script: dict[str, list[Answer]], expected: list[tuple[str, str, str]]
) -> None:
    vendor.script |= script
    say(place)
    assert ways(vendor) == expected


def test_a_command_is_answered_ephemerally_and_without_the_token(vendor: Vendor, say: Say) -> None:
    say(COMMAND)
    (path, body, headers) = vendor.calls[0]
    assert (path, body["response_type"], body["replace_original"]) == (HOOK, "ephemeral", False)
    assert "authorization" not in headers


@pytest.mark.parametrize("place", [COMMAND, LATE])
def test_what_only_one_person_sees_has_no_name(say: Say, place: Place) -> None:
    assert say(place) == Receipt()


def test_the_api_gets_the_token_and_gives_the_reference(vendor: Vendor, say: Say) -> None:
    assert say(IN_CHANNEL) == Receipt("C0001/1700000000.000100")
    assert vendor.calls[0][2]["authorization"] == "Bearer xoxb-1"


def test_what_is_refused_for_its_form_goes_once_more_as_text(vendor: Vendor, say: Say) -> None:
    vendor.script[POST] = [no("invalid_blocks")]
    with pytest.raises(DeliveryError) as failure:
        say(IN_CHANNEL)
    assert failure.value.permanent
    first, second = vendor.asked(POST)
    assert "blocks" in first
    assert "blocks" not in second
    assert "a *b* &lt;!here&gt;" in second["text"]


# ---- in place, forms, the page


@pytest.mark.parametrize(
    ("place", "script", "expected"),
    [
        (PRESSED, {}, [UPDATE]),
        (replace(IN_CHAT, replaces="D0001/1.2"), {}, [UPDATE]),
        (PRESSED, {UPDATE: [no("message_not_found")]}, [UPDATE, POST]),
        (PRESSED, {UPDATE: [no("edit_window_closed")]}, [UPDATE, POST]),
        (PRESSED, {UPDATE: [no("something_new")]}, [UPDATE, POST]),
        (PRESSED, {UPDATE: [no("invalid_blocks"), TAKEN]}, [UPDATE, UPDATE]),
        (replace(COMMAND, replaces="C0001/1.2"), {UPDATE: [no("cant_update_message")]}, [UPDATE, HOOK]),
        (WHISPERED, {}, [HOOK]),
        (WHISPERED, {HOOK: [no("used_url", 404)]}, [HOOK, WHISPER]),
        (replace(WHISPERED, reply_until=NOW), {}, [WHISPER]),
        (replace(IN_CHANNEL, replaces="C0001/../x"), {}, [POST]),
        (replace(ALONE, replaces="response"), {}, [POST]),
    ],
)
def test_the_way_to_change_a_message(
    vendor: Vendor, say: Say, place: Place, script: dict[str, list[Answer]], expected: list[str]
) -> None:
    vendor.script |= script
    say(place)
    assert [path for path, _body, _headers in vendor.calls] == expected


def test_a_change_names_the_message_and_has_both_blocks_and_text(vendor: Vendor, say: Say) -> None:
    assert say(PRESSED) == Receipt("C0001/1700000000.000100")
    (body,) = vendor.asked(UPDATE)
    assert (body["channel"], body["ts"]) == ("C0001", "1700000000.000100")
    assert set(body) == {"channel", "ts", "text", "blocks"}
    say(WHISPERED)
    assert vendor.asked(HOOK)[0]["replace_original"] is True


@pytest.mark.parametrize("answer", [no("ratelimited"), no("internal_error"), (502, b"<html>"), (0, b"")])
def test_a_change_that_may_work_later_is_no_new_message(vendor: Vendor, say: Say, answer: Answer) -> None:
    vendor.script[UPDATE] = [answer]
    with pytest.raises(DeliveryError) as failure:
        say(PRESSED)
    assert not failure.value.permanent
    assert len(vendor.calls) == 1


FORM = Document("Add", dialog=Dialog("Add", "contact add", (Field("name", "Name", "?"),), "Save", token="tok.en"))


@pytest.mark.parametrize(
    ("trigger", "script", "expected"),
    [
        ("1.2.a", {}, [OPEN]),
        ("", {}, [POST]),
        ("1.2.a", {OPEN: [no("expired_trigger_id")]}, [OPEN, POST]),
        ("1.2.a", {OPEN: [no("ratelimited", 429)]}, [OPEN, POST]),
        ("1.2.a", {OPEN: [(0, b"")]}, [OPEN, POST]),
    ],
)
def test_a_form_opens_while_it_can_and_else_waits_behind_a_button(
    vendor: Vendor, speaker: Speaker, trigger: str, script: dict[str, list[Answer]], expected: list[str]
) -> None:
    vendor.script |= script
    PLATFORMS["slack"].say(FORM, "en", replace(IN_THREAD, trigger=trigger), speaker)
    assert [path for path, _body, _headers in vendor.calls] == expected
    for body in vendor.asked(OPEN):
        assert body["trigger_id"] == trigger
        assert body["view"]["private_metadata"] == "tok.en 1700000000.000100"
    for body in vendor.asked(POST):
        assert [one["value"] for block in body["blocks"] for one in block.get("elements", [])] == ["tok.en"]


def test_only_the_answer_to_opening_the_page_is_drawn_there(vendor: Vendor, say: Say) -> None:
    page = Place("slack:T0001/home/U0001", "slack:T0001/U0001", True, HOME_URL)
    assert say(page) == Receipt()
    (body,) = vendor.asked(PUBLISH)
    assert (body["user_id"], body["view"]["type"]) == ("U0001", "home")
    for url in (answer_url(""), ""):
        say(replace(page, reply_url=url))
    assert [body["channel"] for body in vendor.asked(POST)] == ["U0001", "U0001"]
    vendor.script[PUBLISH] = [no("invalid_arguments")]
    with pytest.raises(DeliveryError):
        say(page)
    assert len(vendor.asked(PUBLISH)) == 2


@pytest.mark.parametrize("url", [answer_url(""), answer_url("1700000000.000100")])
def test_where_a_form_was_opened_is_found_again(url: str) -> None:
    assert reply_url_of(way_back(url)) == url
    assert reply_url_of(way_back(HOOK_URL)) == ""
    assert reply_url_of("x&y") == answer_url("")


@pytest.mark.parametrize("place", [COMMAND, LATE, IN_CHANNEL])
def test_nothing_is_tried_another_way_when_the_outcome_is_unknown(vendor: Vendor, say: Say, place: Place) -> None:
    vendor.script = {HOOK: [(0, b"")], WHISPER: [(0, b"")], POST: [(0, b"")]}
    with pytest.raises(DeliveryError) as failure:
        say(place)
    assert failure.value.unknown
    assert not failure.value.permanent
    assert len(vendor.calls) == 1


def test_without_a_token_a_command_can_still_be_answered(vendor: Vendor, say: Say) -> None:
    http = Http({"https://slack.com": vendor.url, "https://hooks.slack.com": vendor.url})
    speaker = Speaker(http=http, now=NOW, key="k")
    PLATFORMS["slack"].say(DOCUMENT, "en", COMMAND, speaker)
    with pytest.raises(DeliveryError) as failure:
        PLATFORMS["slack"].say(DOCUMENT, "en", IN_CHANNEL, speaker)
    assert failure.value.reason == "not_configured"
    http.close()


# ---- answers


TEMPORARY = frozenset(
    {"ratelimited", "rate_limited", "message_limit_exceeded"}
    | {"internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)


@pytest.mark.parametrize("word", [*REFUSALS, "something_new"])
def test_each_documented_code_is_temporary_or_permanent(word: str) -> None:
    failure = api_refusal(HttpReply(200, {}, b'{"ok": false, "error": "%s"}' % word.encode()))
    assert failure is not None
    assert failure.permanent is (word not in TEMPORARY)
    assert "xoxb" not in str(failure.say)


@pytest.mark.parametrize(
    ("reply", "permanent", "retry_after"),
    [
        (HttpReply(429, {"Retry-After": "30"}, b'{"ok": false, "error": "ratelimited"}'), False, 30.0),
        (HttpReply(429, {"Retry-After": "7"}, b"slow down"), False, 7.0),
        (HttpReply(502, {}, b"<html>bad gateway</html>"), False, None),
        (HttpReply(200, {}, b"<html>sign in</html>"), False, None),
        (HttpReply(200, {}, b"{}"), False, None),
        (HttpReply(200, {}, b'{"ok": "true"}'), False, None),
        (HttpReply(200, {}, b'{"ok": false}'), False, None),
        (HttpReply(503, {}, b'{"ok": false, "error": "brand_new"}'), False, None),
        (HttpReply(403, {}, b'{"ok": false, "error": "brand_new"}'), True, None),
        (HttpReply(200, {}, b'{"ok": false, "error": "<script>"}'), True, None),
    ],
)
def test_answers_of_the_api(reply: HttpReply, permanent: bool, retry_after: float | None) -> None:
    failure = api_refusal(reply)
    assert failure is not None
    assert (failure.permanent, failure.retry_after) == (permanent, retry_after)
    assert "<" not in str(failure.say)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (HttpReply(200, {}, b"ok"), None),
        (HttpReply(200, {}, b""), None),
        (HttpReply(200, {}, b'{"ok": true}'), None),
        (HttpReply(200, {}, b"<html>sign in</html>"), False),
        (HttpReply(404, {}, b'{"ok": false, "error": "used_url"}'), True),
        (HttpReply(404, {}, b"expired_url"), True),
        (HttpReply(404, {}, b"<html>not found</html>"), False),
        (HttpReply(429, {}, b"rate_limited"), False),
        (HttpReply(500, {}, b"internal_error"), False),
        (HttpReply(500, {}, b""), False),
    ],
)
def test_answers_of_a_commands_address(reply: HttpReply, outcome: bool | None) -> None:
    failure = respond_refusal(reply)
    assert (failure.permanent if failure else None) is outcome


# ---- form


NASTY = "<!channel> <@U1> @here *b* _i_ `c` [x](javascript:1) <https://evil.example.com|click> & &amp;"
DOCUMENTS = [
    Document("ok"),
    Document(""),
    Document("x" * 400),
    Document(NASTY, (Paragraph(NASTY), Facts(((NASTY, NASTY),)), Items((NASTY,)), Examples((NASTY,)))),
    Document("t", (Table((NASTY, "b"), tuple((NASTY, str(n)) for n in range(200))),), footer=NASTY),
    Document("t", tuple(Paragraph("p") for _ in range(200))),
    Document("t", (Paragraph("\U0001f600" * 20_000),), links=(Link(NASTY, "https://example.com/?a=1&b=<x>"),) * 20),
    Document("t", (), links=(Link("x", "javascript:alert(1)"),)),
    Document("down", (Facts((("a", "b"),) * 40),), tone="critical", badge="CRITICAL", number=42),
    Document(NASTY, buttons=(Button(NASTY, "x", "danger", token="t" * 900), Button("", "x", token="t")) * 14),
    Document("t", (Paragraph("p"),) * 200, buttons=(Button("l" * 200, "x", token="t"),) * 30, footer="f"),
]


def texts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text"):
            yield value
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
@pytest.mark.parametrize("draw", [message, text_only])
def test_any_document_is_within_slacks_limits_and_mentions_nobody(document: Document, draw: Any) -> None:
    drawn = draw(document, "en")
    assert refused_message(drawn) is None
    assert drawn["text"]
    for found in (drawn["text"], *(one["text"] for one in texts(drawn) if one["type"] == "mrkdwn")):
        assert not any(mark in found for mark in ("<!", "<@", " @here", "javascript:alert"))
    assert all(one.get("verbatim") is True for one in texts(drawn) if one["type"] == "mrkdwn")
    assert all(one["emoji"] is False for one in texts(drawn) if one["type"] == "plain_text")
    assert drawn["unfurl_links"] is drawn["unfurl_media"] is drawn["mrkdwn"] is False
    assert len(drawn.get("blocks", [])) <= BLOCKS
    assert sum(len(one["text"]) for one in texts(drawn)) <= MESSAGE_MAX_CHARS


def test_buttons_are_drawn_where_they_have_a_token() -> None:
    buttons = (Button("No token", "x"), Button("l" * 80, "x", token="a"), Button("Bad", "x", "danger", token="b"))
    (actions,) = [b for b in message(Document("t", buttons=buttons), "en")["blocks"] if b["type"] == "actions"]
    assert [(one["value"], one.get("style")) for one in actions["elements"]] == [("a", None), ("b", "danger")]
    assert len(actions["elements"][0]["text"]["text"]) == 75
    assert len({one["action_id"] for one in actions["elements"]}) == 2


def test_one_sentence_is_no_headline() -> None:
    assert [block["type"] for block in message(Document("Contact “Ann” is added."), "en")["blocks"]] == ["section"]
    assert [block["type"] for block in message(DOCUMENT, "en")["blocks"]] == ["header", "section"]
    asked = message(Document("Remove it?", buttons=(Button("Yes", "yes", token="t"),)), "en")
    assert [block["type"] for block in asked["blocks"]] == ["section", "actions"]
    long = Document("w" * 300, (Paragraph("x"),))
    assert message(long, "en")["blocks"][0]["text"]["text"] == "w" * 300

"""What holds for every line of the table CHANNELS."""

from __future__ import annotations

import email as mail_parser
import email.policy as mail_policy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from bot.channels import CHANNELS, arms, dingtalk, email, lark, slack, sms, voice, wecom
from bot.channels.contract import Message, Outside, Target
from bot.http import Http, encoded
from handlers.document import Document, Facts, Items, Link, Paragraph, Table
from handlers.errors import DeliveryError
from tests.bot.channels.loopback import Loopback, Says
from tests.bot.channels.messages import DOCUMENT, enormous, message

TOKEN = "s3cr3ttok3n"
KEYWORD = "DAS Alarm"
MAILBOX = "zhang@example.com"


@dataclass(frozen=True)
class Case:
    """How one channel is tried: an address, what the platform answers when it took the message, and the card alone."""

    address: str
    taken: Says
    card: Callable[[Message], Any]
    limit: int


CASES = {
    "dingtalk": Case(
        f"https://oapi.dingtalk.com/robot/send?access_token={TOKEN}",
        Says({"errcode": 0, "errmsg": "ok"}),
        lambda m: dingtalk.card(m, KEYWORD),
        18_000,
    ),
    "wecom": Case(
        f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={TOKEN}",
        Says({"errcode": 0, "errmsg": "ok"}),
        wecom.card,
        10_000,
    ),
    "lark": Case(
        f"https://open.feishu.cn/open-apis/bot/v2/hook/{TOKEN}",
        Says({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}),
        lambda m: lark.card(m, KEYWORD, "lark-secret"),
        19_000,
    ),
    "slack": Case(f"https://hooks.slack.com/services/T0001/B0001/{TOKEN}", Says("ok"), slack.card, 100_000),
    "arms": Case(
        f"https://alerts.aliyuncs.com/api/v1/integrations/custom/{TOKEN}",
        Says({}),
        lambda m: arms.card(m, KEYWORD),
        100_000,
    ),
    "sms": Case("+8613900000000", Says({"Code": "OK", "Message": "OK", "BizId": "b1"}), sms.card, 600),
    "voice": Case("+8613900000000", Says({"Code": "OK", "Message": "OK", "CallId": "c^1"}), voice.card, 600),
    "email": Case(MAILBOX, Says(), lambda m: email.card(m, MAILBOX, "bot@example.com"), 600_000),
}
SHORT = ("sms", "voice")
"""Channels of a few words."""

BY_HTTP = [name for name in CASES if name != "email"]


def words(card: Any) -> str:
    """Every string in a card, as one text."""
    if isinstance(card, dict):
        return "\n".join(words(part) for part in card.values())
    if isinstance(card, list):
        return "\n".join(map(words, card))
    if not isinstance(card, EmailMessage):
        return str(card)
    read = mail_parser.message_from_bytes(card.as_bytes(), policy=POLICY)
    bodies = [read.get_body((kind,)) for kind in ("plain", "html")]
    return "\n".join([read["Subject"], *(body.get_content() for body in bodies if body is not None)])


POLICY = mail_policy.default


def test_every_channel_of_the_table_is_tried_here() -> None:
    assert CASES.keys() == CHANNELS.keys()
    assert all(name == channel.name for name, channel in CHANNELS.items())


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_title_severity_and_number_of_an_alert_are_shown(name: str, plain: bool) -> None:
    shown = words(CASES[name].card(message(plain=plain)))
    assert "disk 93% full" in shown
    assert "CRITICAL" in shown
    assert "42" in shown
    if name not in SHORT:
        assert "#42" in shown
        assert "https://runbook.example/disk" in shown
        assert "db-7" in shown


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("piece", ["disk full ", "磁盘已满 ", "🧑🏽‍🚒🇨🇳é", '"\\\n', "<at id=all></at> ", "**[x](y)** "])
@pytest.mark.parametrize("name", CASES)
def test_an_enormous_document_fits_and_keeps_what_must_survive(name: str, piece: str, plain: bool) -> None:
    started = time.process_time()
    card = CASES[name].card(message(enormous(piece), plain=plain))
    assert time.process_time() - started < 5
    size = len(encoded(card)) if isinstance(card, dict) else len(card.as_bytes())
    assert size <= CASES[name].limit
    shown = words(card)
    assert "CRITICAL" in shown
    assert "42" in shown
    if name in ("dingtalk", "lark", "arms"):
        assert KEYWORD in shown
    if name not in SHORT:
        assert "#42" in shown
        assert "…" in shown
    shown.encode()  # no half of a surrogate pair


@pytest.mark.parametrize("name", ["dingtalk", "wecom", "lark", "slack"])
def test_what_room_there_is_gets_used(name: str) -> None:
    many = Document("t", (Facts(tuple((f"label {i}", "v" * 50) for i in range(3000))),), badge="B", number=1)
    card = CASES[name].card(message(many))
    used = len(encoded(card))
    least = {"dingtalk": 17_000, "wecom": 3_800, "lark": 18_000, "slack": 9_000}[name]
    assert used > least
    assert "more lines" in words(card)


HOSTILE = [
    "<@all>",
    "<@zhangsan>",
    "<at id=all></at>",
    '<at user_id="all">x</at>',
    "<!channel>",
    "<!here|here>",
    "@here",
    "@all",
    "@所有人",
    "@13800000001",
    "[x](javascript:alert(1))",
    "[x](https://evil.example/)",
    "![x](https://evil.example/p.png)",
    "<https://evil.example|x>",
    "<font color=red>x</font>",
    "<b>x</b>",
    "<script>x</script>",
    "**bold**",
    "`code`",
    "# heading",
    "> quote",
    "line\n# heading",
    "line\n> quote",
    "line\n\n---\n",
    "x\r\nBcc: evil@example.com",
    "\u202egnp.exe",
    "a\x00b\x1b[31m",
    "\ud83d",
    "[x]\u200b(https://evil.example/)",
    "<\u200b@all>",
]


def everywhere(text: str) -> Document:
    return Document(
        text,
        (Paragraph(text), Facts(((text, text),)), Items((text,)), Table((text,), ((text, text),))),
        badge="CRITICAL",
        number=42,
        links=(Link(text, "https://runbook.example/"),),
        footer=text,
    )


LINKS = ("](javascript", "](https://evil", "![", "<font color=red", "<b>", "<script", "**bold**", "`code`")
ACTIVE = {
    ("dingtalk", False): (*LINKS, "@all", "@here", "@1380", "\n# ", "\n> quote", "\n  > quote"),
    ("dingtalk", True): ("@all", "@here", "@1380"),
    ("wecom", False): (*LINKS, "<@", "@all", "@here", "\n# "),
    ("wecom", True): ("<@", "@all", "@here"),
    ("slack", False): ("<!", "<@", "<https://evil", "@here", "@all"),
    ("slack", True): ("<!", "<@", "<https://evil", "@here", "@all"),
    ("lark", True): ("<at",),
}
"""What would do something, in the parts of a card that are read as markup."""


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", CASES)
def test_untrusted_text_does_nothing(name: str, text: str, plain: bool) -> None:
    card = CASES[name].card(message(everywhere(text), plain=plain))
    shown = words(card)
    assert not any(ch in shown for ch in "\u202e\x00\x1b\ud83d")
    read: list[str] = []
    if name == "dingtalk":
        body = card[card["msgtype"]]
        read = [body.get("title", ""), body.get("text", "")]
        assert "at" not in card
    elif name == "wecom":
        body = card[card["msgtype"]]
        assert "mentioned_list" not in body
        read = [body["content"]]
    elif name == "slack":
        read = [card["text"], *(found["text"] for found in texts_of_type(card, "mrkdwn"))]
        assert all(found["verbatim"] for found in texts_of_type(card, "mrkdwn"))
        assert "link_names" not in card
        assert "parse" not in card
    elif name == "lark":
        # Nothing in a card is of a type that interprets anything; a text message has no mention.
        assert not texts_of_type(card, "lark_md")
        assert not texts_of_type(card, "markdown")
        read = [card["content"]["text"]] if plain else []
    elif name == "email":
        read_mail = mail_parser.message_from_bytes(card.as_bytes(), policy=POLICY)
        assert read_mail["Bcc"] is None
        html = read_mail.get_body(("html",))
        content = html.get_content() if html is not None else ""
        assert "<script>" not in content
        assert "<b>" not in content
        assert "<at" not in content
        assert "evil.example" not in "".join(part.split('"')[0] for part in content.split('href="')[1:])
    for part in read:
        for mark in ACTIVE.get((name, plain), ()):
            assert mark not in part


def texts_of_type(card: Any, kind: str) -> list[dict[str, Any]]:
    """Every object of a card whose `type` or `tag` is this one."""
    found: list[dict[str, Any]] = []
    if isinstance(card, dict):
        if kind in (card.get("type"), card.get("tag")):
            found.append(card)
        card = list(card.values())
    if isinstance(card, list):
        for part in card:
            found.extend(texts_of_type(part, kind))
    return found


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://u:p@evil.example/", "ftp://x.example/", "https://x y/"]
)
@pytest.mark.parametrize("name", CASES)
def test_only_safe_addresses_become_links(name: str, url: str) -> None:
    document = replace(DOCUMENT, links=(Link("Runbook", url), Link("Graph", "https://graph.example/")))
    assert url not in words(CASES[name].card(message(document)))


@pytest.mark.parametrize("name", BY_HTTP)
def test_a_taken_message_gives_a_receipt(name: str, server: Loopback, outside: Outside) -> None:
    server.answer = CASES[name].taken
    CHANNELS[name].send(message(), Target(CASES[name].address, "SECsecret"), outside)
    assert len(server.seen) == 1
    if name not in SHORT:
        assert server.seen[0].headers["content-type"].startswith("application/json")
        assert server.seen[0].path in CASES[name].address


PAGE = "<html><body>403 Forbidden by proxy</body></html>"


@pytest.mark.parametrize("status", [200, 302, 403, 404, 500, 502, 503])
@pytest.mark.parametrize("name", BY_HTTP)
def test_a_page_instead_of_an_answer_is_temporary_at_any_status(
    name: str, status: int, server: Loopback, outside: Outside
) -> None:
    server.answer = Says(PAGE, status)
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[name].send(message(), Target(CASES[name].address), outside)
    assert not caught.value.permanent
    assert not caught.value.disables


@pytest.mark.parametrize("name", BY_HTTP)
def test_no_answer_after_sending_means_that_it_may_have_arrived(name: str, server: Loopback, outside: Outside) -> None:
    server.answer = Says(drop=True)
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[name].send(message(), Target(CASES[name].address), outside)
    assert (caught.value.unknown, caught.value.permanent) == (True, False)


@pytest.mark.parametrize("name", CASES)
def test_a_platform_that_is_down_is_temporary(name: str, outside: Outside) -> None:
    nowhere = "http://127.0.0.1:9"
    down = replace(
        outside,
        http=Http(
            {case.address[: case.address.find("/", 8)]: nowhere for case in CASES.values() if "//" in case.address}
        ),
        sms_url=nowhere,
        voice_url=nowhere,
        smtp_url="smtp://127.0.0.1:9",
    )
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[name].send(message(), Target(CASES[name].address), down)
    assert (caught.value.unknown, caught.value.permanent, caught.value.reason) == (False, False, "unreachable")


@pytest.mark.parametrize("answer", [Says(drop=True), Says(PAGE), Says({"errcode": 93000, "code": 19001}, 400)])
@pytest.mark.parametrize("name", BY_HTTP)
def test_errors_and_logs_tell_no_secret(
    name: str, answer: Says, server: Loopback, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    server.answer = answer
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[name].send(message(kind="code", code="135790"), Target(CASES[name].address, "SECsecret"), outside)
    error: BaseException | None = caught.value
    told = caplog.text
    while error is not None:
        told += repr(error) + str(error) + repr(error.args)
        error = error.__cause__ or error.__context__
    for secret in (TOKEN, "SECsecret", "secret-of-the-key", "13900000000", "135790"):
        assert secret not in told


def test_the_limits_have_a_margin_below_those_of_the_platforms() -> None:
    kept = {name: [(b.count, b.per_s) for b in channel.budgets] for name, channel in CHANNELS.items()}
    assert all(count <= 20 and per_s >= 60 for name in ("dingtalk", "wecom") for count, per_s in kept[name])
    assert all(count / per_s <= 5 for count, per_s in kept["lark"])
    assert any(count <= 100 and per_s >= 60 for count, per_s in kept["lark"])
    assert all(per_s / count >= 1 for count, per_s in kept["slack"])
    assert kept["email"] == [(30, 60.0)]
    assert kept["sms"] == [(5, 900.0)]
    assert kept["arms"] == []


def test_channels_name_the_settings_they_lack(outside: Outside) -> None:
    bare = Outside(outside.http)
    assert CHANNELS["email"].missing(bare) == ("SMTP_URL", "MAIL_FROM")
    assert "SMS_SIGN_NAME" in CHANNELS["sms"].missing(bare)
    assert CHANNELS["sms"].missing(outside) == ()
    assert all(CHANNELS[name].missing(bare) == () for name in ("dingtalk", "wecom", "lark", "slack", "arms"))


def test_the_arms_event_has_every_key_of_the_sample() -> None:
    path = Path(__file__).parents[2] / "fixtures" / "samples" / "arms-custom-integration-request.json"
    sample = json.loads(path.read_text("utf-8"))
    event = arms.card(message(), KEYWORD)
    assert event.keys() >= sample.keys()
    assert {key: type(value) for key, value in event.items() if key in sample} == {
        key: type(value) for key, value in sample.items()
    }
    assert event["labels"].keys() >= sample["labels"].keys()
    assert event["annotations"].keys() >= sample["annotations"].keys()
    assert (event["value"], event["instance"], event["severity"]) == ("93", "db-7", "critical")
    assert event["startTime"] == 1_700_000_000_000

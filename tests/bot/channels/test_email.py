"""Mail against a real SMTP server on loopback."""

from __future__ import annotations

import email as mail_parser
import email.policy as mail_policy
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from bot.channels import email
from bot.channels.contract import Outside, Target
from handlers.document import Document, Facts, Paragraph
from handlers.errors import DeliveryError
from tests.bot.channels.messages import DOCUMENT, message


@dataclass
class Post:
    """A post office that takes every mail, or answers one step with what it is told."""

    url: str = ""
    mails: list[Envelope] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    mail: str = ""
    rcpt: str = ""
    data: str = ""

    async def handle_MAIL(  # noqa: N802 -- the names that aiosmtpd calls
        self, _server: Any, _session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not self.mail:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.mail or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if not self.rcpt:
            envelope.rcpt_tos.append(address)
        return self.rcpt or "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(envelope)
        return self.data or "250 OK"

    def login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=given.password == b"p@ss/word", handled=False)


@pytest.fixture
def post() -> Iterator[Post]:
    office = Post()
    controller = Controller(
        office,
        hostname="127.0.0.1",
        port=0,
        enable_SMTPUTF8=True,
        authenticator=office.login,
        auth_require_tls=False,
        ready_timeout=5,
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        controller.port = probe.getsockname()[1]
    controller.start()
    office.url = f"127.0.0.1:{controller.port}"
    yield office
    controller.stop()


@pytest.fixture
def mail_outside(outside: Outside, post: Post) -> Outside:
    return replace(outside, smtp_url=f"smtp://{post.url}")


def read(envelope: Envelope) -> Any:
    assert isinstance(envelope.content, bytes)
    return mail_parser.message_from_bytes(envelope.content, policy=mail_policy.default)


def test_a_mail_arrives_with_text_and_html(post: Post, mail_outside: Outside) -> None:
    receipt = email.send(message(), Target("zhang@example.com"), mail_outside)
    mail = read(post.mails[0])
    assert (post.mails[0].mail_from, post.mails[0].rcpt_tos) == ("bot@example.com", ["zhang@example.com"])
    assert mail["Subject"] == "[CRITICAL] #42 disk 93% full"
    assert mail["From"] == "Callboard <bot@example.com>"
    assert mail["Message-ID"] == receipt.reference
    assert mail["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert "Instance: db-7" in mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    assert '<a href="https://graph.example/d/1?a=1&amp;b=2"' in html
    assert "crimson" in html
    assert "src=" not in html


def test_the_simplest_form_is_text_alone(post: Post, mail_outside: Outside) -> None:
    email.send(message(plain=True), Target("zhang@example.com"), mail_outside)
    assert read(post.mails[0]).get_content_type() == "text/plain"


def test_a_retry_is_the_same_mail_and_an_alert_is_one_thread(post: Post, mail_outside: Outside) -> None:
    for key, thread in (("k1", "alert-42"), ("k1", "alert-42"), ("k2", "alert-42"), ("k3", "alert-43")):
        email.send(message(key=key, thread=thread), Target("zhang@example.com"), mail_outside)
    mails = [read(envelope) for envelope in post.mails]
    ids = [mail["Message-ID"] for mail in mails]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    threads = [mail["References"] for mail in mails]
    assert threads[0] == threads[1] == threads[2] != threads[3]
    assert [mail["In-Reply-To"] for mail in mails] == threads


TITLES = ["x\r\nBcc: evil@example.com", "x\nSubject: y", "x\u2028Bcc: evil@example.com", "=?utf-8?q?=0ABcc:_e@x?="]


@pytest.mark.parametrize("title", TITLES)
def test_no_text_becomes_a_header(title: str, post: Post, mail_outside: Outside) -> None:
    document = replace(DOCUMENT, title=title, badge=title)
    email.send(message(document, thread=title), Target("zhang@example.com"), mail_outside)
    mail = read(post.mails[0])
    assert mail["Bcc"] is None
    assert len(mail.get_all("Subject")) == 1
    assert post.mails[0].rcpt_tos == ["zhang@example.com"]


@pytest.mark.parametrize(
    "mailbox",
    ["", "x", "@example.com", "x@", "a@b\r\nBcc: c@d", "a@example.com\nRCPT TO:<evil@example.com>", "x@" + "a" * 300],
)
def test_what_is_not_a_mailbox_is_refused(mailbox: str, post: Post, mail_outside: Outside) -> None:
    with pytest.raises(DeliveryError) as caught:
        email.send(message(), Target(mailbox), mail_outside)
    assert (caught.value.permanent, caught.value.disables) == (True, True)
    assert post.mails == []


@pytest.mark.parametrize("sender", ["", "Ops <ops@>", "x@", "<>@", "@", "Ops, Team <a@example.com>", "a@b\r\nBcc: c@d"])
def test_a_sender_that_is_no_mailbox_is_never_the_fault_of_who_should_get_the_mail(
    sender: str, post: Post, mail_outside: Outside
) -> None:
    with pytest.raises(DeliveryError) as caught:
        email.send(message(), Target("zhang@example.com"), replace(mail_outside, mail_from=sender))
    assert (caught.value.reason, caught.value.disables) == ("sender", False)
    assert post.mails == []


def test_a_chinese_sender_that_the_server_cannot_write_is_the_senders_fault(
    mail_outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtplib.SMTP.has_extn", lambda *_args: False)
    with pytest.raises(DeliveryError) as caught:
        email.send(message(), Target("zhang@example.com"), replace(mail_outside, mail_from="值班@example.com"))
    assert (caught.value.reason, caught.value.disables) == ("sender", False)


def test_a_chinese_domain_is_written_for_dns(post: Post, mail_outside: Outside) -> None:
    email.send(message(), Target("zhang@例子.cn"), mail_outside)
    assert post.mails[0].rcpt_tos == ["zhang@xn--fsqu00a.cn"]
    assert read(post.mails[0])["To"] == "zhang@xn--fsqu00a.cn"


def test_a_chinese_mailbox_needs_a_server_that_can_write_to_it(post: Post, mail_outside: Outside) -> None:
    email.send(message(), Target("王伟@example.com"), mail_outside)
    assert post.mails[0].rcpt_tos == ["王伟@example.com"]
    assert "SMTPUTF8" in post.mails[0].mail_options


@pytest.mark.parametrize("digits_before", ["", "验证码", "验证码 ", "中", "é=", "=3D"])
@pytest.mark.parametrize("key", [f"k-{i}-123456" for i in range(6)])
def test_the_code_is_the_only_six_digit_number_of_the_whole_source(key: str, digits_before: str) -> None:
    document = Document(
        "Your Callboard code 验证码",
        (Paragraph(f"{digits_before}1234 and 135790, good for 10 minutes 分钟"), Facts((("码", "135790"),))),
        tone="critical",
        footer="中1234 é5678",
    )
    sent = message(document, kind="code", code="135790", key=key, thread="t-654321", alert=None)
    mail = email.card(sent, "zhang@example.com", "Callboard <bot@example.com>")
    source = mail.as_bytes().decode("ascii")
    assert set(re.findall(r"\b\d{6}\b", source, re.ASCII)) <= {"135790"}
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        assert set(re.findall(r"\b\d{6}\b", body.get_content(), re.ASCII)) == {"135790"}


def test_an_english_code_can_be_read_in_the_source() -> None:
    document = Document("Your code", (Paragraph("135790 is your code, " + "good for 10 minutes. " * 9),))
    source = email.card(message(document, kind="code", code="135790"), "a@example.com", "b@example.com").as_bytes()
    assert re.findall(rb"\b\d{6}\b", source) == [b"135790", b"135790"]


REPLIES = [
    ("mail", "451 4.7.1 try later", (False, False), "later"),
    ("mail", "553 5.7.1 not yours", (True, False), "sender"),
    ("mail", "530 5.7.0 authentication required", (True, False), "sender"),
    ("mail", "552 5.3.4 message size exceeds limit", (True, False), "too_long"),
    ("rcpt", "450 4.2.1 try later", (False, False), "busy"),
    ("rcpt", "450 4.2.0 Greylisted, see http://postgrey.example", (False, False), "later"),
    ("rcpt", "452 4.2.2 full for now", (False, False), "mailbox_full"),
    ("rcpt", "421 4.3.2 closing", (False, False), "busy"),
    ("rcpt", "550 5.1.1 no such user", (True, True), "bad_mailbox"),
    ("rcpt", "550 no such user", (True, True), "bad_mailbox"),
    ("rcpt", "551 user not local", (True, True), "bad_mailbox"),
    ("rcpt", "553 5.1.3 bad address", (True, True), "bad_mailbox"),
    ("rcpt", "554 5.1.2 no such domain", (True, True), "bad_mailbox"),
    ("rcpt", "556 5.1.10 recipient has a null MX", (True, True), "bad_mailbox"),
    ("rcpt", "550 5.2.1 mailbox disabled", (True, True), "bad_mailbox"),
    ("rcpt", "550 5.4.1 recipient address rejected: access denied", (True, True), "bad_mailbox"),
    ("rcpt", "550 #5.1.0 address rejected", (True, True), "bad_mailbox"),
    ("rcpt", "550 5.7.1 policy", (True, False), "refused"),
    ("rcpt", "554 blocked, you are [5.1.1.9]", (True, False), "refused"),
    ("rcpt", "550 5.1.8 sender's domain does not exist", (True, False), "sender"),
    ("rcpt", "554 relay access denied", (True, False), "refused"),
    ("rcpt", "550 5.2.2 over quota", (True, False), "mailbox_full"),
    ("rcpt", "552 5.2.2 full", (True, False), "mailbox_full"),
    ("data", "451 4.3.0 try later", (False, False), "busy"),
    ("data", "550 5.1.1 no such user after all", (True, True), "bad_mailbox"),
    ("data", "554 5.6.0 looks like spam", (True, False), "refused"),
    ("data", "552 5.3.4 too large", (True, False), "too_long"),
    ("data", "552 exceeded storage allocation", (True, False), "mailbox_full"),
]
"""What a server says at which step; (permanent, the mailbox itself is dead) and the reason."""


@pytest.mark.parametrize(("step", "reply", "expected", "reason"), REPLIES)
def test_replies_of_the_server(
    step: str, reply: str, expected: tuple[bool, bool], reason: str, post: Post, mail_outside: Outside
) -> None:
    setattr(post, step, reply)
    with pytest.raises(DeliveryError) as caught:
        email.send(message(), Target("zhang@example.com"), mail_outside)
    assert (caught.value.permanent, caught.value.disables) == expected
    assert (caught.value.reason, caught.value.unknown) == (reason, False)


@pytest.mark.parametrize(("password", "accepted"), [("p%40ss%2Fword", True), ("wrong", False)])
def test_the_login_of_the_url_is_decoded(password: str, accepted: bool, post: Post, outside: Outside) -> None:
    there = replace(outside, smtp_url=f"smtp://bot%40example.com:{password}@{post.url}")
    if accepted:
        email.send(message(), Target("zhang@example.com"), there)
        assert post.logins == [("bot@example.com", "p@ss/word")]
    else:
        with pytest.raises(DeliveryError) as caught:
            email.send(message(), Target("zhang@example.com"), there)
        assert (caught.value.reason, caught.value.permanent) == ("login", True)


@pytest.mark.parametrize("url", ["smtp://{}?starttls=1", "smtps://{}"])
def test_encryption_that_is_asked_for_is_never_left_out(url: str, post: Post, outside: Outside) -> None:
    with pytest.raises(DeliveryError) as caught:
        email.send(message(), Target("zhang@example.com"), replace(outside, smtp_url=url.format(post.url)))
    assert not caught.value.permanent
    assert post.mails == []


def test_a_server_that_hangs_up_after_the_mail_may_have_taken_it(post: Post, mail_outside: Outside) -> None:
    post.data = "421 4.3.2 closing"
    with pytest.raises(DeliveryError) as caught:
        email.send(message(), Target("zhang@example.com"), mail_outside)
    assert not caught.value.permanent

"""The mail server, met with the standard library's client."""

from __future__ import annotations

import smtplib
import threading
from email.message import EmailMessage

import pytest

from bot.sandbox.mail import Mail, complaint
from bot.sandbox.server import StandIns
from bot.sandbox.world import Broken, Drop, Refused, Slow, World


def mail(**changes: str | None) -> EmailMessage:
    message = EmailMessage()
    headers = {
        "From": "Callboard <bot@example.com>",
        "To": "ann@example.com",
        "Subject": "值班 alarm",
        "Date": "Tue, 14 Nov 2023 22:13:20 +0000",
        "Message-ID": "<1@example.com>",
        **changes,
    }
    for name, value in headers.items():
        if value is not None:
            message[name] = value
    message.set_content("disk full ✓\n")
    message.add_alternative("<p>disk full ✓</p>\n", subtype="html")
    return message


def client(stand_ins: StandIns) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", stand_ins.mail.port, timeout=5)


def test_a_mail_arrives_decoded(stand_ins: StandIns, world: World) -> None:
    with client(stand_ins) as smtp:
        smtp.send_message(mail(), to_addrs=["Ann@Example.com", "bob@example.com"])
    for address in ("ann@example.com", "bob@example.com"):
        (event,) = world.mail(address)
        assert event.body["subject"] == "值班 alarm"
        assert event.body["from"] == "Callboard <bot@example.com>"
        assert event.body["plain"] == "disk full ✓\n"
        assert event.body["html"] == "<p>disk full ✓</p>\n"
        assert event.body["headers"]["Message-ID"] == "<1@example.com>"
        assert event.note == "<1@example.com>"


@pytest.mark.parametrize("code", [550, 450])
def test_a_mailbox_can_be_refused(code: int, stand_ins: StandIns, world: World) -> None:
    world.fault("mail:gone@example.com", Refused(code))
    with client(stand_ins) as smtp:
        refused = smtp.send_message(mail(), to_addrs=["gone@example.com", "bob@example.com"])
        assert refused["gone@example.com"][0] == code
        smtp.send_message(mail(), to_addrs=["gone@example.com"])
    assert len(world.mail("gone@example.com")) == 1
    assert len(world.mail("bob@example.com")) == 1


@pytest.mark.parametrize(
    ("key", "fault", "code"),
    [
        ("mail", Refused(421), 421),
        ("mail", Refused(451, "4.7.1 Greylisted"), 451),
        ("mail:data", Refused(554), 554),
        ("mail:data", Broken(), 421),
    ],
)
def test_refusals_of_the_whole_message(
    key: str, fault: Refused | Broken, code: int, stand_ins: StandIns, world: World
) -> None:
    world.fault(key, fault)
    with client(stand_ins) as smtp, pytest.raises(smtplib.SMTPResponseException) as caught:
        smtp.send_message(mail())
    assert caught.value.smtp_code == code


@pytest.mark.parametrize(("after", "arrived"), [(False, 0), (True, 1)])
def test_a_dropped_connection_loses_the_mail_or_only_the_answer(
    after: bool, arrived: int, stand_ins: StandIns, world: World
) -> None:
    world.fault("mail:data", Drop(after))
    smtp = client(stand_ins)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.send_message(mail())
    smtp.close()
    assert len(world.mail("ann@example.com")) == arrived


def test_a_slow_answer_comes_after_the_mail_arrived(stand_ins: StandIns, world: World) -> None:
    gate = threading.Event()
    world.fault("mail:data", Slow(gate))
    done = threading.Event()

    def send() -> None:
        with client(stand_ins) as smtp:
            smtp.send_message(mail())
        done.set()

    thread = threading.Thread(target=send)
    thread.start()
    assert world.wait_for(lambda event: event.kind == "mail") is not None
    assert not done.is_set()
    gate.set()
    thread.join(5)
    assert done.is_set()


BAD = [
    ("two subjects", b"Subject: a\r\nSubject: b\r\n", "Subject"),
    ("no subject", b"", "Subject"),
    ("empty subject", b"Subject: \r\n", "Subject"),
    ("raw Chinese in a header", "Subject: 值\r\n".encode(), "non-ASCII"),
]


@pytest.mark.parametrize(("name", "line", "words"), BAD, ids=[row[0] for row in BAD])
def test_a_broken_form_is_refused(name: str, line: bytes, words: str, stand_ins: StandIns, world: World) -> None:
    head = b"From: a@b.c\r\nTo: d@e.f\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <1@b.c>\r\n"
    with client(stand_ins) as smtp, pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.sendmail("a@b.c", ["d@e.f"], head + line + b"\r\nhello\r\n")
    assert caught.value.smtp_code == 554
    assert words in str(caught.value.smtp_error)
    assert not world.mail("d@e.f")
    assert len(world.refusals("mail")) == 1


def test_long_lines_and_missing_headers_are_named() -> None:
    good = mail().as_bytes()
    assert complaint(good) == ""
    assert "line too long" in complaint(good + b"x" * 999)
    assert "no header" in complaint(b"hello")
    for name in ("From", "To", "Date", "Message-ID"):
        assert name in complaint(mail(**{name: None}).as_bytes())


def test_stopping_right_after_starting_leaves_no_thread(world: World) -> None:
    mail_server = Mail(world)
    for _ in range(30):
        mail_server.start()
        mail_server.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "sandbox-mail"]


def test_with_a_login_nobody_sends_without_it(world: World) -> None:
    with StandIns(world, mail_user="bot", mail_password="p w") as stand_ins:
        assert stand_ins.smtp_url == f"smtp://bot:p%20w@127.0.0.1:{stand_ins.mail.port}"
        with client(stand_ins) as smtp:
            with pytest.raises(smtplib.SMTPSenderRefused) as refused:
                smtp.send_message(mail())
            assert refused.value.smtp_code == 530
            with pytest.raises(smtplib.SMTPAuthenticationError):
                smtp.login("bot", "wrong")
            smtp.login("bot", "p w")
            smtp.send_message(mail())
    assert len(world.mail("ann@example.com")) == 1

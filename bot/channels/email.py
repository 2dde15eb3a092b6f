"""Email over SMTP: plain text with an HTML alternative, the mails of one alert in one thread."""

from __future__ import annotations

import hashlib
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import cache
from html import escape
from urllib.parse import parse_qsl, unquote, urlsplit

from bot.channels.contract import Channel, Message, Outside, Receipt, Target
from bot.channels.fit import cleaned, fitted
from bot.markup.plain import cut, outline
from bot.refusals import Refusal, dead, temporary
from handlers.budgets import Throttle
from handlers.document import Block, Document, Examples, Facts, Items, Paragraph, Table
from handlers.errors import DeliveryError
from handlers.texts import _
from handlers.urls import safe_url

NAME = "Email"
TIMEOUT_S = 15.0
SUBJECT_CHARS = 180
BODY_MAX_CHARS = 30_000

COLOURS = {
    "critical": "crimson",
    "warning": "darkorange",
    "info": "royalblue",
    "resolved": "seagreen",
    "neutral": "gray",
}
"""By name: a colour of six digits could be taken for the code of a verification mail."""

STATUS = re.compile(r"^#?[245]\.(\d{1,3})\.(\d{1,3})(?!\S)", re.ASCII | re.MULTILINE)
"""At the beginning of a line, so that no address of a machine is taken for one."""

NO_SUCH_MAILBOX = frozenset({"1.1", "1.2", "1.3", "1.6", "1.10", "2.1"})
"""Status codes after which no mail ever arrives: no such mailbox or domain, moved, none of its mail is taken, disabled.
https://www.iana.org/assignments/smtp-enhanced-status-codes"""

SIX_DIGITS = re.compile(r"\b\d{6}\b", re.ASCII)

BAD_MAILBOX = dead("bad_mailbox", _("This mailbox does not exist or takes no mail; set another address."))
REFUSED = Refusal("refused", _("The mail server refused the mail."))
LOGIN = Refusal("login", _("The mail server did not accept this service's login; the operator has to fix SMTP_URL."))
SENDER = Refusal("sender", _("The mail server does not let this service send; the operator has to check MAIL_FROM."))
FULL = Refusal("mailbox_full", _("The mailbox is full."))
BUSY = temporary("busy", _("The mail server takes no mail at the moment."))
FULL_FOR_NOW = temporary("mailbox_full", _("The mailbox is full."))
LATER = temporary("later", _("The mail server does not know this service yet and asks to come again later."))
TOO_LARGE = Refusal("too_long", _("The mail is too large for the mail server."))
UNREACHABLE = temporary("unreachable", _("The mail server cannot be reached at the moment."))
UNTRUSTED = temporary("tls", _("The mail server's certificate is not trusted; the operator has to look at it."))
ALPHABET = _("The mail server cannot write to addresses with such letters; set another address.")


def card(message: Message, mailbox: str, mail_from: str) -> EmailMessage:
    """The whole mail. Raises DeliveryError when an address is not one.

    Of a verification mail no line but its addresses has another free-standing six-digit number than the code: not a
    colour, a boundary, an id, nor what an encoding makes of a Chinese letter before a digit.
    """
    document = fitted(message.document, message.language, BODY_MAX_CHARS, lambda d: len(outline(d)))
    for attempt in range(20):
        mail = _mail(message, document, mailbox, mail_from, attempt)
        if message.kind != "code" or set(SIX_DIGITS.findall(_source(mail))) <= {message.code}:
            break
    return mail


def fill(message: Message, _outside: Outside) -> float:
    """The part of its limit that the mail takes when nothing of it is cut."""
    return len(outline(cleaned(message.document))) / BODY_MAX_CHARS


def _mail(message: Message, document: Document, mailbox: str, mail_from: str, attempt: int) -> EmailMessage:
    """One way to write the mail; another `attempt`, another encoding and other ids."""
    sender, receiver = _address(mail_from, SENDER), _address(mailbox, BAD_MAILBOX)
    domain = sender.domain
    mail = EmailMessage(policy=SMTP.clone(utf8=not (sender.addr_spec + receiver.addr_spec).isascii()))
    # A title that is written as an encoded word would be decoded by the reader, line breaks included.
    mail["Subject"] = cut(document.heading().replace("=?", "= ?"), SUBJECT_CHARS) + " " * (attempt // 4)
    mail["From"] = sender
    mail["To"] = receiver
    mail["Date"] = format_datetime(message.now)
    mail["Message-ID"] = f"<{_letters(f'{message.key}/{attempt}' if attempt else message.key)}@{domain}>"
    if message.thread:
        root = f"<thread.{_letters(message.thread)}@{domain}>"
        mail["In-Reply-To"] = root
        mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"
    plain = f"{document.heading()}\n\n{outline(document)}\n"
    mail.set_content(plain, cte=_encoding(plain, attempt))
    if message.plain:
        return mail
    page = html(document)
    mail.add_alternative(page, subtype="html", cte=_encoding(page, attempt))
    mail.set_boundary("=_" + _letters(f"{message.key}/{attempt}/boundary"))
    return mail


def _encoding(text: str, attempt: int) -> str:
    """As it is where that is allowed, so that nothing in it is torn into two lines."""
    if attempt % 2:
        return "base64"
    return "7bit" if text.isascii() and max(map(len, text.split("\n"))) < 900 else "quoted-printable"


def _source(mail: EmailMessage) -> str:
    """The mail as it goes over the wire, without the lines of its addresses."""
    lines = mail.as_bytes().decode("utf-8", "replace").split("\r\n")
    return "\n".join(line for line in lines if not line.lower().startswith(("to:", "from:")))


def _letters(text: str) -> str:
    """A hash of the text, written with letters only."""
    return hashlib.sha256(text.encode()).hexdigest().translate(str.maketrans("0123456789", "ghijklmnop"))[:40]


def _address(text: str, refused: Refusal) -> Address:
    """A mailbox, perhaps with a name before it; the domain as DNS writes it. Raises what it is `refused` with."""
    name, address = parseaddr(text.strip())
    local, at, domain = address.rpartition("@")
    try:
        if not at or not local or any(ch in text for ch in "\r\n\x00"):
            raise ValueError
        return Address(name, local, domain.encode("idna").decode("ascii"))
    except (ValueError, IndexError):
        raise refused.error() from None


def html(document: Document) -> str:
    """A cleaned document as a small page: every string escaped, styles inline, nothing fetched from anywhere."""
    colour = COLOURS[document.tone]
    parts = "".join(part for block in document.blocks for part in _html(block))
    links = "".join(
        f'<a href="{escape(link.url)}" style="display:inline-block;margin:0 12px 8px 0">{escape(str(link.label))}</a>'
        for link in document.links
        if safe_url(link.url)
    )
    footer = f'<p style="color:gray;font-size:12px">{escape(str(document.footer))}</p>' if document.footer else ""
    return (
        '<!DOCTYPE html>\n<html><body style="font-family:sans-serif;font-size:15px;line-height:1.5">\n'
        f'<div style="max-width:640px;border-left:6px solid {colour};padding:4px 16px">\n'
        f'<h2 style="margin:4px 0 12px;font-size:18px;color:{colour}">{escape(document.heading())}</h2>\n'
        f"{parts}{links}{footer}</div>\n</body></html>\n"
    )


def _html(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield f'<p style="white-space:pre-wrap;margin:8px 0">{escape(str(text))}</p>\n'
        case Facts(pairs):
            rows = "".join(
                f'<tr><td style="padding:2px 14px 2px 0;color:gray;vertical-align:top">{escape(str(label))}</td>'
                f'<td style="padding:2px 0;white-space:pre-wrap">{escape(str(value))}</td></tr>\n'
                for label, value in pairs
            )
            yield f'<table style="border-collapse:collapse;margin:8px 0">\n{rows}</table>\n'
        case Items(items, ordered):
            tag = "ol" if ordered else "ul"
            yield f"<{tag}>" + "".join(f"<li>{escape(str(item))}</li>\n" for item in items) + f"</{tag}>\n"
        case Table(header, rows_):
            cell = 'style="border:1px solid silver;padding:3px 10px;text-align:left"'
            head = "".join(f"<th {cell}>{escape(str(text))}</th>" for text in header)
            body = "".join(
                "<tr>" + "".join(f"<td {cell}>{escape(str(text))}</td>" for text in row) + "</tr>\n" for row in rows_
            )
            yield f'<table style="border-collapse:collapse;margin:8px 0">\n<tr>{head}</tr>\n{body}</table>\n'
        case Examples(commands):
            for command in commands:
                yield f'<pre style="margin:4px 0;padding:6px 10px;background:whitesmoke">{escape(str(command))}</pre>\n'


def refusal(code: int, said: bytes | str, *, recipient: bool = False) -> DeliveryError:
    """The error for an SMTP reply: 4xx is temporary, 5xx permanent (RFC 5321, 4.2.1).

    What it is about is told best by the status code in its text (RFC 3463): x.1.y the address, x.2.y the mailbox,
    x.3.4 and x.2.3 the size, x.7.y a policy. `recipient`: it answered the address of the mailbox, so that a permanent
    one without such a code means the mailbox itself.
    """
    text = said.decode("ascii", "replace") if isinstance(said, bytes) else said
    found = STATUS.search(text)
    status = f"{found[1]}.{found[2]}" if found else ""
    if code < 500:
        if status == "2.2":
            return FULL_FOR_NOW.error()
        return LATER.error() if status == "7.1" or "greylist" in text.lower() else BUSY.error()
    if status in ("3.4", "2.3"):
        return TOO_LARGE.error()
    if status == "2.2" or (code == 552 and not status):
        return FULL.error()
    if status in ("1.7", "1.8"):
        return SENDER.error()
    if status in NO_SUCH_MAILBOX or (recipient and code in (550, 551, 553) and not status.startswith("7.")):
        return BAD_MAILBOX.error()
    return REFUSED.error()


def send(message: Message, target: Target, outside: Outside) -> Receipt:
    mail = card(message, target.address, outside.mail_from)
    sender = _address(outside.mail_from, SENDER).addr_spec
    mailbox = _address(target.address, BAD_MAILBOX).addr_spec
    smtp: smtplib.SMTP | None = None
    handed_over = False
    try:
        smtp = _connected(outside.smtp_url)
        options: list[str] = []
        if not (sender + mailbox).isascii():
            if not smtp.has_extn("smtputf8"):
                if mailbox.isascii():
                    raise SENDER.error()
                raise DeliveryError("alphabet", ALPHABET, permanent=True, disables=True)
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        raw = mail.as_bytes()
        if smtp.has_extn("size"):
            options.append(f"SIZE={len(raw)}")
        _expect(smtp.mail(sender, options), SENDER)
        code, said = smtp.rcpt(mailbox)
        if code not in (250, 251):
            raise refusal(code, said, recipient=True)
        handed_over = True
        code, said = smtp.data(raw)
        if code != 250:
            raise refusal(code, said)
    except smtplib.SMTPAuthenticationError as error:
        raise (LOGIN if error.smtp_code >= 500 else BUSY).error() from None
    except smtplib.SMTPResponseException as error:
        raise refusal(error.smtp_code, error.smtp_error) from None
    except ssl.SSLCertVerificationError:
        raise UNTRUSTED.error() from None
    except (smtplib.SMTPException, OSError, ValueError):
        if handed_over:
            say = _("The mail server did not answer in time; the mail may have arrived.")
            raise DeliveryError("no_answer", say, permanent=False, unknown=True) from None
        raise UNREACHABLE.error() from None
    finally:
        if smtp is not None:
            _leave(smtp)
    return Receipt(str(mail["Message-ID"]))


def _leave(smtp: smtplib.SMTP) -> None:
    """Says goodbye. What happens now no longer matters: the mail was taken or refused before."""
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


def _expect(reply: tuple[int, bytes], refused: Refusal) -> None:
    code, said = reply
    if code == 250:
        return
    error = refusal(code, said)
    raise refused.error() if error.permanent and error.reason != TOO_LARGE.reason else error


@cache
def _trust() -> ssl.SSLContext:
    """Kept, because reading all those authorities takes longer than everything else about a mail."""
    return ssl.create_default_context()


def _connected(url: str) -> smtplib.SMTP:
    """A connection that has said hello, is encrypted if the URL says so, and logged in if it has a user.

    `smtp://user:password@host:port?starttls=1` or `smtps://…`; user and password are percent-encoded.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    hello = socket.gethostname()  # the library's own choice needs a look-up, which can take long where there is none
    smtp: smtplib.SMTP
    if parts.scheme == "smtps":
        smtp = smtplib.SMTP_SSL(host, parts.port or 465, hello, timeout=TIMEOUT_S, context=_trust())
    else:
        smtp = smtplib.SMTP(host, parts.port or 25, hello, timeout=TIMEOUT_S)
    try:
        smtp.ehlo_or_helo_if_needed()
        if dict(parse_qsl(parts.query)).get("starttls", "0") not in ("0", "false", "no"):
            smtp.starttls(context=_trust())
            smtp.ehlo()
        if parts.username:
            smtp.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        smtp.close()
        raise
    return smtp


def missing(outside: Outside) -> tuple[str, ...]:
    settings = {"SMTP_URL": outside.smtp_url, "MAIL_FROM": outside.mail_from}
    return tuple(name for name, value in settings.items() if not value)


CHANNEL = Channel("email", send, budgets=(Throttle(30, 60.0),), missing=missing, fill=fill)

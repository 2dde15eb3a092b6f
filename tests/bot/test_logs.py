"""The log: its form, and above all what never gets into it."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot import logs

ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def text(characters: str, low: int, high: int) -> st.SearchStrategy[str]:
    return st.text(characters, min_size=low, max_size=high)


def long_enough(characters: str = ALNUM, low: int = 12, high: int = 64) -> st.SearchStrategy[str]:
    return text(characters, low, high)


digits = "0123456789"
phones = text(digits, 8, 8).map(lambda rest: "138" + rest)
codes = text(digits, 6, 6)
SECRETS: dict[str, tuple[st.SearchStrategy[str], str]] = {
    "access token in a URL": (long_enough(), "posting to https://oapi.dingtalk.com/robot/send?access_token={}"),
    "access token without host": (long_enough(), "url: /robot/send?access_token={} (Caused by X)"),
    "signature": (long_enough(ALNUM + "+/=%"), "sent with timestamp=1700000000000&sign={}"),
    "WeCom key": (long_enough(ALNUM + "-"), "POST /cgi-bin/webhook/send?key={} HTTP/1.1"),
    "WeCom app token": (long_enough(ALNUM + "-_"), "GET /cgi-bin/message/send?debug=1&access_token={}"),
    "Lark hook": (long_enough(ALNUM + "-"), "https://open.feishu.cn/open-apis/bot/v2/hook/{} refused"),
    "Lark hook without host": (long_enough(ALNUM + "-"), "/open-apis/bot/v2/hook/{} refused"),
    "Slack hook": (long_enough(), "https://hooks.slack.com/services/T0001/B0001/{}"),
    "Slack hook without host": (long_enough(), "with url: /services/T0001/B0001/{}"),
    "ARMS key": (long_enough(ALNUM + "-"), "https://alerts.aliyuncs.com/api/v1/integrations/custom/{}"),
    "session webhook": (long_enough(), "https://oapi.dingtalk.com/robot/sendBySession?session={}"),
    "session webhook as a field of a body": (long_enough(), '{{"sessionWebhook": "https://x.example/{}"}}'),
    "alert source": (long_enough(ALNUM + "-_"), "POST /alerts/grafana/{} 401"),
    "receipt URL": (long_enough(ALNUM + "-_"), "POST /receipts/sms/{} 200"),
    "robot secret": (long_enough().map(lambda s: "SEC" + s), "the secret {} was given"),
    "Slack bot token": (long_enough(ALNUM + "-").map(lambda s: "xoxb-" + s), "with {} as token"),
    "Slack app token": (long_enough(ALNUM + "-").map(lambda s: "xapp-1-" + s), "with {} as token"),
    "bearer": (long_enough(ALNUM + "-._~+/="), "headers Authorization: Bearer {}"),
    "authorization in a dict": (long_enough(ALNUM + "-._~+/="), "{{'Authorization': 'Bearer {}', 'Accept': '*/*'}}"),
    "basic": (long_enough(ALNUM + "+/="), '"authorization": "Basic {}"'),
    "Alibaba signature": (
        long_enough("0123456789abcdef"),
        "Authorization: ACS3-HMAC-SHA256 Credential=LTAIxxxxxxxxxxxx,SignedHeaders=host,Signature={}",
    ),
    "access key id": (long_enough().map(lambda s: "LTAI" + s), "key id {} is unknown"),
    "password in a URL": (long_enough(), "smtp://robot:{}@mail.example.com:587?starttls=1"),
    "password of the database": (long_enough(), "postgresql+psycopg://callboard:{}@db/callboard"),
    "token in JSON": (long_enough(ALNUM + "-_"), '{{"accessToken": "{}", "expireIn": 7200}}'),
    "token in escaped JSON": (long_enough(ALNUM + "-_"), 'body="{{\\"access_token\\": \\"{}\\"}}"'),
    "token in a dict": (long_enough(ALNUM + "-_ "), "{{'tenant_access_token': '{}', 'expire': 7200}}"),
    "token in cut JSON": (long_enough(ALNUM + "-_"), '{{"ticket": "{}'),
    "app secret": (long_enough(), "appSecret={}, appKey=dingapp01"),
    "encrypted value": (text(ALNUM + "-_", 60, 120).map(lambda s: "gAAAAA" + s), "row with {}"),
    "random key": (text("abcdef0123456789", 40, 64).filter(lambda s: not s.isalpha()), "saw {} twice"),
    "six digits": (codes, "the code {} was tried"),
    "six digits in Chinese": (codes, "验证码{}，十分钟内有效"),
    "six digits after a word": (codes, "code={}"),
    "mobile": (phones, "sending to {}"),
    "mobile in Chinese": (phones, "手机号{}无效"),
    "E.164": (phones.map(lambda p: "+86" + p), "sending to {}"),
    "E.164 abroad": (text(digits, 9, 9).map(lambda p: "+447" + p), "sending to {} failed"),
    "mobile with blanks": (phones.map(lambda p: f"+86 {p[:3]} {p[3:7]} {p[7:]}"), "sending to {}"),
    "mobile with dashes": (phones.map(lambda p: f"{p[:3]}-{p[3:7]}-{p[7:]}"), "sending to {}"),
    "mailbox": (
        text(ALNUM + "._+-", 4, 30).filter(lambda s: s[0].isalnum()).map(lambda s: s + "@example.com"),
        "to <{}>",
    ),
    "mailbox in Chinese": (text("张伟数据库运维", 4, 10).map(lambda s: s + "@example.com"), "发给{} 失败"),
}
MASKED = ("mobile", "E.164", "mailbox")


def written(write: Callable[[logging.Logger], None], formatter: logging.Formatter) -> str:
    """What a logger with that formatter puts out."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("bot.test")
    logger.addHandler(handler)
    write(logger)
    return stream.getvalue()


def one_line(write: Callable[[logging.Logger], None], *known: str) -> dict[str, Any]:
    lines = written(write, logs.JsonLines(known)).splitlines()
    assert len(lines) == 1
    entry: dict[str, Any] = json.loads(lines[0])
    return entry


def fail(message: str) -> None:
    try:
        raise ValueError("while " + message)
    except ValueError as error:
        raise RuntimeError(message) from error


def log_everywhere(logger: logging.Logger, message: str) -> None:
    """The same text as message, argument, field, part of a field, key of a field, and inside a chain of exceptions."""
    logger.info(message.replace("%", "%%"))
    logger.info("%s", message)
    logger.info("sent", extra={"detail": message, "body": {"inner": [message], message: 1}, "seen": (message,)})
    try:
        fail(message)
    except RuntimeError:
        logger.exception("failed: %r", message)


@pytest.mark.parametrize("kind", SECRETS)
@settings(max_examples=15)
@given(data=st.data())
def test_nothing_of_a_secret_is_written(kind: str, data: st.DataObject) -> None:
    strategy, sentence = SECRETS[kind]
    secret = data.draw(strategy)
    for formatter in (logs.JsonLines(), logs.Readable()):
        plain = written(lambda logger: log_everywhere(logger, sentence.format("")), formatter)
        assume(secret not in plain)  # "authorization" may be drawn, and is there anyway
        out = written(lambda logger: log_everywhere(logger, sentence.format(secret)), formatter)
        assert secret not in out
        if kind.startswith(MASKED):
            continue
        # Neither is a piece of it that would help.
        pieces = {secret[i : i + 8] for i in range(max(1, len(secret) - 7))} if len(secret) > 8 else {secret}
        assert not [piece for piece in pieces if piece in out and piece not in plain]


@pytest.mark.parametrize(
    ("secret", "said", "written_down"),
    [
        ("xy", "the proxy", "the proxy"),
        ("xy", "xy is the secret", "xy is the secret"),
        ("mail", "e-mail", "e-[hidden]"),
        ("hunt7", "smtp%3A%2F%2Fu%3Ahunt7%40h", "smtp%3A%2F%2Fu%3A[hidden]%40h"),
        ("hunt7", "b'535 bad\\nhunt7'", "b'535 bad\\n[hidden]'"),
        ("(a+)", "not (a+) but (a+)b", "not [hidden] but [hidden]b"),
    ],
)
def test_a_secret_is_hidden_wherever_it_stands_unless_it_is_very_short(
    secret: str, said: str, written_down: str
) -> None:
    """One of two characters is in every sentence by chance: to hide it would tell of it."""
    assert logs.redact(said, (secret,)) == written_down
    assert one_line(lambda logger: logger.info("%s", said), secret)["event"] == written_down


@given(
    secret=st.text(min_size=4, max_size=60).filter(lambda s: s.strip() == s and s.isprintable()),
    around=st.text(max_size=20),
)
def test_the_values_of_our_own_settings_are_hidden_whatever_they_look_like(secret: str, around: str) -> None:
    out = logs.redact(f"{around}{secret}{around}", (secret,))
    assert secret not in out or secret in logs.HIDDEN or secret in around


def test_a_setting_that_is_empty_hides_nothing() -> None:
    assert logs.redact("all is well", ("",)) == "all is well"
    assert one_line(lambda logger: logger.info("all is well"), "", "a")["event"] == "all is well"


@given(st.text(max_size=300))
def test_any_text_can_be_logged_as_one_line_of_json(message: str) -> None:
    def write(logger: logging.Logger) -> None:
        logger.info("%s", message, extra={"detail": message})

    assert isinstance(one_line(write)["event"], str)
    assert len(written(write, logs.Readable()).splitlines()) == 1


@pytest.mark.parametrize(
    ("said", "written_down"),
    [
        ("to 13800138000", "to 138****8000"),
        ("to +8613800138000", "to 138****8000"),
        ("to zhangwei@example.com", "to z***@example.com"),
        ("the code 123456 is old", "the code ****** is old"),
        ("POST https://oapi.dingtalk.com/robot/send?access_token=abc", "POST https://oapi.dingtalk.com/…"),
        ("at http://127.0.0.1:8000", "at http://127.0.0.1:8000"),
        ("smtps://user:pw@mail.example.com", "smtps://mail.example.com"),
        ("alert #42 took 1.2345 s at 1700000000000", "alert #42 took 1.2345 s at 1700000000000"),
        ("File /usr/lib/python3.11/json/decoder.py line 355", "File /usr/lib/python3.11/json/decoder.py line 355"),
        ("rate limited, 18 in 61 s, lane 1234567", "rate limited, 18 in 61 s, lane 1234567"),
        ("slack:T0001/U0001 said help", "slack:T0001/U0001 said help"),
    ],
)
def test_what_helps_stays(said: str, written_down: str) -> None:
    assert logs.redact(said) == written_down


def test_a_line_has_time_level_logger_event_and_fields() -> None:
    entry = one_line(lambda logger: logger.warning("lane %d waits", 7, extra={"channel": "dingtalk", "wait_s": 1.5}))
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "logger": "bot.test",
        "event": "lane 7 waits",
        "channel": "dingtalk",
        "wait_s": 1.5,
    }


def test_fields_with_telling_names_are_hidden_whole() -> None:
    names = (
        "token",
        "access_token",
        "secret",
        "password",
        "sessionWebhook",
        "Authorization",
        "code",
        "sign",
        "signing_secret",
    )
    entry = one_line(lambda logger: logger.info("x", extra=dict.fromkeys(names, "short")))
    assert {entry[name] for name in names} == {logs.HIDDEN}


def test_a_number_as_long_as_a_telephone_number_is_treated_as_one() -> None:
    entry = one_line(lambda logger: logger.info("x", extra={"to": 13800138000, "count": 1000000}))
    assert entry["to"] == "138****8000"
    assert entry["count"] == 1000000


def test_a_field_cannot_pose_as_the_time_or_level_of_its_line() -> None:
    entry = one_line(lambda logger: logger.info("x", extra={"level": "critical", "event": "forged"}))
    assert (entry["level"], entry["event"]) == ("info", "x")


def test_an_exception_is_part_of_its_line() -> None:
    def write(logger: logging.Logger) -> None:
        try:
            fail("on purpose")
        except RuntimeError:
            logger.exception("it failed")

    entry = one_line(write)
    assert "ValueError: while on purpose" in entry["exception"]
    assert entry["exception"].endswith("RuntimeError: on purpose")


def test_a_wrong_format_string_costs_no_line() -> None:
    assert one_line(lambda logger: logger.info("%d alerts", "many"))["event"] == "%d alerts"


def test_for_a_person_a_line_is_readable_and_cannot_be_forged() -> None:
    out = written(
        lambda logger: logger.info("said %s", "hi\n12:00:00 INFO bot: forged\x1b[2J", extra={"n": 1}), logs.Readable()
    )
    assert out.count("\n") == 1
    assert "\x1b" not in out
    assert " INFO    bot.test: said hi\\n12:00:00" in out
    assert out.endswith(" n=1\n")


def test_a_very_long_text_is_cut_in_the_middle_and_quickly() -> None:
    begun = time.process_time()
    for filler in ("a", "1", "a_", "@", "+1 ", "token", "https://", "key=", "\\"):
        entry = one_line(lambda logger, f=filler: logger.info("first %s last", f * 20_000))  # type: ignore[misc]  # bound
        assert entry["event"].startswith("first ")
        assert entry["event"].endswith(" last") or filler in ("https://", "key=", "token", "\\", "a_", "1", "a")
        assert len(entry["event"]) < logs.MAX_TEXT + 10
    assert time.process_time() - begun < 10


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    yield
    root.handlers[:] = before
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("_logging_as_before")
def test_a_terminal_gets_readable_lines_and_a_pipe_gets_json() -> None:
    for stream, first in ((Terminal(), "0123456789"), (io.StringIO(), "{")):
        logs.configure(stream=stream)
        logging.getLogger("bot.web").info("alert accepted", extra={"number": 42})
        assert stream.getvalue()[0] in first


@pytest.mark.usefixtures("_logging_as_before")
def test_libraries_are_heard_only_from_their_level_even_when_they_turn_themselves_up() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    for name in (*logs.QUIET, "dingtalk_stream.client", "urllib3.connectionpool"):
        chatty = logging.getLogger(name)
        before = chatty.level
        chatty.setLevel(logging.DEBUG)
        chatty.info("chatter of %s", name)
        chatty.error("trouble in %s", name)
        chatty.setLevel(before)
    assert "chatter" not in stream.getvalue()
    assert stream.getvalue().count("trouble") == len(logs.QUIET) + 2


@pytest.mark.usefixtures("_logging_as_before")
def test_uncaught_exceptions_are_logged_without_secrets() -> None:
    stream = io.StringIO()
    logs.configure(("my own secret",), stream=stream)
    try:
        fail("my own secret is https://hooks.slack.com/services/T1/B1/abcdefgh")
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
        threading.excepthook(
            threading.ExceptHookArgs((RuntimeError, error, error.__traceback__, threading.current_thread()))
        )
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["critical", "critical"]
    assert lines[1]["thread_name"] == threading.current_thread().name
    assert "my own secret" not in stream.getvalue()
    assert "abcdefgh" not in stream.getvalue()

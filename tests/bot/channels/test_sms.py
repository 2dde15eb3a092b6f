"""SMS: the template's variables, the numbers, and what happens when the answer is lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bot.aliyun import verify
from bot.channels import sms
from bot.channels.contract import Outside, Target
from handlers.errors import DeliveryError
from tests.bot.channels.loopback import Loopback, Says, Seen
from tests.bot.channels.messages import ALERT, message

TARGET = Target("+8613900000000")
TAKEN = Says({"Code": "OK", "Message": "OK", "BizId": "9006197469364984^0"})


def test_a_code_goes_out_signed_with_the_one_variable(server: Loopback, outside: Outside) -> None:
    server.answer = TAKEN
    receipt = sms.send(message(kind="code", code="012345"), TARGET, outside)
    assert receipt.reference == "9006197469364984^0"
    seen = server.seen[0]
    assert seen.params == {
        "PhoneNumbers": "13900000000",
        "SignName": "示例",
        "TemplateCode": "SMS_1",
        "TemplateParam": '{"code": "012345"}',
        "OutId": "d-42-1",
    }
    assert (seen.headers["x-acs-action"], seen.headers["x-acs-version"]) == ("SendSms", "2017-05-25")
    assert verify(seen.method, seen.path, seen.query, seen.headers, seen.body, "secret-of-the-key")


def test_an_alert_goes_out_with_short_variables(server: Loopback, outside: Outside) -> None:
    server.answer = TAKEN
    sms.send(message(), TARGET, outside)
    assert server.seen[0].params["TemplateCode"] == "SMS_2"
    assert json.loads(server.seen[0].params["TemplateParam"]) == {
        "name": "disk 93% full",
        "level": "CRITICAL",
        "instance": "db-7",
        "time": "11-14 22:13",
        "group": "DBA",
        "id": "42",
    }


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("", "-"),
        ("  \n ", "-"),
        ("disk\nfull", "disk full"),
        ("x" * 36, "x" * 34 + "…"),
        ("告" * 36, "告" * 34 + "…"),
        ("x" * 35, "x" * 35),
        ("10.0.0.1 down", "10-0-0-1 down"),
        ("db.example.com:3306", "db-example-com:3306"),
        ("CPU 97.39% > 90", "CPU 97.39% > 90"),
        ("see https://x.example/a?b=1 now", "see … now"),
        ("www.example.com", "…"),
        ("call 13800138000", "call …8000"),
        ("【VIP】", "[VIP]"),
    ],
)
def test_values_are_short_and_hold_no_addresses(text: str, variable: str) -> None:
    assert sms.short(text) == variable


def test_every_variable_is_a_string_with_something_in_it() -> None:
    variables = sms.card(message(alert=replace(ALERT, labels={}), number=None, group=""))
    assert all(isinstance(value, str) and 1 <= len(value) <= 35 for value in variables.values())
    assert sms.card(message(alert=None))["name"] == "disk 93% full"


@pytest.mark.parametrize(
    ("e164", "number"),
    [("+8613900000000", "13900000000"), ("+85212345678", "85212345678"), ("+14155552671", "14155552671")],
)
def test_numbers_as_the_service_wants_them(e164: str, number: str) -> None:
    assert sms.number(e164) == number


@pytest.mark.parametrize("found", [True, False])
def test_a_lost_answer_is_looked_up_once(found: bool, server: Loopback, outside: Outside) -> None:
    def answer(seen: Seen) -> Says:
        if seen.headers["x-acs-action"] == "SendSms":
            return Says(drop=True)
        rows = [{"OutId": "another"}, {"OutId": "d-42-1" if found else "d-41-1"}]
        return Says({"Code": "OK", "SmsSendDetailDTOs": {"SmsSendDetailDTO": rows}})

    server.answer = answer
    if found:
        sms.send(message(), TARGET, outside)
    else:
        with pytest.raises(DeliveryError) as caught:
            sms.send(message(), TARGET, outside)
        assert caught.value.unknown
    assert [seen.headers["x-acs-action"] for seen in server.seen] == ["SendSms", "QuerySendDetails"]
    assert server.seen[1].params["SendDate"] == "20231115"  # it is already the next day in China


@pytest.mark.parametrize("answer", [Says({"SmsSendDetailDTOs": None}), Says("[]"), Says("<html>"), Says({})])
def test_a_strange_look_up_changes_nothing(answer: Says, server: Loopback, outside: Outside) -> None:
    server.answer = lambda seen: Says(drop=True) if seen.headers["x-acs-action"] == "SendSms" else answer
    with pytest.raises(DeliveryError) as caught:
        sms.send(message(), TARGET, outside)
    assert caught.value.unknown


def test_without_an_alert_template_alerts_say_what_is_missing(server: Loopback, outside: Outside) -> None:
    with pytest.raises(DeliveryError, match="SMS_TEMPLATE_ALERT") as caught:
        sms.send(message(), TARGET, replace(outside, sms_template_alert=""))
    assert caught.value.permanent
    assert server.seen == []

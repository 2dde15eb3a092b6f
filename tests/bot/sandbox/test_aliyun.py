"""SMS: signatures are checked as the vendor's SDK makes them, and frequency limits answer with their real words."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_dysmsapi20170525.models import QuerySendDetailsRequest, SendSmsRequest
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config

from bot.sandbox.aliyun import acs3_signature, e164
from bot.sandbox.cloudmonitor import CmsContact
from bot.sandbox.server import SMS_SIGNATURE, StandIns
from bot.sandbox.wire import Request
from bot.sandbox.world import Refused, World
from tests.bot.sandbox.conftest import NOW, Clock

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
PHONE = "+8613900000000"


def parameters(**changes: str) -> dict[str, str]:
    return {
        "PhoneNumbers": "13900000000",
        "SignName": SMS_SIGNATURE,
        "TemplateCode": "SMS_CODE",
        "TemplateParam": '{"code":"123456"}',
        **changes,
    }


def signed(
    url: str,
    query: dict[str, str],
    clock: Callable[[], float],
    *,
    action: str = "SendSms",
    version: str = "2017-05-25",
    key: str = "LTAIkey",
    secret: str = "key secret",
    nonce: str = "",
    leave_out: str = "",
    change: dict[str, str] | None = None,
) -> requests.Response:
    """One call; what is not said is right. `leave_out` is a header that is sent but not signed."""
    target = f"/?{urlencode(query)}"
    headers = {
        "host": url.removeprefix("http://"),
        "x-acs-action": action,
        "x-acs-version": version,
        "x-acs-date": f"{datetime.fromtimestamp(clock(), UTC):%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": nonce or f"n{next(NONCES)}",
        "x-acs-content-sha256": EMPTY_SHA256,
    }
    names = sorted(set(headers) - {leave_out})
    signature = acs3_signature(Request("POST", target, headers, b""), names, secret)
    headers["Authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={key},SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return requests.post(url + target, headers={**headers, **(change or {})}, timeout=5)


NONCES = iter(range(1_000_000))


def test_a_signature_computed_by_hand_matches() -> None:
    """Made with openssl from the specification, step by step; no code of ours took part."""
    headers = {"host": "dysmsapi.aliyuncs.com", "x-acs-action": "SendSms"}
    request = Request("POST", "/?b=2&a=%E5%80%BC+x", headers, b"")
    want = "b66b0989837483ba09cbff488fe81bd85428c0252ece87660f970aadc272352d"
    assert acs3_signature(request, ["host", "x-acs-action"], "secret") == want


@pytest.fixture
def sdk(world: World, stand_ins: StandIns, clock: Clock) -> Any:
    """The vendor's client. It signs with the real time, so the world's clock goes there."""
    clock.now = datetime.now(UTC).timestamp()
    host = stand_ins.url.removeprefix("http://")
    config = Config(access_key_id="LTAIkey", access_key_secret="key secret", endpoint=host, protocol="http")
    return Client(config)


def test_the_vendor_s_client_is_understood(sdk: Any, stand_ins: StandIns, world: World) -> None:
    request = SendSmsRequest(
        phone_numbers="+8613900000000",
        sign_name=SMS_SIGNATURE,
        template_code="SMS_CODE",
        template_param='{"code": "012 345"}'.replace(" ", ""),
        out_id="vc 1+值~*",
    )
    body = sdk.send_sms(request).body
    assert (body.code, body.message) == ("OK", "OK")
    (sms,) = world.sms(PHONE)
    assert sms.body["text"] == "【Callboard】您的验证码为012345，10分钟内有效，请勿告诉他人。"
    assert sms.body["out_id"] == "vc 1+值~*"

    day = f"{datetime.fromtimestamp(sms.at + 8 * 3600, UTC):%Y%m%d}"
    query = QuerySendDetailsRequest(phone_number="13900000000", send_date=day, page_size=10, current_page=1)
    found = sdk.query_send_details(query).body
    assert found.total_count == "1"
    detail = found.sms_send_detail_dtos.sms_send_detail_dto[0]
    assert (detail.send_status, detail.err_code, detail.out_id) == (3, "DELIVERED", "vc 1+值~*")


def test_the_vendor_s_client_with_a_wrong_secret_is_refused(stand_ins: StandIns, sdk: Any) -> None:
    host = stand_ins.url.removeprefix("http://")
    wrong = Client(Config(access_key_id="LTAIkey", access_key_secret="wrong", endpoint=host, protocol="http"))
    with pytest.raises(ClientException) as caught:
        wrong.send_sms(SendSmsRequest(phone_numbers="13900000000"))
    assert caught.value.code == "SignatureDoesNotMatch"


def later(seconds: float) -> Callable[[], float]:
    return lambda: NOW + seconds


CALLS: list[tuple[str, dict[str, Any], int, str]] = [
    ("right", {}, 200, "OK"),
    ("unknown key", {"key": "LTAIother"}, 404, "InvalidAccessKeyId.NotFound"),
    ("wrong secret", {"secret": "wrong"}, 400, "SignatureDoesNotMatch"),
    ("host not signed", {"leave_out": "host"}, 400, "IncompleteSignature"),
    ("action not signed", {"leave_out": "x-acs-action"}, 400, "IncompleteSignature"),
    ("changed after signing", {"change": {"x-acs-signature-nonce": "other"}}, 400, "SignatureDoesNotMatch"),
    ("another header not signed", {"change": {"x-acs-security-token": "t"}}, 400, "IncompleteSignature"),
    ("another body", {"change": {"x-acs-content-sha256": "0" * 64}}, 400, "InvalidContentSha256"),
    ("no signature", {"change": {"Authorization": "Bearer x"}}, 400, "IncompleteSignature"),
    ("fifteen minutes late", {"clock": later(-900)}, 200, "OK"),
    ("a second more", {"clock": later(-901)}, 400, "InvalidTimeStamp.Expired"),
    ("from the future", {"clock": later(901)}, 400, "InvalidTimeStamp.Expired"),
    ("date in another form", {"change": {"x-acs-date": "Mon, 23 Nov 2026"}}, 400, "InvalidTimeStamp.Format"),
    ("another version", {"version": "2018-05-01"}, 400, "InvalidVersion"),
    ("unknown action", {"action": "SendFax"}, 404, "InvalidAction.NotFound"),
]


@pytest.mark.parametrize(("name", "call", "status", "code"), CALLS, ids=[row[0] for row in CALLS])
def test_calls(
    name: str, call: dict[str, Any], status: int, code: str, stand_ins: StandIns, world: World, clock: Clock
) -> None:
    answer = signed(stand_ins.url, parameters(), **{"clock": clock, **call})
    assert (answer.status_code, answer.json()["Code"]) == (status, code)
    assert len(world.sms(PHONE)) == (1 if code == "OK" else 0)


def test_a_changed_parameter_breaks_the_signature(stand_ins: StandIns, clock: Clock) -> None:
    first = signed(stand_ins.url, parameters(), clock)
    headers = dict(first.request.headers)
    changed = str(first.request.url).replace("13900000000", "13900000001")
    assert requests.post(changed, headers=headers, timeout=5).json()["Code"] == "SignatureDoesNotMatch"
    again = requests.post(str(first.request.url), headers=headers, timeout=5)
    assert again.json()["Code"] == "SignatureNonceUsed"


MESSAGES: list[tuple[str, dict[str, str], str]] = [
    ("good", {}, "OK"),
    ("good, other variable name", {"TemplateParam": '{"c":"123456"}'}, "OK"),
    ("good, abroad", {"PhoneNumbers": "85212345678"}, "OK"),
    ("abroad with plus", {"PhoneNumbers": "+85212345678"}, "isv.MOBILE_NUMBER_ILLEGAL"),
    ("too short", {"PhoneNumbers": "139000"}, "isv.MOBILE_NUMBER_ILLEGAL"),
    ("mainland landline", {"PhoneNumbers": "861012345678"}, "isv.MOBILE_NUMBER_ILLEGAL"),
    ("no number", {"PhoneNumbers": ""}, "MissingPhoneNumbers"),
    ("two numbers for a code", {"PhoneNumbers": "13900000000,13900000001"}, "isv.MOBILE_COUNT_OVER_LIMIT"),
    ("unknown signature", {"SignName": "x"}, "isv.SMS_SIGNATURE_ILLEGAL"),
    ("unknown template", {"TemplateCode": "x"}, "isv.SMS_TEMPLATE_ILLEGAL"),
    ("code as a number", {"TemplateParam": '{"code":123456}'}, "isv.INVALID_JSON_PARAM"),
    ("no JSON", {"TemplateParam": "123456"}, "isv.INVALID_JSON_PARAM"),
    ("two variables", {"TemplateParam": '{"code":"123456","name":"x"}'}, "isv.TEMPLATE_PARAMS_ILLEGAL"),
    ("no variable", {"TemplateParam": "{}"}, "isv.TEMPLATE_PARAMS_ILLEGAL"),
    ("long code", {"TemplateParam": '{"code":"1234567"}'}, "isv.TEMPLATE_PARAMS_ILLEGAL"),
    ("code with words", {"TemplateParam": '{"code":"是1234"}'}, "isv.TEMPLATE_PARAMS_ILLEGAL"),
    ("notice", {"TemplateCode": "SMS_ALERT", "TemplateParam": '{"name":"disk full","id":"42"}'}, "OK"),
    ("notice of 36", {"TemplateCode": "SMS_ALERT", "TemplateParam": json.dumps({"a": "x" * 36})}, "isv.PARAM_LENGTH_LIMIT"),
    ("notice, empty value", {"TemplateCode": "SMS_ALERT", "TemplateParam": '{"a":""}'}, "isv.PARAM_LENGTH_LIMIT"),
    ("notice, URL", {"TemplateCode": "SMS_ALERT", "TemplateParam": '{"a":"http://x"}'}, "isv.PARAM_NOT_SUPPORT_URL"),
    ("notice, domain", {"TemplateCode": "SMS_ALERT", "TemplateParam": '{"a":"db.x.com"}'}, "isv.PARAM_NOT_SUPPORT_URL"),
    ("long OutId", {"OutId": "x" * 256}, "isv.PARAM_LENGTH_LIMIT"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "code"), MESSAGES, ids=[row[0] for row in MESSAGES])
def test_messages(
    name: str, changes: dict[str, str], code: str, stand_ins: StandIns, world: World, clock: Clock
) -> None:
    answer = signed(stand_ins.url, parameters(**changes), clock)
    assert answer.status_code == (400 if code.startswith("Missing") else 200)
    assert answer.json()["Code"] == code
    assert ("BizId" in answer.json()) is (code == "OK")
    assert len([event for event in world.events if event.kind == "sms"]) == (1 if code == "OK" else 0)


@pytest.mark.parametrize(
    ("number", "phone"),
    [
        ("13900000000", PHONE),
        ("+8613900000000", PHONE),
        ("008613900000000", PHONE),
        ("8613900000000", PHONE),
        ("12900000000", "+12900000000"),
        ("85212345678", "+85212345678"),
        ("+85212345678", None),
        ("0085212345678", None),
        ("86139000000", None),
        ("139 0000 0000", None),
        ("", None),
    ],
)
def test_numbers(number: str, phone: str | None) -> None:
    assert e164(number) == phone


def test_codes_to_one_number_are_limited_by_minute_hour_and_day(stand_ins: StandIns, clock: Clock) -> None:
    def send() -> tuple[str, str]:
        answer = signed(stand_ins.url, parameters(), clock).json()
        return answer["Code"], answer["Message"]

    def limit(words: str) -> tuple[str, str]:
        return "isv.BUSINESS_LIMIT_CONTROL", words

    assert send() == ("OK", "OK")
    clock.move(59.9)
    assert send() == limit("触发分钟级流控Permits:1")
    clock.move(0.1)
    for _ in range(4):
        assert send() == ("OK", "OK")
        clock.move(60)
    assert send() == limit("触发小时级流控Permits:5")
    clock.move(3600)
    for _ in range(5):
        assert send() == ("OK", "OK")
        clock.move(60)
    clock.move(3600)
    assert send() == limit("触发天级流控Permits:10")
    assert signed(stand_ins.url, parameters(PhoneNumbers="13900000001"), clock).json()["Code"] == "OK"
    clock.move(86_400)
    assert send() == ("OK", "OK")


def test_fifty_notices_a_day(stand_ins: StandIns, clock: Clock) -> None:
    notice = parameters(TemplateCode="SMS_ALERT", TemplateParam='{"name":"x"}')
    codes = [signed(stand_ins.url, notice, clock).json()["Code"] for _ in range(51)]
    assert codes == ["OK"] * 50 + ["isv.BUSINESS_LIMIT_CONTROL"]


def test_refusals_can_be_switched_on_for_a_number(stand_ins: StandIns, world: World, clock: Clock) -> None:
    world.fault(f"sms:{PHONE}", Refused("isv.AMOUNT_NOT_ENOUGH"), Refused("Throttling.User"))
    first = signed(stand_ins.url, parameters(), clock)
    assert (first.status_code, first.json()["Code"]) == (200, "isv.AMOUNT_NOT_ENOUGH")
    second = signed(stand_ins.url, parameters(), clock)
    assert (second.status_code, second.json()["Code"]) == (400, "Throttling.User")
    assert signed(stand_ins.url, parameters(), clock).json()["Code"] == "OK"


def test_what_never_arrives_is_in_the_details(stand_ins: StandIns, world: World, clock: Clock) -> None:
    stand_ins.sms.undeliverable[PHONE] = "MOBILE_NOT_ON_SERVICE"
    assert signed(stand_ins.url, parameters(), clock).json()["Code"] == "OK"
    assert not world.sms(PHONE)
    day = f"{datetime.fromtimestamp(NOW + 8 * 3600, UTC):%Y%m%d}"
    query = {"PhoneNumber": "13900000000", "SendDate": day, "PageSize": "50", "CurrentPage": "1"}
    found = signed(stand_ins.url, query, clock, action="QuerySendDetails").json()
    (detail,) = found["SmsSendDetailDTOs"]["SmsSendDetailDTO"]
    assert (detail["SendStatus"], detail["ErrCode"]) == (2, "MOBILE_NOT_ON_SERVICE")
    for changes in ({"PageSize": "51"}, {"SendDate": "2023-11-14"}, {"CurrentPage": "0"}):
        bad = signed(stand_ins.url, {**query, **changes}, clock, action="QuerySendDetails").json()
        assert bad["Code"] == "isv.INVALID_PARAMETERS"


def test_a_receipt_has_the_documented_form(stand_ins: StandIns, clock: Clock) -> None:
    signed(stand_ins.url, parameters(OutId="vc-1"), clock)
    (receipt,) = stand_ins.sms.reports(PHONE)
    assert receipt["phone_number"] == "13900000000"
    assert (receipt["success"], receipt["err_code"], receipt["out_id"]) == (True, "DELIVERED", "vc-1")
    assert receipt["send_time"] == "2023-11-15 06:13:20"


# -- CloudMonitor


def read(stand_ins: StandIns, clock: Clock, action: str, **query: str) -> dict[str, Any]:
    answer: dict[str, Any] = signed(stand_ins.url, query, clock, action=action, version="2019-01-01").json()
    return answer


def test_cloudmonitor_s_contacts_and_groups_come_in_pages(stand_ins: StandIns, clock: Clock) -> None:
    stand_ins.cloudmonitor.contacts = [
        CmsContact(
            "Alice", {"Mail": "alice@example.com", "SMS": "139****0000"}, {"Mail": "OK"}, ("DBA", "ops"), "lead"
        ),
        *(CmsContact(f"P{n}", {"Mail": f"p{n}@example.com"}, {}, ("ops",)) for n in range(4)),
    ]
    stand_ins.cloudmonitor.group_notes = {"DBA": "databases", "empty": ""}
    first = read(stand_ins, clock, "DescribeContactList", PageNumber="1", PageSize="2")
    assert (first["Success"], first["Code"], first["Total"]) == (True, "200", 5)
    alice, other = first["Contacts"]["Contact"]
    assert alice["Channels"] == {"Mail": "alice@example.com", "SMS": "139****0000"}
    assert (alice["ChannelsState"], alice["Desc"]) == ({"Mail": "OK"}, "lead")
    assert alice["ContactGroups"] == {"ContactGroup": ["DBA", "ops"]}
    assert "ChannelsState" not in other
    last = read(stand_ins, clock, "DescribeContactList", PageNumber="3", PageSize="2")
    assert [one["Name"] for one in last["Contacts"]["Contact"]] == ["P3"]
    assert read(stand_ins, clock, "DescribeContactList", PageNumber="4", PageSize="2")["Contacts"]["Contact"] == []

    groups = read(stand_ins, clock, "DescribeContactGroupList")
    assert groups["ContactGroups"]["ContactGroup"] == ["DBA", "empty", "ops"]
    dba, empty, ops = groups["ContactGroupList"]["ContactGroup"]
    assert (dba["Describe"], dba["Contacts"]["Contact"]) == ("databases", ["Alice"])
    assert empty["Contacts"]["Contact"] == []
    assert ops["Contacts"]["Contact"] == ["Alice", "P0", "P1", "P2", "P3"]


@pytest.mark.parametrize("query", [{"PageSize": "101"}, {"PageNumber": "0"}, {"PageSize": "x"}])
def test_bad_pages_are_refused(query: dict[str, str], stand_ins: StandIns, clock: Clock) -> None:
    assert read(stand_ins, clock, "DescribeContactList", **query)["Code"] == "ParameterInvalid"


def test_cloudmonitor_takes_twenty_calls_a_second(stand_ins: StandIns, clock: Clock) -> None:
    codes = [read(stand_ins, clock, "DescribeContactList")["Code"] for _ in range(21)]
    assert codes == ["200"] * 20 + ["Throttling.User"]
    clock.move(1.0)
    assert read(stand_ins, clock, "DescribeContactList")["Code"] == "200"

"""Our signature against Alibaba Cloud's own SDK, in both directions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_dysmsapi20170525.models import SendSmsRequest
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.request import DaraRequest
from hypothesis import given
from hypothesis import strategies as st

from bot.aliyun import AccessKey, AliyunError, call, encode, verify
from bot.http import Http
from tests.bot.channels.loopback import Loopback, Says, Seen, loopback

SECRET = "secret-of-the-key"
KEY = AccessKey("LTAIexample", SECRET)
NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
PARAMS = {
    "PhoneNumbers": "13900000000",
    "SignName": "示例 sign",
    "TemplateCode": "SMS_1",
    "TemplateParam": '{"code": "012345", "x": "a+b/c=d~e*f"}',
    "OutId": "vc-1",
}
TAKEN = Says({"Code": "OK", "Message": "OK", "BizId": "b", "RequestId": "r"})


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        running.answer = TAKEN
        yield running


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http()
    yield client
    client.close()


@pytest.fixture
def sdk_request(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What the SDK sends for SendSms."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    logging.getLogger("darabonba-core").setLevel(logging.ERROR)
    config = Config(
        access_key_id=KEY.id,
        access_key_secret=KEY.secret,
        endpoint=server.url.removeprefix("http://"),
        protocol="http",
        region_id="cn-shanghai",
    )
    request = SendSmsRequest(
        phone_numbers=PARAMS["PhoneNumbers"],
        sign_name=PARAMS["SignName"],
        template_code=PARAMS["TemplateCode"],
        template_param=PARAMS["TemplateParam"],
        out_id=PARAMS["OutId"],
    )
    assert Client(config).send_sms(request).body.code == "OK"
    return server.seen[0]


def accepted(seen: Seen, secret: str = SECRET, **changed: Any) -> bool:
    request = {
        "method": seen.method,
        "path": seen.path,
        "query": seen.query,
        "headers": seen.headers,
        "body": seen.body,
    }
    return verify(**{**request, **changed}, secret=secret)


def test_what_the_sdk_signs_is_verified(sdk_request: Seen) -> None:
    assert accepted(sdk_request)
    assert sdk_request.params == PARAMS


@pytest.mark.parametrize("signer", ["sdk", "ours"])
def test_anything_changed_is_refused(signer: str, sdk_request: Seen, server: Loopback, http: Http) -> None:
    if signer == "ours":
        call(http, server.url, "SendSms", "2017-05-25", PARAMS, KEY, NOW)
    seen = server.seen[-1]
    headers = seen.headers
    without = {name: value for name, value in headers.items() if name != "authorization"}
    signed_less = headers["authorization"].replace("x-acs-version", "").replace(";;", ";")
    refused = {
        "other secret": accepted(seen, "another"),
        "other number": accepted(seen, query=seen.query.replace("13900000000", "13900000001")),
        "one parameter more": accepted(seen, query=seen.query + "&A=1"),
        "other method": accepted(seen, method="GET"),
        "other path": accepted(seen, path="/x"),
        "other body": accepted(seen, body=b"x"),
        "other action": accepted(seen, headers={**headers, "x-acs-action": "QuerySendDetails"}),
        "other host": accepted(seen, headers={**headers, "host": "evil.example"}),
        "one header more": accepted(seen, headers={**headers, "x-acs-more": "1"}),
        "version not signed": accepted(seen, headers={**headers, "authorization": signed_less}),
        "not signed": accepted(seen, headers=without),
        "other scheme": accepted(seen, headers={**headers, "authorization": "Basic eDp5"}),
    }
    assert not any(refused.values()), refused
    assert accepted(seen)


def test_what_we_sign_is_what_the_sdk_would_sign(server: Loopback, http: Http) -> None:
    call(http, server.url, "SendSms", "2017-05-25", PARAMS, KEY, NOW)
    seen = server.seen[0]
    request = DaraRequest()
    request.method, request.pathname, request.query = "POST", "/", dict(seen.params)
    ours = {name: value for name, value in seen.headers.items() if name.startswith("x-acs-") or name == "host"}
    request.headers = dict(ours)
    digest = ours["x-acs-content-sha256"]
    theirs = Utils.get_authorization(request, "ACS3-HMAC-SHA256", digest, KEY.id, KEY.secret)
    assert seen.headers["authorization"].split("Signature=")[1] == theirs.split("Signature=")[1]
    assert seen.params == PARAMS
    assert seen.headers["x-acs-date"] == "2026-03-28T01:00:00Z"
    assert accepted(seen)


def test_every_call_has_its_own_nonce(server: Loopback, http: Http) -> None:
    for _ in range(3):
        call(http, server.url, "SendSms", "2017-05-25", PARAMS, KEY, NOW)
    assert len({seen.headers["x-acs-signature-nonce"] for seen in server.seen}) == 3


def test_an_override_is_signed_for_the_host_it_goes_to(server: Loopback) -> None:
    http = Http({"https://dysmsapi.aliyuncs.com": server.url})
    call(http, "https://dysmsapi.aliyuncs.com", "SendSms", "2017-05-25", PARAMS, KEY, NOW)
    http.close()
    assert accepted(server.seen[0])


@pytest.mark.parametrize(
    ("answer", "code", "temporary"),
    [
        (Says({"Code": "Throttling.User"}, 400), "Throttling.User", True),
        (Says({"Code": "SignatureDoesNotMatch"}, 400), "SignatureDoesNotMatch", False),
        (Says({"Code": "Forbidden.RAM"}, 403), "Forbidden.RAM", False),
        (Says({"Code": "InternalError"}, 500), "InternalError", True),
        (Says("<html>503</html>", 503), "", True),
        (Says("<html>200</html>", 200), "", True),
        (Says("[]", 200), "", True),
        (Says({}, 404), "", True),
    ],
)
def test_refusals_of_the_gateway(answer: Says, code: str, temporary: bool, server: Loopback, http: Http) -> None:
    server.answer = answer
    with pytest.raises(AliyunError) as caught:
        call(http, server.url, "SendSms", "2017-05-25", PARAMS, KEY, NOW)
    assert (caught.value.code, caught.value.temporary) == (code, temporary)
    assert "13900000000" not in str(caught.value)


def test_a_key_does_not_show_its_secret() -> None:
    assert SECRET not in repr(KEY)


@given(st.text(), st.text(), st.text(), st.dictionaries(st.text(), st.text()), st.binary(), st.text(), st.text())
def test_verification_never_raises(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, secret: str, authorization: str
) -> None:
    assert not verify(method, path, query, {**headers, "Authorization": authorization}, body, secret)


def test_the_query_is_encoded_as_the_signature_wants_it() -> None:
    assert encode([("b", "a b+*~/"), ("a", "中")]) == "a=%E4%B8%AD&b=a%20b%2B%2A~%2F"

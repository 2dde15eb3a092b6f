"""A server that stands in for every vendor, and the `Outside` that leads to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.channels.contract import Outside
from bot.http import Http
from tests.bot.channels.loopback import Loopback, loopback

VENDORS = (
    "https://oapi.dingtalk.com",
    "https://qyapi.weixin.qq.com",
    "https://open.feishu.cn",
    "https://hooks.slack.com",
    "https://alerts.aliyuncs.com",
)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


@pytest.fixture
def http(server: Loopback) -> Iterator[Http]:
    client = Http(dict.fromkeys(VENDORS, server.url))
    yield client
    client.close()


@pytest.fixture
def outside(server: Loopback, http: Http) -> Outside:
    return Outside(
        http,
        mail_from="Callboard <bot@example.com>",
        access_key_id="LTAIexample",
        access_key_secret="secret-of-the-key",
        sms_sign_name="示例",
        sms_template_code="SMS_1",
        sms_template_alert="SMS_2",
        sms_url=server.url,
        voice_template="TTS_1",
        voice_url=server.url,
    )

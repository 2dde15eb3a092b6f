"""What our channels send is what the strict stand-ins take: ordinary, hostile and enormous messages, codes, plain forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bot.channels import CHANNELS
from bot.channels.contract import Outside, Target
from bot.http import Http
from bot.sandbox.server import SMS_SIGNATURE, StandIns
from bot.sandbox.world import World
from handlers.document import Document, Facts, Items, Paragraph
from tests.bot.channels.messages import ALERT, DOCUMENT, enormous, message

TARGETS = {
    "dingtalk": Target("https://oapi.dingtalk.com/robot/send?access_token=tok1", "SECabc"),
    "wecom": Target("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=key1"),
    "lark": Target("https://open.feishu.cn/open-apis/bot/v2/hook/hook1", "lark secret"),
    "slack": Target("https://hooks.slack.com/services/T1/B1/x1"),
    "arms": Target("https://alerts.aliyuncs.com/api/v1/integrations/custom/arms1"),
    "email": Target("ann@example.com"),
    "sms": Target("+8613900000000"),
    "voice": Target("+8613900000000"),
}
KINDS = {"email": "mail", "sms": "sms", "voice": "call", "arms": "alert"}

HOSTILE = "<@all> <at id=all></at> <!channel> @here [x](javascript:alert(1)) **DAS** `a` \x00\u202e & </font> $x$"
DOCUMENTS: dict[str, Document] = {
    "ordinary": DOCUMENT,
    "bare": Document("one line"),
    "hostile": Document(HOSTILE, (Paragraph(HOSTILE), Facts(((HOSTILE, HOSTILE),)), Items((HOSTILE,))), footer=HOSTILE),
    "enormous in Chinese": enormous("磁盘已满"),
    "enormous in emoji": enormous("🔔"),
    "enormous in markup": enormous("<&*_`"),
}


@pytest.fixture
def outside(stand_ins: StandIns, world: World) -> Iterator[Outside]:
    world.change_robot("dingtalk", "tok1", secret="SECabc")
    world.change_robot("lark", "hook1", secret="lark secret")
    vendors = ("oapi.dingtalk.com", "qyapi.weixin.qq.com", "open.feishu.cn", "hooks.slack.com", "alerts.aliyuncs.com")
    http = Http({f"https://{host}": stand_ins.url for host in vendors})
    yield Outside(
        http,
        smtp_url=stand_ins.smtp_url,
        mail_from="Callboard <bot@example.com>",
        access_key_id="LTAIkey",
        access_key_secret="key secret",
        sms_sign_name=SMS_SIGNATURE,
        sms_template_code="SMS_CODE",
        sms_template_alert="SMS_ALERT",
        sms_url=stand_ins.url,
        voice_template="TTS_ALERT",
        voice_url=stand_ins.url,
    )
    http.close()


def test_every_channel_is_tried() -> None:
    assert set(TARGETS) == set(CHANNELS)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("which", DOCUMENTS)
@pytest.mark.parametrize("plain", [False, True], ids=["rich", "plain"])
def test_messages_are_taken(channel: str, which: str, plain: bool, outside: Outside, world: World) -> None:
    document = DOCUMENTS[which]
    alert = replace(ALERT, title=str(document.title))
    CHANNELS[channel].send(message(document, plain=plain, alert=alert), TARGETS[channel], outside)
    assert [(event.note, event.body) for event in world.refusals()] == []
    assert [event.kind for event in world.events] == [KINDS.get(channel, "card")]


@pytest.mark.parametrize("channel", [name for name in CHANNELS if name not in ("arms", "voice")])
def test_codes_are_taken(channel: str, outside: Outside, world: World) -> None:
    document = Document("Verification", (Paragraph("Your code is 123456."),))
    owed = message(document, kind="code", code="123456", alert=None, number=None, group="", thread="")
    CHANNELS[channel].send(owed, TARGETS[channel], outside)
    assert not world.refusals()
    (event,) = world.events
    assert "123456" in str(event.body)

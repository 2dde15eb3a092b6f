"""Every channel against the strict stand-in of its platform: what we send is what the platform takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from bot.channels import CHANNELS
from bot.channels.contract import Outside, Target
from bot.http import Http
from bot.sandbox.server import SMS_SIGNATURE, StandIns
from bot.sandbox.world import Drop, Page, World
from handlers.document import Document, Paragraph
from handlers.errors import DeliveryError
from tests.bot.channels.conftest import VENDORS
from tests.bot.channels.messages import ALERT, DOCUMENT, NOW, enormous, message

PHONE = "+8613900000000"
MAILBOX = "zhang@example.com"
TARGETS = {
    "dingtalk": Target("https://oapi.dingtalk.com/robot/send?access_token=tok1", "SECdingtalk"),
    "wecom": Target("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=key1"),
    "lark": Target("https://open.feishu.cn/open-apis/bot/v2/hook/hook1", "larksecret"),
    "slack": Target("https://hooks.slack.com/services/T1/B1/x1"),
    "arms": Target("https://alerts.aliyuncs.com/api/v1/integrations/custom/arms1"),
    "sms": Target(PHONE),
    "voice": Target(PHONE),
    "email": Target(MAILBOX),
}
TOKENS = {"dingtalk": "tok1", "wecom": "key1", "lark": "hook1", "slack": "T1/B1/x1", "arms": "arms1"}


@dataclass
class Clock:
    """Epoch seconds that stand still."""

    now: float

    def __call__(self) -> float:
        return self.now


@dataclass
class Scene:
    """The pretend world and the way to it; `came(channel)` is how many messages reached their place."""

    world: World
    outside: Outside

    def came(self, channel: str) -> int:
        found: dict[str, Callable[[], list[object]]] = {
            "sms": lambda: list(self.world.sms(PHONE)),
            "voice": lambda: [event for event in self.world.events if event.kind == "call"],
            "email": lambda: list(self.world.mail(MAILBOX)),
            "arms": lambda: [event for event in self.world.events if event.kind == "alert"],
        }
        return len(found.get(channel, lambda: list(self.world.cards(channel)))())


@pytest.fixture
def scene() -> Iterator[Scene]:
    world = World(Clock(NOW.timestamp()))
    for platform, token in TOKENS.items():
        secret = TARGETS[platform].secret
        world.add_group(platform, f"{platform}-group", "oncall")
        keywords = ("DAS Alarm",) if platform in ("dingtalk", "lark") else ()
        world.add_robot(platform, f"{platform}-group", token, keywords=keywords, secret=secret)
    world.add_app("sms", "LTAIexample", "secret-of-the-key")
    with StandIns(world) as stand_ins:
        http = Http(dict.fromkeys(VENDORS, stand_ins.url))
        yield Scene(
            world,
            Outside(
                http,
                smtp_url=stand_ins.smtp_url,
                mail_from="Callboard <bot@example.com>",
                access_key_id="LTAIexample",
                access_key_secret="secret-of-the-key",
                sms_sign_name=SMS_SIGNATURE,
                sms_template_code="SMS_CODE",
                sms_template_alert="SMS_ALERT",
                sms_url=stand_ins.url,
                voice_template="TTS_ALERT",
                voice_url=stand_ins.url,
            ),
        )
        http.close()


DOCUMENTS = {
    "ordinary": DOCUMENT,
    "empty": Document(""),
    "title alone": Document("磁盘已满", tone="resolved", badge="已恢复", number=7),
    "without links": replace(DOCUMENT, links=()),
    "enormous": enormous("disk 93% 磁盘 <at id=all></at> "),
    "strange": Document("\x00\ud83d", (Paragraph("\u2028" * 9), Paragraph(""))),
}


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("channel", TARGETS)
def test_the_platform_takes_what_we_send(channel: str, document: Document, plain: bool, scene: Scene) -> None:
    CHANNELS[channel].send(message(document, plain=plain), TARGETS[channel], scene.outside)
    assert scene.came(channel) == 1
    assert scene.world.refusals() == []


@pytest.mark.parametrize("channel", TARGETS)
def test_the_platform_takes_a_code(channel: str, scene: Scene) -> None:
    document = Document("Your code", (Paragraph("135790 is your code."),))
    sent = message(document, kind="code", code="135790", alert=None, number=None, thread="")
    CHANNELS[channel].send(sent, TARGETS[channel], scene.outside)
    assert scene.came(channel) == 1


@pytest.mark.parametrize("channel", TARGETS)
def test_the_platform_takes_a_notice_without_an_alert(channel: str, scene: Scene) -> None:
    sent = message(Document("12 more alerts"), kind="notice", alert=None, number=None, group="", thread="")
    CHANNELS[channel].send(sent, TARGETS[channel], scene.outside)
    assert scene.came(channel) == 1


@pytest.mark.parametrize("channel", TOKENS)
def test_a_robot_that_was_removed_is_dead(channel: str, scene: Scene) -> None:
    scene.world.remove_robot(channel, TOKENS[channel])
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[channel].send(message(), TARGETS[channel], scene.outside)
    assert (caught.value.permanent, caught.value.disables) == (True, True)


@pytest.mark.parametrize("channel", ["dingtalk", "lark"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [({"secret": "another"}, "sign"), ({"keywords": ("another",)}, "keyword"), ({"addresses": ("10.0.0.1",)}, "ip")],
)
def test_security_settings_that_refuse_us(channel: str, change: dict[str, object], reason: str, scene: Scene) -> None:
    scene.world.change_robot(channel, TOKENS[channel], **change)
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[channel].send(message(), TARGETS[channel], scene.outside)
    assert (caught.value.reason, caught.value.permanent, caught.value.disables) == (reason, True, True)


@pytest.mark.parametrize("channel", ["dingtalk", "wecom", "lark", "slack"])
def test_within_its_budget_nothing_is_refused_and_beyond_it_is_temporary(channel: str, scene: Scene) -> None:
    send, target = CHANNELS[channel].send, TARGETS[channel]
    for at in range(CHANNELS[channel].budgets[0].count):
        send(message(key=f"k-{at}"), target, scene.outside)

    def too_many() -> None:
        for at in range(30):
            send(message(key=f"more-{at}"), target, scene.outside)

    with pytest.raises(DeliveryError) as caught:
        too_many()
    assert (caught.value.reason, caught.value.permanent) == ("rate_limited", False)


@pytest.mark.parametrize("channel", ["dingtalk", "wecom", "lark", "slack", "arms"])
@pytest.mark.parametrize(("fault", "unknown"), [(Page(), False), (Drop(), True)])
def test_outages(channel: str, fault: Page | Drop, unknown: bool, scene: Scene) -> None:
    scene.world.fault(channel, fault)
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[channel].send(message(), TARGETS[channel], scene.outside)
    assert (caught.value.permanent, caught.value.unknown) == (False, unknown)
    CHANNELS[channel].send(message(), TARGETS[channel], scene.outside)
    assert scene.came(channel) >= 1


def test_an_alert_of_many_labels_fits_the_sms_template(scene: Scene) -> None:
    alert = replace(ALERT, title="x" * 500, labels={"instance": "https://x.example/10.0.0.1", "b": "y" * 9999})
    CHANNELS["sms"].send(message(alert=alert), TARGETS["sms"], scene.outside)
    assert scene.came("sms") == 1

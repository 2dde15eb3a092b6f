"""What lets a platform recognise a message that is sent again: the same in every try, another one for another delivery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.channels import dingtalk, email, sms, voice
from bot.channels.contract import Message, Outside, Target
from bot.http import Http
from handlers.document import Document, Paragraph
from handlers.mentions import Mention
from tests.bot.channels.loopback import Loopback, Says
from tests.bot.channels.messages import DOCUMENT, NOW, message

PHONE = Target("+8613900000000")
POST = {"msgtype": "text", "text": {"content": "disk full"}}

KEYS: dict[str, Callable[[Message], Any]] = {
    "dingtalk": lambda m: dingtalk.card(m, "DAS Alarm")["msgUuid"],
    "sms": lambda m: sms.parameters(m, PHONE, Outside(Http()))["OutId"],
    "voice": lambda m: voice.parameters(m, PHONE, Outside(Http()))["OutId"],
    "email": lambda m: email.card(m, "zhang@example.com", "bot@example.com")["Message-ID"],
}
"""WeCom's and Lark's robots and Slack's webhooks know nothing of the kind: there a message whose answer was lost may
arrive twice."""

FORMS: dict[str, Message] = {
    "a card with buttons": message(),
    "a card with one button": message(replace(DOCUMENT, links=DOCUMENT.links[:1])),
    "a card that calls somebody": message(mention=Mention(phone="13800000001")),
    "in plain words": message(plain=True),
    "as it was posted": message(post=POST),
    "a digest": message(Document("12 alerts in a digest", (Paragraph("#1"),)), kind="digest", alert=None, number=None),
    "a code": message(Document("Your code", (Paragraph("135790"),)), kind="code", code="135790", alert=None),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("channel", KEYS)
def test_every_try_of_a_delivery_carries_the_same_key_and_every_delivery_another(channel: str, form: Message) -> None:
    one = replace(form, key="cb-1234567-19cadc69a80")
    tries = [one, replace(one, now=NOW + timedelta(seconds=5)), replace(one, now=NOW + timedelta(hours=3), again=True)]
    assert len({KEYS[channel](message) for message in tries}) == 1
    others = ["cb-1234567-19cadc69a80", "cb-1234568-19cadc69a80", "cb-7-19cadc69a80", "cb-12345678-19cadc69a81"]
    assert len({KEYS[channel](replace(form, key=key)) for key in others}) == len(others)


@pytest.mark.parametrize(("arrived", "sent"), [(True, 0), (False, 1)])
def test_an_sms_that_may_have_arrived_is_looked_up_before_it_is_sent_again(
    arrived: bool, sent: int, server: Loopback, outside: Outside
) -> None:
    rows = [{"OutId": "d-42-1" if arrived else "d-41-1"}]
    server.answer = lambda seen: (
        Says({"Code": "OK", "BizId": "b"})
        if seen.headers["x-acs-action"] == "SendSms"
        else Says({"Code": "OK", "SmsSendDetailDTOs": {"SmsSendDetailDTO": rows}})
    )
    sms.send(message(again=True), PHONE, outside)
    assert [seen.headers["x-acs-action"] for seen in server.seen] == ["QuerySendDetails", *["SendSms"] * sent]

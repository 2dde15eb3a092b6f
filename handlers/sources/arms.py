"""ARMS Alert Management of Alibaba Cloud: the webhook of a notification policy. Its shape is in `arms_webhook`."""

from __future__ import annotations

from datetime import datetime

from handlers.model import Alert
from handlers.sources import arms_webhook
from handlers.sources.contract import Body, Source

NAME = "arms"


def parse(body: Body, now: datetime) -> list[Alert]:
    """The alerts of one notification; one that is over at once for the console's test."""
    return arms_webhook.alerts(NAME, body, now)


SOURCE = Source(NAME, parse)

"""One module per chat platform: verify and decode what comes in, say documents. No rules, no storage."""

from __future__ import annotations

from bot.platforms import dingtalk, lark, slack, wecom
from bot.platforms.contract import Platform

PLATFORMS: dict[str, Platform] = {
    platform.name: platform for platform in (dingtalk.PLATFORM, lark.PLATFORM, slack.PLATFORM, wecom.PLATFORM)
}

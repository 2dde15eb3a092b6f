"""One module per channel: how a message looks there and how it is sent.

Deciding, counting and storing is not done here.
"""

from bot.channels import arms, dingtalk, email, lark, slack, sms, voice, wecom
from bot.channels.contract import Channel

CHANNELS: dict[str, Channel] = {
    module.CHANNEL.name: module.CHANNEL for module in (dingtalk, wecom, lark, slack, arms, email, sms, voice)
}
"""Every channel by the name that contact methods carry: `phone` methods go through "sms"."""

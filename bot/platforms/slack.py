"""Slack: mentions, direct messages, slash commands, buttons, forms and the app's own page, by HTTP or Socket Mode.

In `slack_callback` callbacks are verified and what was said is decoded, in `slack_press` what was pressed, in
`slack_routing` they go through Bolt, in `slack_socket` they come over a WebSocket; `slack_say` has the ways out, and
`slack_modal` draws forms.
"""

from __future__ import annotations

from bot.platforms import slack_say
from bot.platforms.contract import Platform
from bot.platforms.slack_say import SlackCredentials
from bot.settings import Settings
from handlers.budgets import Throttle


def credentials(settings: Settings) -> SlackCredentials | None:
    """What is needed to speak; None where Slack is not set up."""
    return SlackCredentials(settings.slack_bot_token) if settings.slack_bot_token else None


PLATFORM = Platform(
    name="slack",
    say=slack_say.say,
    budgets=(Throttle(1, 1.1),),
    forms=True,
    buttons=lambda _credentials: "press",
)

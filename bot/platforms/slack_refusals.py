"""Why Slack did not take an answer: one line per documented code, and whether trying again makes sense.

https://docs.slack.dev/reference/methods/chat.postMessage, .../chat.postEphemeral, .../chat.update, .../views.open,
.../views.publish, and the answers of a `response_url` (https://docs.slack.dev/interactivity/handling-user-interaction).
Robots behind webhooks have their own table in `bot/channels`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.http import HttpReply
from bot.refusals import Refusal, page, temporary, unknown_code
from handlers.errors import DeliveryError
from handlers.texts import _

NAME = "Slack"

FORM = Refusal("form", _("Slack did not accept the form of the message."))
GONE = Refusal("gone", _("This Slack conversation does not exist any more."))
NOT_THERE = Refusal("not_there", _("The bot is not in this Slack channel; invite it with /invite."))
FORBIDDEN = Refusal("forbidden", _("Slack does not let the bot write here; ask an administrator of the workspace."))
NO_THREAD = Refusal("no_thread", _("This Slack thread does not exist any more."))
USED_UP = Refusal("used_up", _("The time to answer this Slack command is over."))
UNCHANGEABLE = Refusal("unchangeable", _("This Slack message cannot be changed any more."))
LATE = Refusal("late", _("The moment in which Slack opens a form is over."))
TOKEN = Refusal(
    "credentials",
    _("Slack refuses the bot's token; install the app again, set SLACK_BOT_TOKEN, and try “python -m bot check”."),
)
SCOPE = Refusal(
    "not_allowed", _("The Slack app lacks a permission; compare its scopes with the manifest and install it again.")
)
TOO_FAST = temporary("rate_limited", _("Slack takes no more messages for a while."))
BUSY = temporary("busy", _("Slack is busy at the moment."))

REFUSALS: dict[str, Refusal] = {
    "channel_not_found": GONE,
    "is_archived": GONE,
    "user_not_found": GONE,
    "users_not_found": GONE,
    "not_in_channel": NOT_THERE,
    "user_not_in_channel": NOT_THERE,
    "restricted_action": FORBIDDEN,
    "restricted_action_read_only_channel": FORBIDDEN,
    "restricted_action_thread_only_channel": FORBIDDEN,
    "restricted_action_non_threadable_channel": FORBIDDEN,
    "restricted_action_thread_locked": FORBIDDEN,
    "messages_tab_disabled": Refusal(
        "messages_tab", _("The Slack app takes no direct messages; switch on its Messages Tab under App Home.")
    ),
    "cannot_dm_bot": FORBIDDEN,
    "cannot_reply_to_message": NO_THREAD,
    "thread_not_found": NO_THREAD,
    "invalid_thread_ts": NO_THREAD,
    "invalid_auth": TOKEN,
    "not_authed": TOKEN,
    "token_revoked": TOKEN,
    "token_expired": TOKEN,
    "account_inactive": TOKEN,
    "team_added_to_org": TOKEN,
    "missing_scope": SCOPE,
    "no_permission": SCOPE,
    "ekm_access_denied": SCOPE,
    "invalid_blocks": FORM,
    "invalid_blocks_format": FORM,
    "msg_blocks_too_long": FORM,
    "msg_too_long": FORM,
    "no_text": FORM,
    "too_many_attachments": FORM,
    "invalid_attachments": FORM,
    "invalid_arguments": FORM,
    "invalid_payload": FORM,
    "message_not_found": UNCHANGEABLE,
    "cant_update_message": UNCHANGEABLE,
    "edit_window_closed": UNCHANGEABLE,
    "is_inactive": UNCHANGEABLE,
    "block_mismatch": UNCHANGEABLE,
    "expired_trigger_id": LATE,
    "exchanged_trigger_id": LATE,
    "invalid_trigger_id": LATE,
    "view_too_large": FORM,
    "not_enabled": Refusal(
        "no_home", _("The Slack app has no page of its own; switch on its Home Tab under App Home.")
    ),
    "used_url": USED_UP,
    "expired_url": USED_UP,
    "ratelimited": TOO_FAST,
    "rate_limited": TOO_FAST,
    "message_limit_exceeded": TOO_FAST,
    "internal_error": BUSY,
    "fatal_error": BUSY,
    "service_unavailable": BUSY,
    "request_timeout": BUSY,
}

_WORD = re.compile(r"[a-z][a-z0-9_]{1,60}")


def api_refusal(reply: HttpReply) -> DeliveryError | None:
    """What the API's body says went wrong, None when it took the message (`"ok": true`)."""
    body = reply.json()
    said = body if isinstance(body, Mapping) else {}
    if said.get("ok") is True:
        return None
    if reply.status == 429:
        return TOO_FAST.error(reply.retry_after)
    word = said.get("error")
    if said.get("ok") is not False or not isinstance(word, str):
        return page(NAME, reply)
    return _meaning(word, reply)


def respond_refusal(reply: HttpReply) -> DeliveryError | None:
    """The same for a `response_url`, whose answer is the word `ok`, JSON like the API's, or nothing."""
    word = reply.text.strip()
    if reply.status == 200 and word in ("", "ok"):
        return None
    body = reply.json()
    if isinstance(body, Mapping) and "ok" in body:
        return api_refusal(reply)
    if reply.status == 429:
        return TOO_FAST.error(reply.retry_after)
    if word in REFUSALS:
        return REFUSALS[word].error(reply.retry_after)
    if 400 <= reply.status < 500 and reply.status != 408 and (not word or _WORD.fullmatch(word)):
        return USED_UP.error()  # a command's address that answers so will answer nothing else
    return page(NAME, reply)


def _meaning(word: str, reply: HttpReply) -> DeliveryError:
    if word in REFUSALS:
        return REFUSALS[word].error(reply.retry_after)
    if reply.status >= 500:
        return BUSY.error(reply.retry_after)
    if word.startswith("restricted_action"):  # a family that grows
        return FORBIDDEN.error()
    return unknown_code(NAME, word if _WORD.fullmatch(word) else "?", permanent=True)

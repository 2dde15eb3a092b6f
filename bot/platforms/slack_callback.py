"""Slack's callbacks: verified, and what people said decoded.

Commands:  https://docs.slack.dev/interactivity/implementing-slash-commands
Events:    https://docs.slack.dev/apis/events-api
Signature: https://docs.slack.dev/authentication/verifying-requests-from-slack

Conversations:

    slack:T0001/C0001        a channel, where the bot is mentioned; everybody there reads the answers
    slack:T0001/D0001/U0001  the one-to-one chat, and commands typed in it
    slack:T0001/C0001/U0001  commands that this person types in that channel: the answers are ephemeral, so nobody else
                             reads them, and what they show is what a one-to-one chat shows
    slack:T0001/home/U0001   the app's own page of this person; only the answer to opening it is drawn there, every
                             other is said one-to-one (see `slack_say.HOME_URL`)

A thread is no conversation of its own, so that a question asked in the channel may be answered in its thread. A mention
in a thread is answered in that thread: `reply_url` says which (see `slack_say.answer_url`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

from bot.platforms import slack_say
from bot.platforms.contract import Incoming
from bot.platforms.slack_ids import MESSAGE_ID, NAME_MAX_CHARS, needed_id, optional_id, string, title_of
from bot.platforms.slack_text import Mentions, mentioned, plain
from handlers.errors import PayloadError
from handlers.texts import _

SKEW_S = 300
"""A timestamp more than five minutes away is refused; exactly five minutes is not."""

_TIMESTAMP = re.compile(r"[0-9]{1,12}")


# ---- the signature


def verify(headers: Mapping[str, str], body: bytes, signing_secret: str, now_s: float) -> bool:
    """The raw body and a fresh timestamp are signed with the app's secret. Never raises, whatever the headers are."""
    given = {str(name).lower(): value for name, value in headers.items()}
    timestamp, signature = given.get("x-slack-request-timestamp"), given.get("x-slack-signature")
    if not signing_secret.strip() or not isinstance(timestamp, str) or not isinstance(signature, str):
        return False
    if not _TIMESTAMP.fullmatch(timestamp) or abs(now_s - int(timestamp)) > SKEW_S:
        return False
    wanted = f"v0={_digest(signing_secret, timestamp, body)}"
    # Headers may hold anything, also halves of surrogate pairs.
    return hmac.compare_digest(wanted.encode(), signature.encode(errors="surrogatepass"))


def _digest(secret: str, timestamp: str, body: bytes) -> str:
    signed = b"v0:" + timestamp.encode() + b":" + body
    return hmac.new(secret.encode(errors="surrogatepass"), signed, hashlib.sha256).hexdigest()


# ---- what was said


def decode_command(form: Mapping[str, object], now: datetime, fallback_id: str = "") -> Incoming:
    """A slash command; which word it begins with does not matter, since only ours are sent here.

    fallback_id  stands in for a missing `trigger_id`, as something that a replay repeats
    PayloadError names the field without which nothing can be done.
    """
    team, channel, user = (needed_id(form, name) for name in ("team_id", "channel_id", "user_id"))
    text, mentions = plain(string(form.get("text")))
    url = slack_say.response_url(form.get("response_url"))
    trigger = string(form.get("trigger_id"))
    if not MESSAGE_ID.fullmatch(trigger or fallback_id):
        raise PayloadError("$.trigger_id", _("an id is expected"))
    return Incoming(
        platform="slack",
        message_id=trigger or fallback_id,
        person=f"slack:{team}/{user}",
        name=string(form.get("user_name"))[:NAME_MAX_CHARS],
        conversation=f"slack:{team}/{channel}/{user}",
        direct=True,
        text=text,
        title=title_of(channel, form.get("channel_name")),
        within="" if channel.startswith("D") else f"slack:{team}/{channel}",
        mentions=_people(team, mentions),
        reply_url=url or slack_say.answer_url(""),
        reply_until=now + slack_say.RESPONSE_LASTS if url else None,
        trigger=trigger,
    )


def decode_event(body: Mapping[str, object]) -> Incoming | None:
    """A mention in a channel, a message in a one-to-one chat, or that somebody opened the app's own page, which says
    `home`; None for every other event, and for what bots say.

    PayloadError names the field without which nothing can be done.
    """
    event = body.get("event")
    if not isinstance(event, Mapping):
        raise PayloadError("$.event", _("a JSON object is expected"))
    own = _own(body)
    user = event.get("user")
    # Whoever answers bots, edits or itself talks for ever.
    if event.get("bot_id") or event.get("subtype") or not user or user in own or user == "USLACKBOT":
        return None
    if event.get("type") == "app_home_opened":
        return _opened_home(body, event) if event.get("tab") == "home" else None
    if event.get("type") not in ("app_mention", "message"):
        return None
    team, channel = needed_id(body, "team_id"), needed_id(event, "channel", "$.event.channel")
    user = needed_id(event, "user", "$.event.user")
    direct = event.get("channel_type", "im") == "im" and channel.startswith("D")
    # A mention also arrives as `message` where an app subscribed to these, and in a one-to-one chat nobody needs one.
    if direct is not (event.get("type") == "message"):
        return None
    raw = string(event.get("text"))
    if not direct and not own:
        own = mentioned(raw)[:1]  # an old form of the event does not tell who the bot is
    text, mentions = plain(raw, own)
    thread = string(event.get("thread_ts"))
    home = optional_id(event.get("user_team")) or team  # somebody of another workspace, in a shared channel
    return Incoming(
        platform="slack",
        message_id=_event_id(body),
        person=f"slack:{home}/{user}",
        name="",
        conversation=f"slack:{team}/{channel}/{user}" if direct else f"slack:{team}/{channel}",
        direct=direct,
        text=text,
        mentions=_people(team, mentions),
        reply_url=slack_say.answer_url(thread),
    )


def _opened_home(body: Mapping[str, object], event: Mapping[str, object]) -> Incoming:
    team, user = needed_id(body, "team_id"), needed_id(event, "user", "$.event.user")
    home = optional_id(event.get("user_team")) or team
    return Incoming(
        platform="slack",
        message_id=_event_id(body),
        person=f"slack:{home}/{user}",
        name="",
        conversation=f"slack:{team}/{slack_say.HOME}/{user}",
        direct=True,
        text="home",
        spoken=False,
        reply_url=slack_say.HOME_URL,
    )


def _event_id(body: Mapping[str, object]) -> str:
    event_id = body.get("event_id")
    if not isinstance(event_id, str) or not MESSAGE_ID.fullmatch(event_id):
        raise PayloadError("$.event_id", _("an id is expected"))
    return event_id


def _own(body: Mapping[str, object]) -> tuple[str, ...]:
    """The user ids of our bot, as far as the event says them."""
    installed = body.get("authorizations")
    found = (
        one.get("user_id")
        for one in (installed if isinstance(installed, list) else ())
        if isinstance(one, Mapping) and one.get("is_bot") is True
    )
    return tuple(user for user in found if isinstance(user, str) and user)


def _people(team: str, mentions: Mentions) -> tuple[tuple[str, str], ...]:
    return tuple((f"slack:{team}/{user}", name) for user, name in mentions)

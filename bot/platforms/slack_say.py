"""The ways out of Slack: a command's `response_url`, an ephemeral message, the channel, the one-to-one chat.

https://docs.slack.dev/interactivity/handling-user-interaction (`response_url`: 5 uses within 30 minutes),
https://docs.slack.dev/reference/methods/chat.postEphemeral, https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from bot.channels.contract import Receipt
from bot.channels.fit import fitted
from bot.http import Unreachable
from bot.markup.plain import MARK, cut, outline, unmentioned
from bot.markup.slack import BLOCKS, HEADER_CHARS, SECTION_CHARS, blocks, escape, heading, plain
from bot.platforms.contract import Place, Speaker
from bot.platforms.slack_refusals import NAME, api_refusal, respond_refusal
from bot.refusals import unreachable
from handlers.document import Document, localize
from handlers.errors import DeliveryError
from handlers.texts import Language, _
from handlers.urls import safe_url

POST_URL = "https://slack.com/api/chat.postMessage"
WHISPER_URL = "https://slack.com/api/chat.postEphemeral"
HOOKS_HOST = "hooks.slack.com"

RESPONSE_LASTS = timedelta(minutes=30)
RESPONSE_MARGIN = timedelta(seconds=30)
"""A response_url that ends this soon is not used any more."""

MESSAGE_MAX_CHARS = 12_000
"""Of all blocks together; beyond about 13,000 Slack answers `msg_blocks_too_long`."""

PLAIN_MAX_CHARS = 3_500
"""Slack advises at most 4,000 characters of text."""

QUIET = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
"""Top-level text is shown as it is, and Slack fetches no page that an answer mentions."""


@dataclass(frozen=True, slots=True)
class SlackCredentials:
    """The bot of one workspace."""

    bot_token: str = field(repr=False)


# ---- where to


def response_url(url: object) -> str:
    """The address for the answers to a command if it is Slack's own, else ""."""
    if not isinstance(url, str) or len(url) > 2000 or safe_url(url) is None:
        return ""
    parts = urlsplit(url)
    right = parts.scheme == "https" and parts.netloc == HOOKS_HOST and len(parts.path) > 1
    return url if right and not parts.fragment else ""


def answer_url(thread: str) -> str:
    """What stands in `Incoming.reply_url` of a message that is answered through the API, in its thread if it has one."""
    return f"{POST_URL}?{urlencode({'thread_ts': thread})}" if thread else POST_URL


def _thread(reply_url: str) -> str:
    """The thread of an `answer_url`, "" for none."""
    if reply_url.partition("?")[0] != POST_URL:
        return ""
    return parse_qs(urlsplit(reply_url).query).get("thread_ts", [""])[0]


def _parts(place: Place) -> tuple[str, str]:
    """Channel and user: of `slack:T/C` ("C", ""), of `slack:T/C/U` ("C", "U"), of a person alone ("", "U")."""
    where = place.conversation or place.person
    _team, _slash, rest = where.removeprefix("slack:").partition("/")
    if not place.conversation:
        return "", rest
    channel, _slash, user = rest.partition("/")
    return channel, user


# ---- what


def message(document: Document, language: Language) -> dict[str, Any]:
    """An answer as blocks, with its heading as the text of notifications. Everything foreign is plain text."""
    document = fitted(localize(document, language), language, MESSAGE_MAX_CHARS, _chars)
    return {"text": escape(unmentioned(heading(document))), "blocks": _drawn(document), **QUIET}


def text_only(document: Document, language: Language) -> dict[str, Any]:
    """The same in the simplest form, for when the blocks are refused."""
    document = fitted(localize(document, language), language, PLAIN_MAX_CHARS, lambda d: len(_text(d)))
    return {"text": _text(document), **QUIET}


def _drawn(document: Document) -> list[dict[str, Any]]:
    """Blocks; one sentence alone, or a long one, is no header but a section."""
    head, *rest = blocks(document)
    whole = document.heading() or MARK
    if not rest or len(whole) > HEADER_CHARS - 3:
        shown = head["text"]["text"] if len(whole) <= HEADER_CHARS - 3 else cut(whole, SECTION_CHARS)
        head = {"type": "section", "text": plain(shown)}
    return [head, *rest]


def _text(document: Document) -> str:
    return escape(unmentioned(f"{document.heading()}\n{outline(document)}".strip())) or MARK


def _chars(document: Document) -> int:
    """Characters of all blocks; more than any limit when there are too many blocks."""
    drawn = _drawn(document)
    if len(drawn) > BLOCKS:
        return MESSAGE_MAX_CHARS * len(drawn)
    texts = (text for block in drawn for text in _texts(block))
    return sum(len(text["text"]) for text in texts)


def _texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [block["text"]] if "text" in block else block.get("fields") or block["elements"]


# ---- out


def say(document: Document, language: Language, place: Place, speaker: Speaker) -> Receipt:
    """Says the document where the message came from; what was a command is answered to that person alone.

    A `response_url` that is used up gives way to an ephemeral message, and that one, where the bot is not in the
    channel, to the one-to-one chat. Blocks that are refused are sent once more as text. Nothing is tried twice whose
    outcome is unknown.
    """
    drawn = message(document, language)
    try:
        return _say(drawn, place, speaker)
    except DeliveryError as error:
        if error.reason != "form":
            raise
    return _say(text_only(document, language), place, speaker)


def _say(drawn: dict[str, Any], place: Place, speaker: Speaker) -> Receipt:
    channel, user = _parts(place)
    url = response_url(place.reply_url) if place.conversation else ""
    able = isinstance(speaker.credentials, SlackCredentials)
    if url:
        lasts = place.reply_until is None or place.reply_until - RESPONSE_MARGIN > speaker.now
        if lasts or not able:
            try:
                return _respond(url, drawn, speaker)
            except DeliveryError as error:
                if not able or not error.permanent or error.reason == "form":
                    raise
    if not user:
        return _post_in_thread(channel, _thread(place.reply_url), drawn, speaker)
    if channel.startswith("D") and not url:
        return _post_in_thread(channel, _thread(place.reply_url), drawn, speaker)
    if channel and not channel.startswith("D"):
        try:
            return _call(WHISPER_URL, {"channel": channel, "user": user, **drawn}, speaker)
        except DeliveryError as error:
            if error.reason not in ("gone", "not_there", "forbidden"):
                raise
    return _call(POST_URL, {"channel": user, **drawn}, speaker)


def _post_in_thread(channel: str, thread: str, drawn: dict[str, Any], speaker: Speaker) -> Receipt:
    """Into the thread; into its channel when the thread is gone."""
    if thread:
        try:
            return _call(POST_URL, {"channel": channel, "thread_ts": thread, **drawn}, speaker)
        except DeliveryError as error:
            if error.reason != "no_thread":
                raise
    return _call(POST_URL, {"channel": channel, **drawn}, speaker)


def _respond(url: str, drawn: dict[str, Any], speaker: Speaker) -> Receipt:
    answer = {"response_type": "ephemeral", "replace_original": False, **drawn}
    try:
        reply = speaker.http.post(url, json=answer)
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    failure = respond_refusal(reply)
    if failure is not None:
        raise failure
    return Receipt()


def _call(url: str, body: dict[str, Any], speaker: Speaker) -> Receipt:
    app = speaker.credentials
    if not isinstance(app, SlackCredentials):
        raise DeliveryError("not_configured", _("The Slack app is not configured."), permanent=True)
    if not body["channel"]:
        raise DeliveryError("no_recipient", _("Slack did not say where this belongs."), permanent=True)
    try:
        reply = speaker.http.post(url, json=body, headers={"Authorization": f"Bearer {app.bot_token}"})
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    failure = api_refusal(reply)
    if failure is not None:
        raise failure
    answered = reply.json()
    reference = answered.get("ts") or answered.get("message_ts")
    return Receipt(reference if isinstance(reference, str) else "")

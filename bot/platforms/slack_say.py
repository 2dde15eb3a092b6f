"""The ways out of Slack: a command's `response_url`, an ephemeral message, the channel, the one-to-one chat, a form, the
app's own page; and how a message of ours is changed where it stands.

https://docs.slack.dev/interactivity/handling-user-interaction (`response_url`: 5 uses within 30 minutes),
https://docs.slack.dev/reference/methods/chat.postEphemeral, .../chat.postMessage, .../chat.update, .../views.open,
.../views.publish. Messages are called `C0001/1700000000.000100`: channel and `ts`, as `chat.update` wants them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from bot.channels.contract import Receipt
from bot.channels.fit import fitted
from bot.http import Unreachable
from bot.markup.plain import MARK, cut, outline, unmentioned
from bot.markup.slack import BLOCKS, HEADER_CHARS, SECTION_CHARS, blocks, escape, heading, plain
from bot.platforms.contract import Place, Speaker
from bot.platforms.slack_modal import modal
from bot.platforms.slack_refusals import NAME, api_refusal, respond_refusal
from bot.refusals import unreachable
from handlers.document import Button, Document, localize
from handlers.errors import DeliveryError
from handlers.texts import Language, _
from handlers.urls import safe_url

POST_URL = "https://slack.com/api/chat.postMessage"
WHISPER_URL = "https://slack.com/api/chat.postEphemeral"
UPDATE_URL = "https://slack.com/api/chat.update"
OPEN_URL = "https://slack.com/api/views.open"
PUBLISH_URL = "https://slack.com/api/views.publish"
HOOKS_HOST = "hooks.slack.com"

HOME = "home"
"""What stands in place of a channel in the conversation that is the app's own page."""
HOME_URL = f"{POST_URL}?home=1"
"""The `reply_url` with which an answer is drawn on that page; with every other one it is said one-to-one."""

IN_RESPONSE = "response"
"""The handle of a message that has no name, as only one person sees it: its `response_url` changes it."""

RESPONSE_LASTS = timedelta(minutes=30)
RESPONSE_MARGIN = timedelta(seconds=30)
"""A response_url that ends this soon is not used any more."""

MESSAGE_MAX_CHARS = 12_000
"""Of all blocks together; beyond about 13,000 Slack answers `msg_blocks_too_long`."""

PLAIN_MAX_CHARS = 3_500
"""Slack advises at most 4,000 characters of text."""

QUIET = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
"""Top-level text is shown as it is, and Slack fetches no page that an answer mentions."""


_THREAD = re.compile(r"[0-9]{1,12}\.[0-9]{1,6}")
_MESSAGE = re.compile(r"([A-Z0-9]{1,64})/([0-9]{1,12}\.[0-9]{1,6})")


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
    return f"{POST_URL}?{urlencode({'thread_ts': thread})}" if _THREAD.fullmatch(thread) else POST_URL


def way_back(reply_url: str) -> str:
    """What a form keeps of where it was opened, so that its answer comes there: a thread, `here`, or "" for a
    `response_url`, which is a secret and stays with us.
    """
    return "" if reply_url.partition("?")[0] != POST_URL else _thread(reply_url) or "here"


def reply_url_of(way: str) -> str:
    """The `reply_url` that `way_back` stands for; "" for the newest one of the conversation."""
    return answer_url(way) if way else ""


def handle_of(channel: object, ts: object) -> str:
    """What a message of ours is called, "" when these are not the names of one."""
    name = f"{channel}/{ts}"
    return name if _MESSAGE.fullmatch(name) else ""


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
    if all(block["type"] == "actions" for block in rest) or len(whole) > HEADER_CHARS - 3:
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
    if block["type"] == "actions":
        return [button["text"] for button in block["elements"]]
    return [block["text"]] if "text" in block else block.get("fields") or block["elements"]


def _with_button(document: Document, language: Language) -> Document:
    """The document with a button that opens its form."""
    if document.dialog is None:
        return document
    opening = localize(Document("", buttons=(Button(_("Open the form"), "", "primary"),)), language).buttons[0]
    return replace(document, dialog=None, buttons=(replace(opening, token=document.dialog.token), *document.buttons))


# ---- out


def say(document: Document, language: Language, place: Place, speaker: Speaker) -> Receipt:
    """Says the document where the message came from; what was a command is answered to that person alone.

    A form is opened while the trigger is fresh, else a button opens it later. An answer that takes the place of a
    message which cannot be changed any more is said as a new one. A `response_url` that is used up gives way to an
    ephemeral message, and that one, where the bot is not in the channel, to the one-to-one chat. Blocks that are refused
    are sent once more as text. Nothing is said twice whose outcome is unknown.
    """
    if document.dialog is not None and place.trigger and _opened(document, language, place, speaker):
        return Receipt()
    document = _with_button(document, language)
    drawn = message(document, language)
    try:
        return _say(drawn, place, speaker)
    except DeliveryError as error:
        if error.reason != "form" or place.reply_url == HOME_URL:
            raise
    return _say(text_only(document, language), place, speaker)


def _say(drawn: dict[str, Any], place: Place, speaker: Speaker) -> Receipt:
    channel, user = _parts(place)
    if channel == HOME:
        if place.reply_url == HOME_URL:
            return _call(PUBLISH_URL, {"user_id": user, "view": {"type": "home", "blocks": drawn["blocks"]}}, speaker)
        channel = ""
    if changeable := _MESSAGE.fullmatch(place.replaces):
        try:
            return _update(changeable[1], changeable[2], drawn, speaker)
        except DeliveryError as error:
            if not error.permanent or error.reason == "form":
                raise
    url = response_url(place.reply_url) if place.conversation else ""
    able = isinstance(speaker.credentials, SlackCredentials)
    if url:
        lasts = place.reply_until is None or place.reply_until - RESPONSE_MARGIN > speaker.now
        if lasts or not able:
            try:
                return _respond(url, drawn, place.replaces == IN_RESPONSE, speaker)
            except DeliveryError as error:
                if not able or not error.permanent or error.reason == "form":
                    raise
    if not user:
        return _post_in_thread(channel, _thread(place.reply_url), drawn, speaker)
    if channel.startswith("D") and not url:
        return _post_in_thread(channel, _thread(place.reply_url), drawn, speaker)
    if channel and not channel.startswith("D"):
        try:
            return _post(WHISPER_URL, channel, {"user": user, **drawn}, speaker)
        except DeliveryError as error:
            if error.reason not in ("gone", "not_there", "forbidden"):
                raise
    return _post(POST_URL, user, drawn, speaker)


def _opened(document: Document, language: Language, place: Place, speaker: Speaker) -> bool:
    """Whether the form is known to stand before the person. A second one after a lost answer does no harm."""
    dialog = localize(document, language).dialog
    assert dialog is not None  # noqa: S101 (the caller's condition)
    view = modal(dialog, language, way_back(place.reply_url))
    try:
        _call(OPEN_URL, {"trigger_id": place.trigger, "view": view}, speaker)
    except DeliveryError:
        return False
    return True


def _update(channel: str, ts: str, drawn: dict[str, Any], speaker: Speaker) -> Receipt:
    """Text without blocks takes the blocks away, so there are always both, unless the blocks were refused."""
    shown = {name: part for name, part in drawn.items() if name in ("text", "blocks")}
    return _call(UPDATE_URL, {"channel": channel, "ts": ts, **shown}, speaker)


def _post_in_thread(channel: str, thread: str, drawn: dict[str, Any], speaker: Speaker) -> Receipt:
    """Into the thread; into its channel when the thread is gone."""
    if thread:
        try:
            return _post(POST_URL, channel, {"thread_ts": thread, **drawn}, speaker)
        except DeliveryError as error:
            if error.reason != "no_thread":
                raise
    return _post(POST_URL, channel, drawn, speaker)


def _respond(url: str, drawn: dict[str, Any], replaces: bool, speaker: Speaker) -> Receipt:
    answer = {"response_type": "ephemeral", "replace_original": replaces, **drawn}
    try:
        reply = speaker.http.post(url, json=answer)
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    failure = respond_refusal(reply)
    if failure is not None:
        raise failure
    return Receipt()


def _post(url: str, channel: str, body: dict[str, Any], speaker: Speaker) -> Receipt:
    if not channel:
        raise DeliveryError("no_recipient", _("Slack did not say where this belongs."), permanent=True)
    return _call(url, {"channel": channel, **body}, speaker)


def _call(url: str, body: dict[str, Any], speaker: Speaker) -> Receipt:
    """The receipt names the message, if it is one that can be changed: an ephemeral one cannot."""
    app = speaker.credentials
    if not isinstance(app, SlackCredentials):
        raise DeliveryError("not_configured", _("The Slack app is not configured."), permanent=True)
    try:
        reply = speaker.http.post(url, json=body, headers={"Authorization": f"Bearer {app.bot_token}"})
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    failure = api_refusal(reply)
    if failure is not None:
        raise failure
    answered = reply.json()
    return Receipt(handle_of(answered.get("channel"), answered.get("ts")))

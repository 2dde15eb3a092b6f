"""Slack's callbacks: buttons, forms and the shortcut on a message, decoded; and what is wrong with a form, for Slack.

https://docs.slack.dev/interactivity/handling-user-interaction, .../reference/interaction-payloads

Where a button was pressed is told by the conversation of `slack_callback`, but for the one-to-one chat: what stands
there was said to that person alone, also if it belongs to another conversation (the app's page, a private answer), so
that of the button counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.markup.plain import clean
from bot.markup.slack import ACTION
from bot.platforms import slack_say
from bot.platforms.contract import Incoming, Press
from bot.platforms.slack_ids import MESSAGE_ID, NAME_MAX_CHARS, mapping, needed_id, optional_id, string, title_of
from handlers.buttons import MAX_CHARS, ForgedButton
from handlers.errors import PayloadError
from handlers.texts import _

ACKNOWLEDGE = "acknowledge"
"""`callback_id` of the shortcut on messages."""
MOST_NUMBERS = 20
VALUE_MAX_CHARS = 3000

_TOKEN = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_CHARS}}}")
_NUMBER = re.compile(r"(?<![\w#&/])#(\d{1,9})(?!\w)")
# Where the numbers stand in lists: `#41 · CRITICAL · …`, and in digests `disk full ×4: #3–#5 #9`.
_RUN = re.compile(r"(?<![\w#&/])#\d{1,9}(?:[ –]+#\d{1,9})*(?!\w)")
_SPAN = re.compile(r"#(\d{1,9})(?:–#(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class _Who:
    team: str
    person: str
    user: str
    name: str


def decode_click(payload: Mapping[str, object], now: datetime, fallback_id: str = "") -> Incoming | None:
    """A button that was pressed; None for one that is not ours.

    Raises PayloadError, which names the field without which nothing can be done, and ForgedButton.
    """
    actions = payload.get("actions")
    action = mapping(actions[0]) if isinstance(actions, list) and actions else {}
    if not string(action.get("action_id")).startswith(ACTION):
        return None
    token, who = _token(action.get("value")), _who(payload)
    container, message, view = (mapping(payload.get(name)) for name in ("container", "message", "view"))
    at_home = string(view.get("type")) == slack_say.HOME
    place = mapping(payload.get("channel"))
    channel = slack_say.HOME if at_home else optional_id(container.get("channel_id")) or _channel(payload)
    ephemeral = container.get("is_ephemeral") is True
    url = slack_say.response_url(payload.get("response_url")) if ephemeral else ""
    thread = string(container.get("thread_ts")) or string(message.get("thread_ts"))
    direct = at_home or ephemeral or channel.startswith("D")
    if ephemeral or at_home:
        conversation = f"slack:{who.team}/{channel}/{who.user}"
    else:
        conversation = "" if direct else f"slack:{who.team}/{channel}"
    handle = slack_say.handle_of(channel, container.get("message_ts") or message.get("ts"))
    if ephemeral:
        handle = slack_say.IN_RESPONSE if url else ""
    return Incoming(
        platform="slack",
        message_id=_click_id(payload, action, who, fallback_id),
        person=who.person,
        name=who.name,
        conversation=conversation,
        direct=direct,
        text="",
        title=title_of(channel, place.get("name")),
        reply_url=url or slack_say.answer_url(thread),
        reply_until=now + slack_say.RESPONSE_LASTS if url else None,
        press=Press(token, {}, handle),
        trigger=string(payload.get("trigger_id")),
        whisper="" if direct else f"slack:{who.team}/{channel}/{who.user}",
    )


def decode_form(payload: Mapping[str, object], fallback_id: str = "") -> Incoming | None:
    """A form that was submitted; None for one that is not ours. Raises PayloadError, ForgedButton.

    Slack does not say where it was opened: its token does, and the words beside it say in which thread.
    """
    view = mapping(payload.get("view"))
    if view.get("callback_id") != ACTION:
        return None
    given, _blank, way = string(view.get("private_metadata")).partition(" ")
    token, who = _token(given), _who(payload)
    blocks = mapping(view.get("state")).get("values")
    if not isinstance(blocks, Mapping) or not blocks:
        raise PayloadError("$.view.state.values", _("a JSON object is expected"))
    values = {str(name): _value(inputs) for name, inputs in blocks.items()}
    return Incoming(
        platform="slack",
        message_id=_click_id(payload, {}, who, fallback_id),
        person=who.person,
        name=who.name,
        conversation="",
        direct=True,
        text="",
        reply_url=slack_say.reply_url_of(way),
        press=Press(token, values),
        trigger=string(payload.get("trigger_id")),
    )


def decode_shortcut(payload: Mapping[str, object], now: datetime, fallback_id: str = "") -> Incoming | None:
    """ "Acknowledge" on a message with alerts in it, answered to that person alone; None for another shortcut."""
    if payload.get("type") != "message_action" or payload.get("callback_id") != ACKNOWLEDGE:
        return None
    who, channel = _who(payload), _channel(payload)
    url = slack_say.response_url(payload.get("response_url"))
    numbers = numbers_in(mapping(payload.get("message")))
    return Incoming(
        platform="slack",
        message_id=_click_id(payload, {}, who, fallback_id),
        person=who.person,
        name=who.name,
        conversation=f"slack:{who.team}/{channel}/{who.user}",
        direct=True,
        text=" ".join(("ack", *(f"#{number}" for number in numbers))),
        spoken=False,
        title=title_of(channel, mapping(payload.get("channel")).get("name")),
        reply_url=url or slack_say.answer_url(""),
        reply_until=now + slack_say.RESPONSE_LASTS if url else None,
        trigger=string(payload.get("trigger_id")),
    )


def numbers_in(message: Mapping[str, object]) -> tuple[str, ...]:
    """Which alerts a card or an answer is about: the first one in its heading, else those that the lines of a list begin
    or end with, else all that are named. None in what people write: a `#42` of theirs may be anything.
    """
    if not message.get("bot_id"):
        return ()
    heading = _NUMBER.search(string(message.get("text")).lstrip().partition("\n")[0])
    if heading:
        return (heading[1],)
    shown = "\n".join(_strings([message.get("text"), message.get("blocks"), message.get("attachments")]))
    listed = [_listed(line) for line in shown.splitlines()]
    found = dict.fromkeys(number for run in listed for number in _spanned(run)) or dict.fromkeys(_NUMBER.findall(shown))
    return tuple(found)[:MOST_NUMBERS]


def _listed(line: str) -> str:
    """The run of numbers that a line begins or ends with, "" for none."""
    runs = list(_RUN.finditer(line.strip().removeprefix("• ")))
    if runs and runs[0].start() == 0:
        return runs[0][0]
    return runs[-1][0] if runs and runs[-1].end() == len(runs[-1].string) else ""


def _spanned(run: str) -> Iterator[str]:
    """The numbers of `#3–#5 #9`, no more of them than are wanted."""
    for first, last in _SPAN.findall(run):
        yield from map(str, range(int(first), min(int(last or first), int(first) + MOST_NUMBERS) + 1))


def shown_errors(payload: Mapping[str, object], errors: Mapping[str, str]) -> dict[str, str]:
    """The sentences under the inputs that Slack knows; what concerns the whole form stands under the first one."""
    view = mapping(payload.get("view"))
    blocks = view.get("blocks")
    inputs = [
        str(block.get("block_id"))
        for block in (blocks if isinstance(blocks, list) else ())
        if isinstance(block, Mapping) and block.get("type") == "input"
    ] or list(mapping(mapping(view.get("state")).get("values")))
    shown: dict[str, str] = {}
    for name, sentence in errors.items():
        at = name if name in inputs else inputs[0]
        shown[at] = f"{shown[at]} {sentence}" if at in shown else sentence
    return shown


def _token(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ForgedButton
    return value


def _who(payload: Mapping[str, object]) -> _Who:
    user = mapping(payload.get("user"))
    user_id, home = needed_id(user, "id", "$.user.id"), optional_id(user.get("team_id"))
    team = optional_id(mapping(payload.get("team")).get("id")) or home
    if not team:
        raise PayloadError("$.team.id", _("an id is expected"))
    name = string(user.get("username")) or string(user.get("name"))
    # Somebody of another workspace, in a shared channel, is of that one.
    return _Who(team, f"slack:{home or team}/{user_id}", user_id, name[:NAME_MAX_CHARS])


def _channel(payload: Mapping[str, object]) -> str:
    return needed_id(mapping(payload.get("channel")), "id", "$.channel.id")


def _click_id(payload: Mapping[str, object], action: Mapping[str, object], who: _Who, fallback_id: str) -> str:
    """What only this very click has, and a repetition of it too."""
    at = string(action.get("action_ts")) or string(payload.get("action_ts"))
    found = string(payload.get("trigger_id")) or (f"{at}.{who.user}" if at else "") or fallback_id
    if not MESSAGE_ID.fullmatch(found):
        raise PayloadError("$.trigger_id", _("an id is expected"))
    return found


def _value(inputs: object) -> str:
    """What stands in the one input of a block; of several choices their values, comma-separated."""
    element = next(iter(mapping(inputs).values()), None)
    found = mapping(element)
    chosen = found.get("selected_options")
    if isinstance(chosen, list):
        return ",".join(clean(string(mapping(one).get("value"))) for one in chosen)
    typed = found.get("value") or mapping(found.get("selected_option")).get("value")
    return clean(string(typed))[:VALUE_MAX_CHARS]


def _strings(part: object) -> Iterator[str]:
    """The texts that are read in a message, without the values behind its buttons."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for one in part:
            yield from _strings(one)
    elif isinstance(part, Mapping):
        for name in ("text", "fields", "elements", "fallback", "blocks"):
            yield from _strings(part.get(name))

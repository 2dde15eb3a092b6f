"""Slack: the app's endpoints, Web API and `response_url`.

Pages: https://docs.slack.dev/reference/methods/chat.postMessage, .../chat.postEphemeral, .../chat.update, .../views.open,
.../views.publish, https://docs.slack.dev/interactivity/handling-user-interaction. Strict where something is documented:
the token, the form of blocks and views, one message a second to a channel, a `response_url` for five answers within half
an hour, a `trigger_id` for one form within three seconds. Short bursts, which Slack tolerates, are refused here.

Messages are called `C0001/1700000000.000100` in `Event.ref`, forms and pages by the id of their view. These two stand in
no conversation: their place is the one-to-one chat of their person.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.sandbox.slack import PERIOD_S
from bot.sandbox.slack_blocks import Bad, refused_message, refused_view
from bot.sandbox.wire import Answer, Request, json_answer, text_answer
from bot.sandbox.world import World

RESPONSE_USES = 5
RESPONSE_S = 1800.0
TRIGGER_S = 3.0
UPDATE_TEXT = 4_000
OPEN_PATH = "/api/apps.connections.open"
_BEARER = re.compile(r"Bearer (\S+)")
_STAMP = re.compile(r"\d{10}\.\d{6}")

METHOD = re.compile(r"/api/[a-z]+\.[A-Za-z.]+")
"""A path of the Web API; other vendors have theirs under /api/ too."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace with our app installed: what its settings pages show."""

    team: str = "T0001"
    app_id: str = "A0001"
    bot: str = "U0BOT"
    bot_token: str = field(default="xoxb-of-the-sandbox", repr=False)
    signing_secret: str = field(default="8f742231b10e8888abcd99yyyzzz85a5", repr=False)
    app_token: str = field(default="xapp-of-the-sandbox", repr=False)


@dataclass(slots=True)
class _Response:
    """A `response_url` that was given out; `ref` is the message whose button it came with."""

    place: str
    person: str
    until: float
    ref: str = ""
    uses: int = 0


@dataclass(slots=True)
class _Trigger:
    person: str
    until: float
    used: bool = False


@dataclass(frozen=True, slots=True)
class _Message:
    """A message of the app's bot; `ephemeral` ones cannot be changed by the API."""

    person: str
    ephemeral: bool
    thread: str = ""


class SlackApp:
    """`slack.com/api` and `hooks.slack.com/commands`."""

    name = "slack"

    def __init__(self, world: World) -> None:
        self.world = world
        self.workspaces: dict[str, Workspace] = {}
        self.socket_url: Callable[[Workspace], str] | None = None
        self._responses: dict[str, _Response] = {}
        self._triggers: dict[str, _Trigger] = {}
        self._messages: dict[str, _Message] = {}
        self._stamps = 0

    def install(self, workspace: Workspace) -> Workspace:
        """The app is installed there: its tokens are good from now on."""
        self.workspaces[workspace.bot_token] = workspace
        return workspace

    # -- what the client needs

    def stamp(self) -> str:
        """A message's `ts`, unlike any other."""
        with self.world.lock:
            self._stamps += 1
            stamp = f"{int(self.world.now())}.{self._stamps:06d}"
            self.world.remember(f"slack:ts:{stamp}", True)
        return stamp

    def new_response(self, team: str, place: str, person: str, ref: str = "") -> str:
        """A new `response_url`, as a command carries it, or (`ref`) a button that stands in that message."""
        with self.world.lock:
            word = secrets.token_hex(12)
            self._responses[word] = _Response(place, person, self.world.now() + RESPONSE_S, ref)
        return f"https://hooks.slack.com/{'actions' if ref else 'commands'}/{team}/1/{word}"

    def new_trigger(self, person: str) -> str:
        """A new `trigger_id`, as everything carries that a person does."""
        with self.world.lock:
            trigger = f"{self.world.new_id('1')}.2.{secrets.token_hex(8)}"
            self._triggers[trigger] = _Trigger(person, self.world.now() + TRIGGER_S)
        return trigger

    def thread_of(self, ref: str) -> str:
        """In which thread that message stands, "" for none."""
        with self.world.lock:
            message = self._messages.get(ref)
            return message.thread if message else ""

    # -- one request

    def owns(self, request: Request) -> bool:
        return METHOD.match(request.path) is not None or request.path.startswith(("/commands/", "/actions/"))

    def keys(self, request: Request) -> tuple[str, ...]:
        kind = next((one for one in ("/commands/", "/actions/") if request.path.startswith(one)), request.path)
        return (f"slack:{kind}", "slack:app", "slack")

    def refusal(self, code: str | int, text: str) -> Answer:
        word = str(code)
        limited = word in ("ratelimited", "rate_limited")
        return json_answer(
            {"ok": False, "error": text or word},
            429 if limited else 200,
            (("Retry-After", "1"),) if limited else (),
        )

    def answer(self, request: Request) -> Answer:
        if request.path.startswith(("/commands/", "/actions/")):
            return self._respond(request)
        message: Any = None
        place = ""
        try:
            workspace = self._workspace(request)
            match request.path.removeprefix("/api/"):
                case "auth.test":
                    return json_answer({"ok": True, "team_id": workspace.team, "user_id": workspace.bot})
                case "apps.connections.open":
                    if self.socket_url is None:
                        raise Bad("internal_error")
                    return json_answer({"ok": True, "url": self.socket_url(workspace)})
                case "chat.postMessage":
                    message = self._body(request)
                    place, person = self._where(message.get("channel"))
                    return self._said(place, person, message)
                case "chat.postEphemeral":
                    message = self._body(request)
                    place, person = self._whispered(message)
                    self._check(message, place)
                    stamp = self._happened(place, message, person, ephemeral=True)
                    return json_answer({"ok": True, "message_ts": stamp})
                case "chat.update":
                    message = self._body(request)
                    place = str(message.get("channel"))
                    return self._updated(place, message)
                case "views.open":
                    message = self._body(request)
                    return self._opened(message)
                case "views.publish":
                    message = self._body(request)
                    return self._published(message)
                case _:
                    raise Bad("unknown_method")
        except Bad as bad:
            note = f"{bad.word}: {bad.why}" if bad.why else bad.word
            self.world.happen("refused", "slack", place, message, note=note)
            if bad.word == "ratelimited":
                return json_answer({"ok": False, "error": bad.word}, 429, (("Retry-After", bad.why),))
            return json_answer({"ok": False, "error": bad.word})

    def _workspace(self, request: Request) -> Workspace:
        """Whose token it is. Raises Bad."""
        if request.method != "POST":
            raise Bad("invalid_arguments", "not a POST")
        bearer = _BEARER.fullmatch(request.headers.get("authorization", ""))
        if bearer is None:
            raise Bad("not_authed")
        by_app = request.path == OPEN_PATH
        for workspace in self.workspaces.values():
            if bearer[1] == (workspace.app_token if by_app else workspace.bot_token):
                return workspace
        known = any(bearer[1] in (one.app_token, one.bot_token) for one in self.workspaces.values())
        raise Bad("not_allowed_token_type" if known else "invalid_auth")

    def _body(self, request: Request) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise Bad("invalid_form_data", "content type")
        try:
            body = request.json()
        except ValueError:
            raise Bad("invalid_json") from None
        if not isinstance(body, dict):
            raise Bad("json_not_object")
        return body

    def _where(self, channel: object) -> tuple[str, str]:
        """Place and person of a `channel`: a channel, a one-to-one chat, or a user, whose chat is opened."""
        if not isinstance(channel, str) or not channel:
            raise Bad("channel_not_found")
        group = self.world.group("slack", channel)
        if group is not None:
            if not group.bot:
                raise Bad("not_in_channel")
            return group.id, ""
        for person in self.world.people:
            if person.platform == "slack" and channel in (person.id, person.chat):
                if not person.reachable:
                    raise Bad("messages_tab_disabled")
                return person.chat, person.id
        raise Bad("channel_not_found")

    def _whispered(self, message: Mapping[str, Any]) -> tuple[str, str]:
        group = self.world.group("slack", str(message.get("channel")))
        if group is None:
            raise Bad("channel_not_found")
        if not group.bot:
            raise Bad("not_in_channel")
        if message.get("user") not in group.members:
            raise Bad("user_not_in_channel")
        return group.id, str(message["user"])

    def _check(self, message: Mapping[str, Any], place: str) -> None:
        """The form of the message, then the limit of its channel. Raises Bad."""
        refused = refused_message(message)
        if refused:
            raise Bad(*refused)
        thread = message.get("thread_ts")
        if thread is not None and not (isinstance(thread, str) and _STAMP.fullmatch(thread)):
            raise Bad("invalid_thread_ts")
        if thread is not None and not self.world.recall(f"slack:ts:{thread}"):
            raise Bad("thread_not_found")
        if message.get("link_names") or message.get("parse") == "full":
            raise Bad("invalid_arguments", "foreign text would mention people")
        last = self.world.recall(f"slack:said:{place}")
        now = self.world.now()
        if last is not None and now < last + PERIOD_S:
            raise Bad("ratelimited", str(max(1, math.ceil(last + PERIOD_S - now))))
        self.world.remember(f"slack:said:{place}", now)

    def _said(self, place: str, person: str, message: dict[str, Any]) -> Answer:
        self._check(message, place)
        stamp = self._happened(place, message, person)
        return json_answer({"ok": True, "channel": place, "ts": stamp, "message": {"text": message.get("text")}})

    def _happened(self, place: str, message: dict[str, Any], person: str, *, ephemeral: bool = False) -> str:
        """The bot said that; the `ts` of its message."""
        stamp = self.stamp()
        ref = f"{place}/{stamp}"
        self._messages[ref] = _Message(person, ephemeral, message.get("thread_ts", ""))
        note = "ephemeral" if ephemeral else ""
        self.world.happen("say", "slack", place, message, person=person, note=note, ref=ref)
        return stamp

    def _updated(self, place: str, message: dict[str, Any]) -> Answer:
        """A message changed in place: what is not sent again is gone, but for its thread."""
        chats = {person.chat for person in self.world.people if person.platform == "slack"}
        if self.world.group("slack", place) is None and place not in chats:
            raise Bad("channel_not_found", "an id of a channel is expected")
        if unknown := set(message) - {"channel", "ts", "text", "blocks", "attachments", "parse", "link_names"}:
            raise Bad("invalid_arguments", f"{min(unknown)} is unknown")
        ref = f"{place}/{message.get('ts')}"
        found = self._messages.get(ref)
        if found is None or found.ephemeral:
            raise Bad("message_not_found")
        refused = refused_message(message)
        if refused:
            raise Bad(*refused)
        if len(message.get("text", "")) > UPDATE_TEXT:
            raise Bad("msg_too_long")
        shown = {name: part for name, part in message.items() if name in ("text", "blocks", "attachments")}
        self.world.happen("update", "slack", place, shown, person=found.person, ref=ref)
        return json_answer({"ok": True, "channel": place, "ts": message["ts"], "text": message.get("text", "")})

    def _opened(self, body: Mapping[str, Any]) -> Answer:
        trigger = self._triggers.get(str(body.get("trigger_id")))
        if trigger is None:
            raise Bad("invalid_trigger_id")
        if trigger.used:
            raise Bad("exchanged_trigger_id")
        if self.world.now() >= trigger.until:
            raise Bad("expired_trigger_id")
        refused = refused_view(body.get("view"), "modal")
        if refused:
            raise Bad(*refused)
        trigger.used = True
        return self._shown("form", trigger.person, body["view"])

    def _published(self, body: Mapping[str, Any]) -> Answer:
        if self.world.person("slack", str(body.get("user_id"))) is None:
            raise Bad("user_not_found")
        refused = refused_view(body.get("view"), "home")
        if refused:
            raise Bad(*refused)
        return self._shown("home", body["user_id"], body["view"])

    def _shown(self, kind: Literal["form", "home"], person_id: str, view: Mapping[str, Any]) -> Answer:
        person = self.world.person("slack", person_id)
        view_id = self.world.new_id("V")
        self.world.happen(kind, "slack", person.chat if person else "", dict(view), person=person_id, ref=view_id)
        return json_answer({"ok": True, "view": {"id": view_id, **view}})

    def _respond(self, request: Request) -> Answer:
        """A post to a `response_url`. Its refusals are JSON with a 4xx."""
        word = request.path.rpartition("/")[2]
        response = self._responses.get(word)
        place, person = (response.place, response.person) if response else ("", "")
        message: Any = None
        try:
            if response is None or request.method != "POST":
                raise Bad("invalid_url")
            if self.world.now() >= response.until:
                raise Bad("expired_url")
            if response.uses >= RESPONSE_USES:
                raise Bad("used_url")
            message = self._body(request)
            if message.get("response_type", "ephemeral") not in ("ephemeral", "in_channel"):
                raise Bad("invalid_arguments", "response_type")
            if not isinstance(message.get("replace_original", False), bool):
                raise Bad("invalid_arguments", "replace_original")
            refused = refused_message(message)
            if refused:
                raise Bad(*refused)
        except Bad as bad:
            note = f"{bad.word}: {bad.why}" if bad.why else bad.word
            self.world.happen("refused", "slack", place, message, person=person, note=note)
            return json_answer({"ok": False, "error": bad.word}, 404 if bad.word.endswith("_url") else 400)
        response.uses += 1
        if response.ref and message.get("replace_original"):
            changed = self._messages[response.ref]
            note = "ephemeral" if changed.ephemeral else ""
            self.world.happen("update", "slack", place, message, person=changed.person, note=note, ref=response.ref)
            return text_answer("ok")
        ephemeral = message.get("response_type", "ephemeral") == "ephemeral"
        self._happened(place, message, person if ephemeral else "", ephemeral=ephemeral)
        return text_answer("ok")

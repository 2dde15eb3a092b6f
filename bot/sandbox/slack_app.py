"""Slack: the app's endpoints (Web API, `response_url`), and a client that types.

Pages: https://docs.slack.dev/reference/methods/chat.postMessage, .../chat.postEphemeral,
https://docs.slack.dev/interactivity/handling-user-interaction, https://docs.slack.dev/apis/events-api. Strict where
something is documented: the token, the form of blocks, one message a second to a channel, a `response_url` for five
answers within half an hour. Short bursts, which Slack tolerates, are refused here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import requests

from bot.sandbox.slack import PERIOD_S, refused_message
from bot.sandbox.wire import Answer, Request, json_answer, text_answer
from bot.sandbox.world import Event, Group, Person, World

RESPONSE_USES = 5
RESPONSE_S = 1800.0
OPEN_PATH = "/api/apps.connections.open"
_BEARER = re.compile(r"Bearer (\S+)")
_STAMP = re.compile(r"\d{10}\.\d{6}")
_CONTROLS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

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
    """A `response_url` that was given out."""

    place: str
    person: str
    until: float
    uses: int = 0


class _Bad(Exception):
    def __init__(self, word: str, why: str = "") -> None:
        self.word = word
        self.why = why
        super().__init__(word)


class SlackApp:
    """`slack.com/api` and `hooks.slack.com/commands`."""

    name = "slack"

    def __init__(self, world: World) -> None:
        self.world = world
        self.workspaces: dict[str, Workspace] = {}
        self.socket_url: Callable[[Workspace], str] | None = None
        self._responses: dict[str, _Response] = {}
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

    def new_response(self, team: str, place: str, person: str) -> str:
        """A new `response_url`, as a command carries it."""
        with self.world.lock:
            word = secrets.token_hex(12)
            self._responses[word] = _Response(place, person, self.world.now() + RESPONSE_S)
        return f"https://hooks.slack.com/commands/{team}/1/{word}"

    # -- one request

    def owns(self, request: Request) -> bool:
        return METHOD.match(request.path) is not None or request.path.startswith("/commands/")

    def keys(self, request: Request) -> tuple[str, ...]:
        kind = "/commands/" if request.path.startswith("/commands/") else request.path
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
        if request.path.startswith("/commands/"):
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
                        raise _Bad("internal_error")
                    return json_answer({"ok": True, "url": self.socket_url(workspace)})
                case "chat.postMessage":
                    message = self._body(request)
                    place, person = self._where(message.get("channel"))
                    return self._said(place, person, message)
                case "chat.postEphemeral":
                    message = self._body(request)
                    place, person = self._whispered(message)
                    self._check(message, place)
                    self.world.happen("say", "slack", place, message, person=person, note="ephemeral")
                    return json_answer({"ok": True, "message_ts": self.stamp()})
                case _:
                    raise _Bad("unknown_method")
        except _Bad as bad:
            note = f"{bad.word}: {bad.why}" if bad.why else bad.word
            self.world.happen("refused", "slack", place, message, note=note)
            if bad.word == "ratelimited":
                return json_answer({"ok": False, "error": bad.word}, 429, (("Retry-After", bad.why),))
            return json_answer({"ok": False, "error": bad.word})

    def _workspace(self, request: Request) -> Workspace:
        """Whose token it is. Raises _Bad."""
        if request.method != "POST":
            raise _Bad("invalid_arguments", "not a POST")
        bearer = _BEARER.fullmatch(request.headers.get("authorization", ""))
        if bearer is None:
            raise _Bad("not_authed")
        by_app = request.path == OPEN_PATH
        for workspace in self.workspaces.values():
            if bearer[1] == (workspace.app_token if by_app else workspace.bot_token):
                return workspace
        known = any(bearer[1] in (one.app_token, one.bot_token) for one in self.workspaces.values())
        raise _Bad("not_allowed_token_type" if known else "invalid_auth")

    def _body(self, request: Request) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise _Bad("invalid_form_data", "content type")
        try:
            body = request.json()
        except ValueError:
            raise _Bad("invalid_json") from None
        if not isinstance(body, dict):
            raise _Bad("json_not_object")
        return body

    def _where(self, channel: object) -> tuple[str, str]:
        """Place and person of a `channel`: a channel, a one-to-one chat, or a user, whose chat is opened."""
        if not isinstance(channel, str) or not channel:
            raise _Bad("channel_not_found")
        group = self.world.group("slack", channel)
        if group is not None:
            if not group.bot:
                raise _Bad("not_in_channel")
            return group.id, ""
        for person in self.world.people:
            if person.platform == "slack" and channel in (person.id, person.chat):
                if not person.reachable:
                    raise _Bad("messages_tab_disabled")
                return person.chat, person.id
        raise _Bad("channel_not_found")

    def _whispered(self, message: Mapping[str, Any]) -> tuple[str, str]:
        group = self.world.group("slack", str(message.get("channel")))
        if group is None:
            raise _Bad("channel_not_found")
        if not group.bot:
            raise _Bad("not_in_channel")
        if message.get("user") not in group.members:
            raise _Bad("user_not_in_channel")
        return group.id, str(message["user"])

    def _check(self, message: Mapping[str, Any], place: str) -> None:
        """The form of the message, then the limit of its channel. Raises _Bad."""
        refused = refused_message(message)
        if refused:
            raise _Bad(*refused)
        thread = message.get("thread_ts")
        if thread is not None and not (isinstance(thread, str) and _STAMP.fullmatch(thread)):
            raise _Bad("invalid_thread_ts")
        if thread is not None and not self.world.recall(f"slack:ts:{thread}"):
            raise _Bad("thread_not_found")
        if message.get("link_names") or message.get("parse") == "full":
            raise _Bad("invalid_arguments", "foreign text would mention people")
        last = self.world.recall(f"slack:said:{place}")
        now = self.world.now()
        if last is not None and now < last + PERIOD_S:
            raise _Bad("ratelimited", str(max(1, math.ceil(last + PERIOD_S - now))))
        self.world.remember(f"slack:said:{place}", now)

    def _said(self, place: str, person: str, message: dict[str, Any]) -> Answer:
        self._check(message, place)
        self.world.happen("say", "slack", place, message, person=person)
        return json_answer({"ok": True, "channel": place, "ts": self.stamp(), "message": {"text": message.get("text")}})

    def _respond(self, request: Request) -> Answer:
        """A post to a `response_url`. Its refusals are JSON with a 4xx."""
        word = request.path.rpartition("/")[2]
        response = self._responses.get(word)
        place, person = (response.place, response.person) if response else ("", "")
        message: Any = None
        try:
            if response is None or request.method != "POST":
                raise _Bad("invalid_url")
            if self.world.now() >= response.until:
                raise _Bad("expired_url")
            if response.uses >= RESPONSE_USES:
                raise _Bad("used_url")
            message = self._body(request)
            if message.get("response_type", "ephemeral") not in ("ephemeral", "in_channel"):
                raise _Bad("invalid_arguments", "response_type")
            refused = refused_message(message)
            if refused:
                raise _Bad(*refused)
        except _Bad as bad:
            note = f"{bad.word}: {bad.why}" if bad.why else bad.word
            self.world.happen("refused", "slack", place, message, person=person, note=note)
            return json_answer({"ok": False, "error": bad.word}, 404 if bad.word.endswith("_url") else 400)
        response.uses += 1
        note = "ephemeral" if message.get("response_type", "ephemeral") == "ephemeral" else ""
        self.world.happen("say", "slack", place, message, person=person if note else "", note=note)
        return text_answer("ok")


# -- a person's client


def signature(signing_secret: str, timestamp: str, body: bytes) -> str:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    signed = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(signing_secret.encode(), signed, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of something typed.

    delivered  the platform passed it on to the app (not: it answered well)
    status     HTTP status of the service's answer, 0 when nothing was passed on or it went through the socket
    answer     body of that answer
    body       what was passed on: a command's fields, or the event
    raw        as bytes, and the headers that they were signed with
    """

    delivered: bool
    status: int
    answer: bytes
    body: dict[str, Any] = field(default_factory=dict)
    raw: bytes = field(default=b"", repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)


class SlackClient:
    """Types on behalf of people and passes it on to the app, as Slack does.

    service_url  where our service listens; callbacks go to `<service_url>/slack/events`
    push         passes a payload through Socket Mode instead of HTTP (kind, payload), returning whether it was taken
    """

    def __init__(
        self,
        stand_in: SlackApp,
        service_url: str,
        workspace: Workspace,
        *,
        push: Callable[[str, dict[str, Any]], bool] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self.stand_in = stand_in
        self.world = stand_in.world
        self.service_url = service_url.rstrip("/")
        self.workspace = workspace
        self.push = push
        self.timeout_s = timeout_s
        self._http = requests.Session()
        self._http.trust_env = False

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def type(
        self,
        person_id: str,
        text: str,
        *,
        group: str = "",
        others: tuple[str, ...] = (),
        thread: str = "",
        event_id: str = "",
        skew_s: int = 0,
        sign: str | None = None,
        secret: str | None = None,
        **event: Any,
    ) -> Posted:
        """A person mentions the bot in that channel, or (`group` "") writes to it one-to-one.

        others        user ids of other people mentioned
        thread        `ts` of the message in whose thread it is said
        event_id      say the same event again instead of a new one
        skew_s        the signature's time, off by so much
        sign, secret  a forged signature; a wrong secret to sign with
        event         further members of the event, or other values of its members
        """
        person, place = self._person(person_id), self._place(person_id, group)
        self.world.happen("typed", "slack", place, text, person=person_id)
        if group and not self._group(group).bot:
            return Posted(False, 0, b"")
        stamp = self.stand_in.stamp()
        mention = f"<@{self.workspace.bot}> " if group else ""
        inner: dict[str, Any] = {
            "type": "app_mention" if group else "message",
            "user": person.id,
            "text": mention + text.translate(_CONTROLS) + "".join(f" <@{other}>" for other in others),
            "ts": stamp,
            "channel": place,
            "event_ts": stamp,
            "team": self.workspace.team,
        }
        if not group:
            inner |= {"channel_type": "im", "client_msg_id": self.world.new_id("client-")}
        if thread:
            inner["thread_ts"] = thread
        body = self.envelope({**inner, **event}, event_id)
        return self.post_event(body, skew_s=skew_s, sign=sign, secret=secret)

    def envelope(self, event: dict[str, Any], event_id: str = "") -> dict[str, Any]:
        """The outer body of an event."""
        return {
            "token": "deprecated",
            "team_id": self.workspace.team,
            "api_app_id": self.workspace.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": event_id or self.world.new_id("Ev"),
            "event_time": int(self.world.now()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": self.workspace.team,
                    "user_id": self.workspace.bot,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
        }

    def command(
        self,
        person_id: str,
        text: str,
        *,
        group: str = "",
        command: str = "/callboard",
        others: tuple[str, ...] = (),
        response: bool = True,
        skew_s: int = 0,
        sign: str | None = None,
        secret: str | None = None,
        **fields: str,
    ) -> Posted:
        """A person types a slash command in that channel, or in the one-to-one chat.

        response  False: without a `response_url`
        fields    further fields of the form, or other values of its fields
        """
        person, place = self._person(person_id), self._place(person_id, group)
        self.world.happen("typed", "slack", place, f"{command} {text}", person=person_id)
        names = (self._person(other) for other in others)
        form = {
            "token": "deprecated",
            "team_id": self.workspace.team,
            "team_domain": "acme",
            "channel_id": place,
            "channel_name": self._group(group).title if group else "directmessage",
            "user_id": person.id,
            "user_name": person.name,
            "command": command,
            "text": text + "".join(f" <@{other.id}|{other.name}>" for other in names),
            "api_app_id": self.workspace.app_id,
            "is_enterprise_install": "false",
            "response_url": self.stand_in.new_response(self.workspace.team, place, person.id),
            "trigger_id": f"{self.world.new_id('1')}.2.{secrets.token_hex(8)}",
        }
        if not response:
            del form["response_url"]
        form |= fields
        if self.push is not None:
            return Posted(self.push("slash_commands", dict(form)), 0, b"", dict(form))
        posted = self.post(
            urlencode(form).encode(),
            "application/x-www-form-urlencoded",
            body=dict(form),
            skew_s=skew_s,
            sign=sign,
            secret=secret,
        )
        if posted.status == 200 and posted.answer:
            said = posted.answer.decode("utf-8", "replace")
            self.world.happen("say", "slack", place, {"text": said}, person=person.id, note="ephemeral")
        return posted

    def post_event(self, body: dict[str, Any], **how: Any) -> Posted:
        """Any event body, signed or forged as asked."""
        if self.push is not None:
            return Posted(self.push("events_api", body), 0, b"", body)
        return self.post(json.dumps(body).encode(), "application/json", body=body, **how)

    def again(self, posted: Posted, *, fresh: bool = True, attempt: int = 1) -> Posted:
        """Delivered once more: with a fresh signature, as Slack does, or as somebody who listened would."""
        if self.push is not None:
            kind = "slash_commands" if "command" in posted.body else "events_api"
            return Posted(self.push(kind, posted.body), 0, b"", posted.body)
        kind = posted.headers["Content-Type"]
        retry = {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": "http_timeout"}
        if fresh:
            return self.post(posted.raw, kind, body=posted.body, more=retry)
        return self._send(posted.raw, posted.headers, posted.body)

    def post(
        self,
        raw: bytes,
        content_type: str,
        *,
        body: dict[str, Any] | None = None,
        skew_s: int = 0,
        sign: str | None = None,
        secret: str | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Posted:
        """Any bytes, signed or forged as asked."""
        stamp = str(int(self.world.now()) + skew_s)
        right = signature(self.workspace.signing_secret if secret is None else secret, stamp, raw)
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": right if sign is None else sign,
            **(more or {}),
        }
        return self._send(raw, headers, body or {})

    def _send(self, raw: bytes, headers: dict[str, str], body: dict[str, Any]) -> Posted:
        answer = self._http.post(
            f"{self.service_url}/slack/events", data=raw, headers=headers, timeout=self.timeout_s, allow_redirects=False
        )
        return Posted(True, answer.status_code, answer.content, body, raw, headers)

    def answers(self, conversation: str, after: int = 0) -> list[Event]:
        """What the bot said in that channel or chat since event number `after`."""
        return [event for event in self.world.said(conversation) if event.seq > after]

    def _person(self, person_id: str) -> Person:
        person = self.world.person("slack", person_id)
        if person is None:
            raise LookupError(f"nobody called {person_id!r} on slack")
        return person

    def _group(self, group_id: str) -> Group:
        group = self.world.group("slack", group_id)
        if group is None:
            raise LookupError(f"no channel {group_id!r} on slack")
        return group

    def _place(self, person_id: str, group: str) -> str:
        return self._group(group).id if group else self._person(person_id).chat

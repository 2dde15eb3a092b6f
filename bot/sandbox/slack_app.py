"""Slack: a person's client, that types and presses and passes it on to the app.

Pages: https://docs.slack.dev/apis/events-api, https://docs.slack.dev/interactivity/implementing-slash-commands,
https://docs.slack.dev/reference/interaction-payloads.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from bot.sandbox.client import Client
from bot.sandbox.directory import Person
from bot.sandbox.slack_api import SlackApp, Workspace
from bot.sandbox.slack_press import button_with, controls, errors_in, filled_in, is_form_with
from bot.sandbox.world import Event

__all__ = ["Posted", "SlackApp", "SlackClient", "Workspace", "controls", "signature"]

_CONTROLS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


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


class SlackClient(Client):
    """Types and presses on behalf of people and passes it on to the app, as Slack does.

    service_url  where our service listens; callbacks go to `<service_url>/slack/events`
    push         passes a payload through Socket Mode instead of HTTP (kind, payload), returning the acknowledgement
    """

    platform = "slack"
    group_word = "channel"

    def __init__(
        self,
        stand_in: SlackApp,
        service_url: str,
        workspace: Workspace,
        *,
        push: Callable[[str, dict[str, Any]], dict[str, Any] | None] | None = None,
    ) -> None:
        super().__init__(stand_in.world, service_url)
        self.stand_in = stand_in
        self.workspace = workspace
        self.push = push

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
        person = self._person(person_id)
        place = self._place(person, group)
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
        person = self._person(person_id)
        place = self._place(person, group)
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
            "trigger_id": self.stand_in.new_trigger(person.id),
        }
        if not response:
            del form["response_url"]
        form |= fields
        if self.push is not None:
            return self._pushed("slash_commands", dict(form))
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

    # -- buttons, forms, the app's own page

    def press(
        self,
        person_id: str,
        event: Event,
        token: str,
        values: Mapping[str, str] | None = None,
        *,
        carries: str | None = None,
        trigger: str | None = None,
        **how: Any,
    ) -> Posted:
        """A person presses the button with that token in a message or on the app's page, or submits the form with it.

        carries  what the control is made to carry instead of its token
        trigger  the `trigger_id` of another click, which is repeated so
        Raises LookupError when this person does not see such a control. What the answer to a form shows happens in the
        world. A form that Slack's own client objects to is not passed on.
        """
        person = self._person(person_id)
        if not self._sees(person, event):
            raise LookupError(f"{person_id!r} does not see this")
        about = {
            "user": {"id": person.id, "username": person.name, "team_id": self.workspace.team},
            "api_app_id": self.workspace.app_id,
            "team": {"id": self.workspace.team, "domain": "acme"},
            "trigger_id": trigger or self.stand_in.new_trigger(person.id),
        }
        if is_form_with(event.body, token):
            return self._submit(event, about, values or {}, carries, how)
        button, block_id = button_with(event.body, token)
        if values:
            raise LookupError(f"no field {min(values)!r} here")
        action = {
            **{name: part for name, part in button.items() if name in ("type", "action_id", "text", "style")},
            "block_id": block_id,
            "value": token if carries is None else carries,
            "action_ts": self.stand_in.stamp(),
        }
        payload = {"type": "block_actions", **about, **self._container(person, event), "actions": [action]}
        posted = self.post_interaction(payload, **how)
        if posted.status == 200 and posted.answer:
            self.world.happen("refused", "slack", event.place, None, note="a click is acknowledged with an empty body")
        return posted

    def _container(self, person: Person, event: Event) -> dict[str, Any]:
        """Where a button stands, as the payload tells it."""
        if event.kind == "home":
            view = {"id": event.ref, "type": "home", "blocks": event.body["blocks"]}
            return {"container": {"type": "view", "view_id": event.ref}, "view": view}
        place, _slash, stamp = event.ref.partition("/")
        thread = self.stand_in.thread_of(event.ref)
        in_thread = {"thread_ts": thread} if thread else {}
        ephemeral = event.note == "ephemeral"
        container = {
            "type": "message",
            "message_ts": stamp,
            "channel_id": place,
            "is_ephemeral": ephemeral,
            **in_thread,
        }
        whole: dict[str, Any] = (
            {} if ephemeral else {"message": {**self._message(event.body), "ts": stamp, **in_thread}}
        )
        url = self.stand_in.new_response(self.workspace.team, place, person.id, event.ref)
        return {"container": container, "channel": self._channel(place), **whole, "response_url": url}

    def _submit(
        self, event: Event, about: dict[str, Any], values: Mapping[str, str], carries: str | None, how: dict[str, Any]
    ) -> Posted:
        view = {name: part for name, part in event.body.items() if name != "errors"}
        state, objections = filled_in(view, values)
        if objections:
            self._form(event, {**view, "errors": objections}, "errors")
            return Posted(False, 0, b"")
        metadata = view["private_metadata"]
        if carries is not None:
            metadata = " ".join((carries, *metadata.split(" ")[1:]))
        shown = {**view, "private_metadata": metadata, "id": event.ref, "state": {"values": state}}
        posted = self.post_interaction({"type": "view_submission", **about, "view": shown, "response_urls": []}, **how)
        wrong = errors_in(posted.answer, view) if posted.status == 200 or self.push else None
        if wrong is None:
            self._form(event, view, "trouble")
        else:
            self._form(event, {**view, "errors": wrong} if wrong else None, "errors" if wrong else "")
        return posted

    def _form(self, event: Event, body: dict[str, Any] | None, note: str) -> None:
        """The form as it is now; None: it was closed."""
        self.world.happen("form", "slack", event.place, body, person=event.person, note=note, ref=event.ref)

    def shortcut(self, person_id: str, event: Event, callback_id: str, **how: Any) -> Posted:
        """A person chooses a shortcut of ours in the menu of that message, of a bot's or ("typed") of somebody's."""
        person = self._person(person_id)
        stamp = event.ref.partition("/")[2] or self.stand_in.stamp()
        whole = {"text": event.body, "user": event.person} if event.kind == "typed" else self._message(event.body)
        return self.post_interaction(
            {
                "type": "message_action",
                "callback_id": callback_id,
                "trigger_id": self.stand_in.new_trigger(person.id),
                "action_ts": self.stand_in.stamp(),
                "message_ts": stamp,
                "message": {"type": "message", "ts": stamp, **whole},
                "channel": self._channel(event.place),
                "user": {"id": person.id, "name": person.name, "team_id": self.workspace.team},
                "team": {"id": self.workspace.team, "domain": "acme"},
                "response_url": self.stand_in.new_response(self.workspace.team, event.place, person.id),
            },
            **how,
        )

    def open_home(self, person_id: str, *, tab: str = "home", **how: Any) -> Posted:
        """A person opens the app's own page."""
        person = self._person(person_id)
        event = {
            "type": "app_home_opened",
            "user": person.id,
            "channel": person.chat,
            "tab": tab,
            "event_ts": self.stand_in.stamp(),
        }
        return self.post_event(self.envelope(event), **how)

    def post_interaction(self, payload: dict[str, Any], **how: Any) -> Posted:
        """Any payload of interactivity, signed or forged as asked."""
        if self.push is not None:
            return self._pushed("interactive", payload)
        raw = urlencode({"payload": json.dumps(payload)}).encode()
        return self.post(raw, "application/x-www-form-urlencoded", body=payload, **how)

    def _sees(self, person: Person, event: Event) -> bool:
        if event.person:  # ephemeral, one-to-one, a form, a page
            return event.person == person.id
        return person.id in self._group(event.place).members

    def _message(self, body: Any) -> dict[str, Any]:
        """A bot's message as Slack gives it out."""
        shown = {name: body[name] for name in ("text", "blocks", "attachments") if name in body}
        return {"type": "message", "bot_id": "B0BOT", "user": self.workspace.bot, **shown}

    def _channel(self, place: str) -> dict[str, str]:
        group = self.world.group("slack", place)
        return {"id": place, "name": group.title if group else "directmessage"}

    def _pushed(self, kind: str, payload: dict[str, Any]) -> Posted:
        assert self.push is not None  # noqa: S101 (the caller's condition)
        taken = self.push(kind, payload)
        answer = json.dumps(taken["payload"]).encode() if taken and "payload" in taken else b""
        return Posted(taken is not None, 0, answer, payload)

    def post_event(self, body: dict[str, Any], **how: Any) -> Posted:
        """Any event body, signed or forged as asked."""
        if self.push is not None:
            return self._pushed("events_api", body)
        return self.post(json.dumps(body).encode(), "application/json", body=body, **how)

    def again(self, posted: Posted, *, fresh: bool = True, attempt: int = 1) -> Posted:
        """Delivered once more: with a fresh signature, as Slack does, or as somebody who listened would."""
        if self.push is not None:
            kind = "events_api" if "event" in posted.body else "interactive"
            return self._pushed("slash_commands" if "command" in posted.body else kind, posted.body)
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
        answer = self._post("/slack/events", raw, headers)
        return Posted(True, answer.status_code, answer.content, body, raw, headers)

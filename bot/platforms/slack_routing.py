"""Slack's payloads through Bolt for Python: verified and parsed here, routed there, taken in by listeners.

https://docs.slack.dev/tools/bolt-python. Bolt 1.30.0 gets payloads that are parsed already, as it does in Socket Mode,
because by itself it

- parses before it looks at the signature, and fails with 500 on broken JSON and on odd headers;
- loses every form that has the letters `payload` in some value (`/callboard contact add payload-svc`);
- answers `ssl_check=1` before the signature, whatever else the form says;
- asks `auth.test` at the first request, and when that is refused answers events 200 and forgets them: `authorize` below
  asks nobody;
- acknowledges events before their listener has run, and runs listeners in five threads that all share:
  `process_before_response` runs them in the request's own thread, and they only take in;
- answers 404 to what has no listener, after which Slack tries again: everything has one.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from slack_bolt import Ack, App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient

from bot.platforms.contract import Incoming
from bot.platforms.slack_callback import decode_command, decode_event
from bot.platforms.slack_press import decode_click, decode_form, decode_shortcut, shown_errors
from handlers.errors import PayloadError
from handlers.exchange import Outcome
from handlers.texts import _

VENDOR = "https://slack.com"
ANYTHING = re.compile("")
SSL_CHECK_MAX_BYTES = 4096

# Both packages would print whole messages, tokens among them. What is worth knowing is logged in our own words.
MUTED = logging.getLogger("slack_bolt.muted")
MUTED.setLevel(logging.CRITICAL + 1)
MUTED.propagate = False


def is_ssl_check(raw: bytes) -> bool:
    """Slack only tries the certificate: such a form is not signed, and nothing else may be in it."""
    if len(raw) > SSL_CHECK_MAX_BYTES or b"ssl_check" not in raw:
        return False
    form = dict(parse_qsl(raw.decode("ascii", "replace"), keep_blank_values=True))
    return form.get("ssl_check") == "1" and not {"command", "payload"} & form.keys()


def payload_of(raw: bytes, content_type: str) -> dict[str, Any]:
    """The verified body as Bolt has it in Socket Mode: an event, a command's fields, or the JSON in `payload`.

    PayloadError for what is neither JSON nor a form.
    """
    try:
        text = raw.decode("utf-8")
        if content_type.partition(";")[0].strip().lower() == "application/json" or text.lstrip()[:1] == "{":
            found = json.loads(text)
        else:
            form = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=200))
            found = json.loads(form["payload"]) if "payload" in form and "command" not in form else form
    except (ValueError, RecursionError):
        raise PayloadError("$", _("the body is neither JSON nor a form")) from None
    if not isinstance(found, dict):
        raise PayloadError("$", _("a JSON object is expected"))
    return found


class SlackRouting:
    """The Bolt app of one workspace.

    take_in    stores a message durably, or raises
    carry_out  does what a button or form says, or raises: the answer to a form has to tell what is wrong with it
    clock      aware, UTC
    api_url    `https://slack.com` or what stands in for it
    """

    def __init__(
        self,
        bot_token: str,
        take_in: Callable[[Incoming], object],
        carry_out: Callable[[Incoming], Outcome | None],
        clock: Callable[[], datetime],
        *,
        api_url: str = "",
    ) -> None:
        self._take_in = take_in
        self._carry_out = carry_out
        self._clock = clock
        client = WebClient(base_url=f"{api_url or VENDOR}/api/", timeout=10, logger=MUTED)
        client.proxy = None  # nothing else of this service asks the environment for proxies
        self.bolt = App(
            name="callboard",
            logger=MUTED,
            client=client,
            signing_secret="",  # checked in front of Bolt, over the raw body
            request_verification_enabled=False,
            ssl_check_enabled=False,
            process_before_response=True,
            authorize=lambda **_context: AuthorizeResult(enterprise_id=None, team_id=None, bot_token=bot_token),
        )
        self.bolt.command(ANYTHING)(self._command)
        self.bolt.event("app_mention")(self._event)
        self.bolt.event("message")(self._event)
        self.bolt.event("app_home_opened")(self._event)
        self.bolt.event(ANYTHING)(_nothing)
        self.bolt.action(ANYTHING)(self._click)
        self.bolt.view(ANYTHING)(self._form)
        self.bolt.shortcut(ANYTHING)(self._shortcut)
        self.bolt.view_closed(ANYTHING)(_acknowledged)
        self.bolt.options(ANYTHING)(_no_options)

    def __repr__(self) -> str:
        return "SlackRouting()"

    def dispatch(self, payload: Mapping[str, Any], message_id: str = "") -> BoltResponse:
        """What Slack is to be answered; everything that was said is on disk by then.

        message_id  stands in for the id of a command that has none
        Raises what `take_in` and `carry_out` raised, ForgedButton among them, and PayloadError for a payload of no
        known form.
        """
        failure: list[Exception] = []
        context = {"failure": failure, "fallback_id": message_id}
        try:
            request = BoltRequest(mode="socket_mode", body=dict(payload), context=context)
            response = self.bolt.dispatch(request)
        except Exception:  # reads the payload before anything of ours does, and trusts its types
            raise PayloadError("$", _("not a payload of Slack's documented form")) from None
        if failure:
            raise failure[0]
        if response.status == 404 and isinstance(payload.get("type"), str):
            return BoltResponse(status=200)  # a kind that nobody here needs, such as `app_rate_limited`
        if response.status != 200:
            raise PayloadError("$", _("not a payload of Slack's documented form"))
        return response

    # ---- listeners: they run before Slack is answered, so they only touch the database

    def _command(self, body: dict[str, Any], context: BoltContext, ack: Ack) -> None:
        with _kept(context):
            self._take_in(decode_command(body, self._clock(), context.get("fallback_id", "")))
        ack()

    def _event(self, body: dict[str, Any], context: BoltContext) -> None:
        with _kept(context):
            incoming = decode_event(body)
            if incoming is not None:
                self._take_in(incoming)

    def _click(self, body: dict[str, Any], context: BoltContext, ack: Ack) -> None:
        with _kept(context):
            incoming = decode_click(body, self._clock(), context.get("fallback_id", ""))
            if incoming is not None:
                self._carry_out(incoming)
        ack()

    def _form(self, body: dict[str, Any], context: BoltContext, ack: Ack) -> None:
        with _kept(context):
            incoming = decode_form(body, context.get("fallback_id", ""))
            outcome = self._carry_out(incoming) if incoming is not None else None
        if outcome is not None and outcome.errors:
            ack(response_action="errors", errors=shown_errors(body, outcome.errors))
        else:
            ack()  # closes it

    def _shortcut(self, body: dict[str, Any], context: BoltContext, ack: Ack) -> None:
        with _kept(context):
            incoming = decode_shortcut(body, self._clock(), context.get("fallback_id", ""))
            if incoming is not None:
                self._take_in(incoming)
        ack()


@contextmanager
def _kept(context: BoltContext) -> Iterator[None]:
    """Bolt turns what a listener raises into an answer of its own; `dispatch` raises it again."""
    try:
        yield
    except Exception as error:
        context["failure"].append(error)
        raise


def _nothing() -> None:
    """Events that nobody here needs; Bolt acknowledges them."""


def _acknowledged(ack: Ack) -> None:
    """What nobody here needs to know."""
    ack()


def _no_options(ack: Ack) -> None:
    ack(options=[])

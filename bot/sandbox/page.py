"""The sandbox page and its routes; `page_guard.py` lets nobody but a browser on this machine use them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from flask import Blueprint, Response, make_response, request

from bot.sandbox.cast import GROUPS, PLAYERS, TITLES, Chat
from bot.sandbox.page_guard import TEXT_MAX_CHARS, as_json, form_values, guard, language, one_of, posted, refuse
from bot.sandbox.playground import NoService, NoSource, Passed, Playground, Where
from bot.sandbox.sample_alerts import Sample
from bot.sandbox.world import Event
from handlers.texts import Both, _

WAIT_S = 2.0
"""How long a poll waits for news. Short, because a service that stops waits for the requests it is answering."""

BUSY_WAIT_S = 0.5
BUSY = 6
"""From so many waiting polls on each waits only BUSY_WAIT_S: they must not take all threads of the web server."""

CROWD = 20
"""From so many on none waits at all."""

NEWEST = 500
"""A page that is opened shows at most so many events of the past."""

TOKEN_MAX_CHARS = 2000

WHO = tuple(player.id for player in PLAYERS)
NAMES = {"dingtalk": "DingTalk", "wecom": "WeCom", "lark": "Lark", "slack": "Slack"}
SOURCE_EXAMPLE = Both("source add demo alertmanager to dba", "告警源添加 demo alertmanager 到 dba")

MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; sandbox"
"""For the HTML of a mail, which others wrote: no script, no picture from outside, an origin of its own."""

HIDDEN = frozenset({"repeat", "alert"})
"""Kinds of events that no window shows."""


class Polls:
    """How long each of the polls that wait at the same time may wait."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting = 0

    @contextmanager
    def one(self) -> Iterator[float]:
        """Seconds that this poll may wait."""
        with self._guard:
            self._waiting += 1
            waiting = self._waiting
        try:
            yield WAIT_S if waiting <= BUSY else BUSY_WAIT_S if waiting <= CROWD else 0.0
        finally:
            with self._guard:
                self._waiting -= 1


def blueprint(playground: Playground) -> Blueprint:
    """`/` and everything below `/sandbox`."""
    page = Blueprint("sandbox", __name__)
    guard(page)
    _add_what_is_shown(page, playground)
    _add_what_people_do(page, playground)
    return page


def _add_what_is_shown(page: Blueprint, playground: Playground) -> None:
    polls = Polls()
    run = secrets.token_hex(8)  # event numbers begin anew with each start; a page that was open before must notice

    @page.get("/")
    def first() -> Response:
        return _file("page.html")

    @page.get("/sandbox/static/<name>")
    def file(name: str) -> Response:
        return _file(name)

    @page.get("/sandbox/state")
    def state() -> Response:
        return as_json(_state(playground))

    @page.get("/sandbox/events")
    def events() -> Response:
        after = request.args.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) <= 15):
            refuse(400, _("“after” must be the number of the last event seen, such as 0."))
        known = request.args.get("run") == run
        with polls.one() as wait_s:
            found = playground.polled(int(after) if known else 0, wait_s if known else 0.0)
        last = found[-1].seq if found else playground.world.last if not known else int(after)
        return as_json(
            {
                "run": run,
                "last": last,
                "events": [_shown(event) for event in found if event.kind not in HIDDEN][-NEWEST:],
                "source": playground.alert_path() is not None,
            }
        )

    @page.get("/sandbox/mail/<int:seq>")
    def mail(seq: int) -> Response:
        event = next((one for one in playground.world.after(seq - 1) if one.seq == seq and one.kind == "mail"), None)
        if event is None:
            refuse(404, _("There is no such mail."))
        response = make_response(str(event.body["html"]))
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        response.headers["Content-Security-Policy"] = MAIL_POLICY
        return response


def _add_what_people_do(page: Blueprint, playground: Playground) -> None:
    @page.post("/sandbox/say")
    def say() -> Response:
        body = posted()
        who = one_of(body, "who", WHO)
        platform: Any = one_of(body, "platform", get_args(Chat))
        where: Where = "group" if one_of(body, "where", get_args(Where)) == "group" else "direct"
        text = body.get("text")
        if not isinstance(text, str) or not text.strip() or len(text) > TEXT_MAX_CHARS:
            refuse(400, _("“text” must be 1 to {most} characters, such as “help”.", most=TEXT_MAX_CHARS))
        return _passed_on(playground, platform, lambda: playground.say(who, platform, where, text.strip()))

    @page.post("/sandbox/press")
    def press() -> Response:
        body = posted()
        who = one_of(body, "who", WHO)
        platform: Any = one_of(body, "platform", get_args(Chat))
        seq, token, values = body.get("seq"), body.get("token"), form_values(body)
        if not isinstance(seq, int) or isinstance(seq, bool) or not 0 < seq < 10**15:
            refuse(400, _("“seq” must be the number of the event that shows the button, such as 12."))
        if not isinstance(token, str) or not 0 < len(token) <= TOKEN_MAX_CHARS:
            refuse(400, _("“token” must be what the button carries, 1 to {most} characters.", most=TOKEN_MAX_CHARS))
        return _passed_on(playground, platform, lambda: playground.press(who, platform, seq, token, values))

    @page.post("/sandbox/home")
    def home() -> Response:
        who = one_of(posted(), "who", WHO)
        return _passed_on(playground, "slack", lambda: playground.open_home(who))

    @page.post("/sandbox/alert")
    def alert() -> Response:
        body = posted()
        sample: Any = one_of(body, "sample", get_args(Sample))
        try:
            raised = playground.raise_alerts(sample, language())
        except NoSource:
            refuse(409, _("There is no alert source yet. Example: {example}", example=SOURCE_EXAMPLE))
        except NoService:
            refuse(502, _("Callboard's own routes cannot be reached."))
        return as_json({"status": raised.status, "text": raised.text})


def _passed_on(playground: Playground, platform: Chat, pass_on: Callable[[], Passed]) -> Response:
    """What became of something that goes through that platform's client."""
    if platform not in playground.replaced:
        refuse(409, _("The real {platform} is connected: talk to the bot there.", platform=NAMES[platform]))
    try:
        found = pass_on()
    except LookupError:
        refuse(404, _("This button is not there any more."))
    except NoService:
        refuse(502, _("Callboard's own routes cannot be reached."))
    return as_json({"delivered": found.delivered, "status": found.status})


FILES = {
    "page.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "cards.js": "text/javascript",
    "words.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""What the page is made of, with types of our own: what systems believe about `.js` differs."""


def _file(name: str) -> Response:
    if name not in FILES:
        refuse(404, _("There is no such file."))
    return Response((Path(__file__).parent / "static" / name).read_bytes(), mimetype=FILES[name])


def _state(playground: Playground) -> dict[str, Any]:
    """What the page draws its windows from: people, groups with their robots' addresses, which platforms are real."""
    robots = playground.robot_secrets
    return {
        "people": [
            {
                "id": player.id,
                "name": player.name,
                "also": player.also,
                "admin": player.admin,
                "phone": player.phone,
                "mailbox": player.mailbox,
                "on": {name: {"id": player.on(name).person, "chat": player.on(name).chat} for name in GROUPS},
            }
            for player in PLAYERS
        ],
        "groups": {
            platform: {
                "id": GROUPS[platform],
                "title": TITLES[platform],
                "url": url,
                "secret": robots.get(platform, ""),
            }
            for platform, url in playground.webhook_urls.items()
        },
        "replaced": sorted(playground.replaced),
    }


def _shown(event: Event) -> dict[str, Any]:
    """An event as the page needs it: no robot tokens, of mails only what a mailbox shows."""
    body: Any = event.body
    if event.kind == "mail":
        body = {name: body[name] for name in ("from", "subject", "plain")} | {"html": bool(body["html"])}
    elif event.kind == "refused":
        body = None  # may hold what an address or a secret is made of, and the reason is what people need
    return {
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "platform": event.platform,
        "place": event.place,
        "person": event.person,
        "note": event.note,
        "ref": event.ref,
        "body": body,
    }

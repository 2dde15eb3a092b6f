"""The sandbox page and its routes: only for a browser on this machine, only for this page.

What is served here speaks for people and reads their one-to-one chats, so every request must name a loopback host (a
foreign page whose name was made to resolve here does not) and must not come from another site.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, get_args
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, make_response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from bot.sandbox.playground import (
    GROUPS,
    PLAYERS,
    TITLES,
    Chat,
    NoService,
    NoSource,
    Passed,
    Playground,
    Sample,
    Where,
)
from bot.sandbox.world import Event
from handlers.texts import Both, Language, Say, _, render

WAIT_S = 2.0
"""How long a poll waits for news. Short, because a service that stops waits for the requests it is answering."""

BUSY_WAIT_S = 0.5
BUSY = 6
"""From so many waiting polls on each waits only BUSY_WAIT_S: they must not take all threads of the web server."""

CROWD = 20
"""From so many on none waits at all."""

NEWEST = 500
"""A page that is opened shows at most so many events of the past."""

TEXT_MAX_CHARS = 4000
TOKEN_MAX_CHARS = 2000
FIELDS_MAX = 100
BODY_MAX_BYTES = 64 * 1024

WHO = tuple(player.id for player in PLAYERS)
NAMES = {"dingtalk": "DingTalk", "wecom": "WeCom", "lark": "Lark", "slack": "Slack"}
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
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
    polls = Polls()
    run = secrets.token_hex(8)  # event numbers begin anew with each start; a page that was open before must notice

    @page.before_request
    def guard() -> None:
        _only_from_here()

    @page.after_request
    def protect(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @page.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        return error.response if isinstance(error.response, Response) else _problem(error.code or 500, error.name)

    @page.get("/")
    def first() -> Response:
        return _file("page.html")

    @page.get("/sandbox/static/<name>")
    def file(name: str) -> Response:
        return _file(name)

    @page.get("/sandbox/state")
    def state() -> Response:
        return _json(_state(playground))

    @page.get("/sandbox/events")
    def events() -> Response:
        after = request.args.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) <= 15):
            _refuse(400, _("“after” must be the number of the last event seen, such as 0."))
        known = request.args.get("run") == run
        with polls.one() as wait_s:
            found = playground.polled(int(after) if known else 0, wait_s if known else 0.0)
        last = found[-1].seq if found else playground.world.last if not known else int(after)
        return _json(
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
            _refuse(404, _("There is no such mail."))
        response = make_response(str(event.body["html"]))
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        response.headers["Content-Security-Policy"] = MAIL_POLICY
        return response

    @page.post("/sandbox/say")
    def say() -> Response:
        body = _body()
        who = _word(body, "who", WHO)
        platform: Any = _word(body, "platform", get_args(Chat))
        where: Where = "group" if _word(body, "where", get_args(Where)) == "group" else "direct"
        text = body.get("text")
        if not isinstance(text, str) or not text.strip() or len(text) > TEXT_MAX_CHARS:
            _refuse(400, _("“text” must be 1 to {most} characters, such as “help”.", most=TEXT_MAX_CHARS))
        return passed(platform, lambda: playground.say(who, platform, where, text.strip()))

    @page.post("/sandbox/press")
    def press() -> Response:
        body = _body()
        who = _word(body, "who", WHO)
        platform: Any = _word(body, "platform", get_args(Chat))
        seq, token, values = body.get("seq"), body.get("token"), _values(body)
        if not isinstance(seq, int) or isinstance(seq, bool) or not 0 < seq < 10**15:
            _refuse(400, _("“seq” must be the number of the event that shows the button, such as 12."))
        if not isinstance(token, str) or not 0 < len(token) <= TOKEN_MAX_CHARS:
            _refuse(400, _("“token” must be what the button carries, 1 to {most} characters.", most=TOKEN_MAX_CHARS))
        return passed(platform, lambda: playground.press(who, platform, seq, token, values))

    @page.post("/sandbox/home")
    def home() -> Response:
        who = _word(_body(), "who", WHO)
        return passed("slack", lambda: playground.open_home(who))

    def passed(platform: Chat, pass_on: Callable[[], Passed]) -> Response:
        """What became of something that goes through that platform's client."""
        if platform not in playground.replaced:
            _refuse(409, _("The real {platform} is connected: talk to the bot there.", platform=NAMES[platform]))
        try:
            found = pass_on()
        except LookupError:
            _refuse(404, _("This button is not there any more."))
        except NoService:
            _refuse(502, _("Callboard's own routes cannot be reached."))
        return _json({"delivered": found.delivered, "status": found.status})

    @page.post("/sandbox/alert")
    def alert() -> Response:
        body = _body()
        sample: Any = _word(body, "sample", get_args(Sample))
        try:
            raised = playground.raise_alerts(sample, _language())
        except NoSource:
            _refuse(409, _("There is no alert source yet. Example: {example}", example=SOURCE_EXAMPLE))
        except NoService:
            _refuse(502, _("Callboard's own routes cannot be reached."))
        return _json({"status": raised.status, "text": raised.text})

    return page


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
        _refuse(404, _("There is no such file."))
    return Response((Path(__file__).parent / "static" / name).read_bytes(), mimetype=FILES[name])


SOURCE_EXAMPLE = Both("source add demo alertmanager to dba", "告警源添加 demo alertmanager 到 dba")


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


# -- who may ask


def _only_from_here() -> None:
    """403 unless a browser on this machine asks, by a loopback name, for a page of ours."""
    request.max_content_length = BODY_MAX_BYTES
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname
        near = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        name, near = None, False
    # Behind a proxy everybody comes from a loopback address.
    if not near or name not in LOOPBACK_NAMES or any(h in request.headers for h in ("Forwarded", "X-Forwarded-For")):
        _refuse(403, _("The sandbox is only for a browser on the same machine."))
    site = request.headers.get("Sec-Fetch-Site", "none")
    if site not in ("same-origin", "none") and request.path != "/":
        _refuse(403, _("The sandbox does not answer other sites."))
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.headers.get('Host', '')}":
        _refuse(403, _("The sandbox does not answer other sites."))


def _body() -> dict[str, Any]:
    """The JSON object that was posted."""
    if request.mimetype != "application/json":  # what a form of another site can post never is
        _refuse(415, _("The body must be JSON."))
    try:
        body = request.get_json(silent=True)
    except RequestEntityTooLarge:
        _refuse(413, _("The body is too long."))
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        _refuse(400, _("The body must be a JSON object."))
    return body


def _word(body: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = body.get(name)
    if not isinstance(value, str) or value not in allowed:
        _refuse(400, _("“{name}” must be one of: {allowed}.", name=name, allowed=", ".join(allowed)))
    return value


def _values(body: dict[str, Any]) -> dict[str, str] | None:
    """What was filled into a form; None where a button is pressed."""
    values = body.get("values")
    if values is None:
        return None
    if not isinstance(values, dict) or len(values) > FIELDS_MAX:
        _refuse(400, _("“values” must be an object with the value of each field."))
    for name, value in values.items():
        if not isinstance(value, str) or len(value) > TEXT_MAX_CHARS:
            _refuse(400, _("“{name}” must be text of at most {most} characters.", name=name, most=TEXT_MAX_CHARS))
    return values


def _language() -> Language:
    return "zh" if request.accept_languages.best_match(("zh", "en"), "en") == "zh" else "en"


def _refuse(status: int, say: Say) -> NoReturn:
    abort(_problem(status, render(say, _language())))


def _problem(status: int, words: str) -> Response:
    return _json({"error": words}, status)


def _json(value: object, status: int = 200) -> Response:
    """In ASCII: people and alerts may say what cannot be written as UTF-8 (half of a surrogate pair)."""
    return Response(json.dumps(value), status, mimetype="application/json")

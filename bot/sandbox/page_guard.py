"""Who may ask the sandbox page for something, and in which form: only a browser on this machine, only this page.

What is served there speaks for people and reads their one-to-one chats, so every request must name a loopback host (a
foreign page whose name was made to resolve here does not) and must not come from another site.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any, NoReturn
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from handlers.texts import Language, Say, _, render

TEXT_MAX_CHARS = 4000
FIELDS_MAX = 100
BODY_MAX_BYTES = 64 * 1024

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


def guard(page: Blueprint) -> None:
    """Looks at each request before the page's routes do, and gives each answer its headers."""

    page.before_request(_only_from_here)
    page.after_request(_protected)
    page.register_error_handler(HTTPException, _in_words)


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
        refuse(403, _("The sandbox is only for a browser on the same machine."))
    site = request.headers.get("Sec-Fetch-Site", "none")
    if site not in ("same-origin", "none") and request.path != "/":
        refuse(403, _("The sandbox does not answer other sites."))
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.headers.get('Host', '')}":
        refuse(403, _("The sandbox does not answer other sites."))


def _protected(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _in_words(error: HTTPException) -> Response:
    return error.response if isinstance(error.response, Response) else problem(error.code or 500, error.name)


# -- what is posted


def posted() -> dict[str, Any]:
    """The JSON object that was posted."""
    if request.mimetype != "application/json":  # what a form of another site can post never is
        refuse(415, _("The body must be JSON."))
    try:
        body = request.get_json(silent=True)
    except RequestEntityTooLarge:
        refuse(413, _("The body is too long."))
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        refuse(400, _("The body must be a JSON object."))
    return body


def one_of(body: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    """A word that the page chooses from a few."""
    value = body.get(name)
    if not isinstance(value, str) or value not in allowed:
        refuse(400, _("“{name}” must be one of: {allowed}.", name=name, allowed=", ".join(allowed)))
    return value


def form_values(body: dict[str, Any]) -> dict[str, str] | None:
    """What was filled into a form; None where a button is pressed."""
    values = body.get("values")
    if values is None:
        return None
    if not isinstance(values, dict) or len(values) > FIELDS_MAX:
        refuse(400, _("“values” must be an object with the value of each field."))
    for name, value in values.items():
        if not isinstance(value, str) or len(value) > TEXT_MAX_CHARS:
            refuse(400, _("“{name}” must be text of at most {most} characters.", name=name, most=TEXT_MAX_CHARS))
    return values


# -- what is answered


def language() -> Language:
    """The language of the page, as the browser asks for it."""
    return "zh" if request.accept_languages.best_match(("zh", "en"), "en") == "zh" else "en"


def refuse(status: int, say: Say) -> NoReturn:
    """Ends the request with a problem, in the language of the page."""
    abort(problem(status, render(say, language())))


def problem(status: int, words: str) -> Response:
    """What the page shows instead of what was asked for."""
    return as_json({"error": words}, status)


def as_json(value: object, status: int = 200) -> Response:
    """In ASCII: people and alerts may say what cannot be written as UTF-8 (half of a surrogate pair)."""
    return Response(json.dumps(value), status, mimetype="application/json")

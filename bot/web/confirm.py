"""`/confirm/<token>`: the page behind a link that stands for a button, where the platform tells nobody who pressed it.

Who opens such a link may be a preview or a virus scanner: only the page's own button does something.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, render_template_string, request

from bot.platforms.contract import Incoming, Press
from handlers import links
from handlers.buttons import PAGE, ForgedButton
from handlers.context import Rules
from handlers.document import Document, Items, localize
from handlers.exchange import Outcome
from handlers.places import LINK
from handlers.texts import Language, Say, _, render
from handlers.urls import safe_url
from storage.database import Database

TEMPLATE = Path(__file__).with_name("confirm.html").read_text("utf-8")


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")


HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; "
        + "".join(
            f"style-src 'sha256-{_hash(style)}'; " for style in re.findall(r"<style>(.*?)</style>", TEMPLATE, re.S)
        )
        + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Frame-Options": "DENY",
}
"""The address is as good as the button: it must not leak, be kept, or be pressed through a foreign page."""


def blueprint(
    database: Database,
    rules: Rules,
    carry_out: Callable[[Incoming], Outcome | None],
    clock: Callable[[], datetime],
) -> Blueprint:
    routes = Blueprint("confirm", __name__)

    @routes.after_request
    def guard(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    def visit(token: str) -> links.Visit:
        with database.read() as tx:
            return links.visit(tx, rules, token, clock())

    def forged() -> Response:
        sentence = _("This link is not one of ours, or a part of it is missing.")
        return _page(Document(sentence), _accepted(rules.language), 403)

    @routes.get(f"{PAGE}<token>")
    def ask(token: str) -> Response:
        try:
            asked = visit(token)
        except ForgedButton:
            return forged()
        if asked.over is not None:
            return _page(Document(asked.over), asked.language)
        return _page(
            Document(_("Do this?")),
            asked.language,
            says=asked.bound.says,
            about=asked.about,
            note=_("Nothing has happened yet. It is done in the name of {person}.", person=asked.name),
            button=_("Do it"),
        )

    @routes.post(f"{PAGE}<token>")
    def press(token: str) -> Response:
        try:
            asked = visit(token)
        except ForgedButton:
            return forged()
        if not _from_our_page(rules.public_url):
            return _page(Document(_("Please open the link itself and press the button there.")), asked.language, 403)
        outcome = carry_out(_pressed(asked, token))
        if outcome is None:
            later = _("This could not be done at once; it is tried again in a moment.")
            return _page(Document(later), asked.language)
        return _page(outcome.told or Document(_("Done.")), outcome.language)

    return routes


def _pressed(asked: links.Visit, token: str) -> Incoming:
    """The press, in the name of the link's person; else in that of where it was shown, whose name comes with it."""
    name = "" if asked.bound.person else asked.name
    return Incoming(
        platform=LINK,
        message_id=secrets.token_hex(16),
        person=asked.person,
        name=name,
        conversation=asked.bound.conversation,
        direct=True,
        text="",
        title=name,
        press=Press(token),
        inline="always",
    )


def _from_our_page(public_url: str) -> bool:
    """Whether the browser does not say that the form was another site's; older ones say nothing.

    With the page's referrer policy some send the origin "null", which tells nothing either.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin", "null")
    return origin == "null" or urlsplit(origin).netloc in (request.host, urlsplit(public_url).netloc)


def _accepted(default: Language) -> Language:
    found = request.accept_languages.best_match(["zh", "en"])
    return "zh" if found == "zh" else "en" if found == "en" else default


def _page(document: Document, language: Language, status: int = 200, **more: Say) -> Response:
    """The document as a page for phones, every string escaped by the template."""
    whole = localize(document, language)
    values: dict[str, Any] = {
        "language": "zh-CN" if language == "zh" else "en",
        "heading": whole.heading(),
        "blocks": [
            (type(block).__name__, {"items": block.items} if isinstance(block, Items) else block)
            for block in whole.blocks
        ],
        "links": [link for link in whole.links if safe_url(link.url)],
        "footer": whole.footer,
        **{name: render(say, language) for name, say in more.items()},
    }
    return make_response(render_template_string(TEMPLATE, **values), status)

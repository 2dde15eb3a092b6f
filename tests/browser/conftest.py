"""A headless Chromium, and the sandbox page with a tiny service behind it that repeats what it is told."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request
from playwright.sync_api import Browser, Page, Request, sync_playwright
from werkzeug.serving import make_server

from bot.sandbox.page import blueprint
from bot.sandbox.playground import Playground
from tests.browser.service import Sandbox

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS = 8000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        missing = f"BROWSER TESTS DID NOT RUN: none of {', '.join(NAMES)} is installed (apt install chromium)"
        if os.environ.get("CI") == "true" or os.environ.get("CALLBOARD_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@dataclass
class Stage:
    """The page's address, the world behind it, and what the pretend service got."""

    url: str
    playground: Playground
    said: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def stage() -> Iterator[Stage]:
    playground = Playground().start()
    app = Flask("echo", static_folder=None)
    app.register_blueprint(blueprint(playground))
    made = Stage("", playground)

    @app.post("/dingtalk/messages")
    def messages() -> Response:
        body = request.get_json()
        made.said.append(body)
        text = body["text"]["content"].strip()
        answer = {"msgtype": "markdown", "markdown": {"title": "echo", "text": f"### echo\n\n{text}"}}
        return Response(json.dumps(answer), mimetype="application/json")

    @app.post("/alerts/alertmanager/<token>")
    def alerts(token: str) -> Response:
        made.alerts.append({"token": token, **request.get_json()})
        return Response('{"accepted": 1}', mimetype="application/json")

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    playground.service_url = made.url
    yield made
    playground.stop()
    server.shutdown()
    thread.join(5)
    server.server_close()


@dataclass
class Visit:
    """One open page; `troubles` are errors of its console, `outside` requests that left it."""

    page: Page
    stage: Stage
    troubles: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


class Visitor:
    """Opens the page as some browser would."""

    def __init__(self, browser: Browser, stage: Stage) -> None:
        self.browser = browser
        self.stage = stage
        self.visits: list[Visit] = []

    def open(self, **context: Any) -> Visit:
        """`context` as in playwright's `new_context`: viewport, locale, color_scheme."""
        settings: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "locale": "en-US", **context}
        page = self.browser.new_context(**settings).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        visit = Visit(page, self.stage)
        page.on("console", lambda said: visit.troubles.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: visit.troubles.append(str(error)))

        def asked(request: Request) -> None:
            if not request.url.startswith(self.stage.url):
                visit.outside.append(request.url)

        page.on("request", asked)
        page.goto(self.stage.url)
        page.wait_for_selector("#live:not(.off):not(:empty)")
        self.visits.append(visit)
        return visit


@contextmanager
def visiting(browser: Browser, stage: Stage) -> Iterator[Visitor]:
    """Every page opened by a test ends without an error in its console and has asked nobody else for anything."""
    made = Visitor(browser, stage)
    yield made
    for visit in made.visits:
        visit.page.context.close()
    assert [visit.troubles for visit in made.visits if visit.troubles] == []
    assert [visit.outside for visit in made.visits if visit.outside] == []


@pytest.fixture
def visitor(browser: Browser, stage: Stage) -> Iterator[Visitor]:
    """Somebody at the page with the pretend service."""
    with visiting(browser, stage) as made:
        yield made


@pytest.fixture
def guest(browser: Browser, tmp_path: Path) -> Iterator[Visitor]:
    """Somebody at the page with the real service."""
    sandbox = Sandbox(tmp_path)
    with visiting(browser, Stage(sandbox.url, sandbox.playground)) as made:
        yield made
    sandbox.stop()

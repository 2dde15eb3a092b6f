"""The sandbox as people start it: the real service, its web server on a free port, the stand-ins behind it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from waitress import create_server, wasyncore

from bot.app import Service
from bot.sandbox.playground import Playground
from bot.sandbox.world import Event
from bot.settings import Settings
from tests.stories.conftest import words

PATIENCE_S = 20.0


class Sandbox:
    """`url` is where the page is."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.playground = Playground()
        # The service has to know its port before it is made, and the port is known when the server is.
        self._server = create_server(self._app, host="127.0.0.1", port=0, threads=12)
        self.url = f"http://127.0.0.1:{self._server.effective_port}"
        values: dict[str, Any] = {
            "sandbox": True,
            "port": self._server.effective_port,
            "database_url": f"sqlite:///{folder / 'sandbox.db'}",
            "secret_key": "key-of-the-sandbox",
            "default_language": "en",
        }
        self.service = Service(Settings(_env_file=None, **(values | settings)), playground=self.playground)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        self.service.start()

    def _app(self, environ: Any, start_response: Any) -> Any:
        return self.service.app(environ, start_response)

    def stop(self) -> None:
        self.service.stop(5.0)
        self._server.task_dispatcher.shutdown()
        self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._server._map))
        self._thread.join(5.0)

    def answer(self, place: str, *, after: int = 0, containing: str = "") -> Event:
        """What the bot says (or changes) next in that place with these words."""
        event = self.playground.world.wait_for(
            lambda one: one.kind in ("say", "update") and one.place == place and containing in words(one.body),
            after=after,
            timeout_s=PATIENCE_S,
        )
        happened = [(one.kind, one.place, one.note) for one in self.playground.world.after(after)]
        assert event is not None, f"it did not happen; what did: {happened}"
        return event

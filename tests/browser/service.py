"""The sandbox as people start it: the real service, its web server on a free port, the stand-ins behind it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from bot import runner
from bot.app import Service
from bot.sandbox.playground import Playground
from bot.sandbox.world import Event
from tests.conftest import Given
from tests.stories.conftest import migrated, words

PATIENCE_S = 20.0


class Sandbox:
    """`url` is where the page is."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.playground = Playground()
        (folder / "sandbox.db").write_bytes(migrated())
        sock = runner.listen("127.0.0.1", 0)
        self.url = runner.address_of(sock)
        values: dict[str, Any] = {
            "sandbox": True,
            "port": sock.getsockname()[1],
            "database_url": f"sqlite:///{folder / 'sandbox.db'}",
            "secret_key": "key-of-the-sandbox",
            "default_language": "en",
        }
        self.service = Service(Given(**(values | settings)), playground=self.playground)
        self._server = runner.Server(self.service.front)
        self._thread = threading.Thread(target=self._server.serve_on, args=(sock,), daemon=True)
        self._thread.start()
        self.service.start()

    def stop(self) -> None:
        self.service.stop(5.0)
        self._server.stop()
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

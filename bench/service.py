"""The service as its users run it: a process of its own, with the stand-ins of a world behind it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bot.sandbox.server import StandIns
from bot.sandbox.world import World

KEY = "key of the benchmark"


@contextmanager
def running(world: World, database_url: str) -> Iterator[str]:
    """The address of the service, `http://127.0.0.1:…`; its database has to be closed before. It is ended at the end."""
    with StandIns(world) as stand_ins:
        environment = {k: v for k, v in os.environ.items() if not k.upper().endswith("_PROXY")}
        environment |= stand_ins.overrides()
        environment |= {"DATABASE_URL": database_url, "SECRET_KEY": KEY, "PORT": "0"}
        service = subprocess.Popen([sys.executable, "-m", "bot"], env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert service.stdout is not None
            yield service.stdout.readline().split()[-1]
        finally:
            service.terminate()
            service.wait(20)

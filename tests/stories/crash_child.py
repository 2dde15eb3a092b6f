"""Starts the service again and again, for a test that kills it: each one a process, with the imports made once.

For every line on stdin: forks the service, which says its process id and then what it always says, and when it has
ended says its exit code (-9 after SIGKILL). One service at a time.
"""

from __future__ import annotations

import os
import sys

from bot import app, cli, runner

LOADED = (app, runner)
"""What the service imports when it is started."""


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> int:
    for _line in sys.stdin:
        child = os.fork()  # nothing runs beside the main thread yet
        if not child:
            say(os.getpid())
            return cli.main([])
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

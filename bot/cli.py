"""The words after `python -m bot`. What an operator reads at a terminal is English, like the log.

Exit codes: 0 fine, 1 it did not work, 2 wrong words or settings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from urllib.parse import unquote, urlsplit

import bot
from bot import logs
from bot.key_file import KEY_FILE, secret_key
from bot.settings import SECRETS, Settings, SettingsError, load

USAGE = """\
Callboard, the on-call desk inside your group chat.

python -m bot              the service: web, chat connections and delivery in one process
python -m bot web          only the web part
python -m bot worker       only chat connections and delivery
python -m bot db upgrade   bring the database to this version
python -m bot check        validate the settings and reach each configured platform
python -m bot version      the version

Settings are environment variables or lines of a file .env; .env.example lists them all."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carries out one command line; the exit code of the process."""
    words = tuple(sys.argv[1:] if argv is None else argv)
    if words in (("--help",), ("-h",), ("help",)) or (words and words[-1] in ("--help", "-h")):
        return _out(USAGE)
    command = COMMANDS.get(words)
    if command is None:
        return _unknown(" ".join(words))
    try:
        return command()
    except SettingsError as error:
        for problem in error.problems:
            _err(problem)
        return 2


def _unknown(said: str) -> int:
    near = get_close_matches(said, [" ".join(words) for words in COMMANDS if words], n=1)
    hint = f"did you mean `python -m bot {near[0]}`?" if near else "`python -m bot --help` lists what there is."
    _err(f"There is no command {said[:60]!r}; {hint}")
    return 2


def run(parts: frozenset[str]) -> int:
    """The service, or one part of it, until a signal."""
    from bot import runner  # here and below: `version` and `--help` should not load a web server

    settings = load()
    secret_key(settings)  # made now if there is none, so that the log knows it
    configure_logs(settings)
    try:
        sock = runner.listen(settings.host, settings.port) if "web" in parts else None
    except runner.PortTaken as error:
        _err(str(error))
        return 1
    from bot.app import CannotStart, Service

    if sock is not None:
        # Port 0 has become a real one: the service names its own address to people.
        settings = settings.model_copy(update={"port": sock.getsockname()[1]})
    try:
        service = Service(settings, parts)
    except CannotStart as error:
        _err(logs.redact(str(error), known(settings)))
        return 1
    if sock is None:
        return runner.work(service)
    return runner.serve(service.front, service, sock, public_url=settings.public_url)


def upgrade() -> int:
    """`db upgrade`."""
    from storage import database

    settings = load()
    configure_logs(settings)
    try:
        database.upgrade(settings.database_url)
    except Exception as error:  # a driver's own error, of a library that only `storage` knows: one line, no traceback
        _err(f"The database could not be upgraded: {_first_line(error, settings)}")
        return 1
    return _out("The database is up to date.")


def check() -> int:
    """`check`: one line for each thing looked at."""
    from bot import checks

    settings = load()
    configure_logs(settings)
    findings = checks.everything(settings)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        _out(f"{finding.state:<8} {finding.name:<{width}}  {logs.redact(finding.text, known(settings))}")
    return 1 if any(finding.state == "wrong" for finding in findings) else 0


def known(settings: Settings) -> tuple[str, ...]:
    """The values that must not be written anywhere: every secret setting, and the key made at an earlier start."""
    values = [str(getattr(settings, name)) for name in SECRETS if name != "secret_key"]
    values += [key.strip() for key in settings.secret_key.split(",")]  # several while it is being rotated
    if not settings.secret_key and KEY_FILE.exists():
        values.append(secret_key(settings))
    # Of an address with a login in it the password is the secret; the rest is hidden by its form.
    plain = (unquote(urlsplit(value).password or "") if "://" in value else value for value in values)
    return tuple(value for value in plain if value)


def configure_logs(settings: Settings) -> None:
    """Logging for this process."""
    logs.configure(known(settings))


def _first_line(error: Exception, settings: Settings) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return logs.redact(lines[0], known(settings))[:300]


def _out(words: str) -> int:
    sys.stdout.write(words + "\n")
    return 0


def _err(words: str) -> None:
    sys.stderr.write(words + "\n")


def _version() -> int:
    return _out(f"Callboard {bot.__version__}")


COMMANDS: dict[tuple[str, ...], Callable[[], int]] = {
    (): lambda: run(frozenset({"web", "worker"})),
    ("web",): lambda: run(frozenset({"web"})),
    ("worker",): lambda: run(frozenset({"worker"})),
    ("db", "upgrade"): upgrade,
    ("check",): check,
    ("version",): _version,
    ("--version",): _version,
}

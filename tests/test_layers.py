"""The arrows between the rooms: `bot -> handlers -> storage`, each library in its room, no sibling knows another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("bot", "handlers", "storage")

MAY_IMPORT = {"bot": {"bot", "handlers", "storage"}, "handlers": {"handlers", "storage"}, "storage": {"storage"}}

LIBRARY_ROOM = {
    "aiosmtpd": "bot",
    "alembic": "storage",
    "dingtalk_stream": "bot",
    "flask": "bot",
    "http": "bot",
    "prometheus_client": "bot",
    "psycopg": "storage",
    "pydantic": "bot",
    "pydantic_settings": "bot",
    "requests": "bot",
    "slack_bolt": "bot",
    "slack_sdk": "bot",
    "smtplib": "bot",
    "socket": "bot",
    "sqlalchemy": "storage",
    "sqlite3": "storage",
    "urllib3": "bot",
    "uvicorn": "bot",
    "uvloop": "bot",
    "websockets": "bot",
    "werkzeug": "bot",
}
"""Where each library may be imported; those not named here are pure helpers."""

TABLES = {
    "bot/channels": "CHANNEL",
    "bot/platforms": "PLATFORM",
    "handlers/sources": "SOURCE",
    "handlers/commands": "COMMANDS",
}
"""Folders whose modules are lines of a table, and the name by which a module puts itself into it."""

NEVER = {"tests": "the product does not import its tests", "bench": "nor its benchmarks"}


def imports(tree: ast.Module, package: list[str]) -> Iterator[tuple[str, int]]:
    """Every module imported anywhere in the file, inside functions too: dotted name and line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            # `from bot.channels import slack` imports a module too; for a plain name the longer form harms nobody.
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


@cache
def lines_of(table: str) -> frozenset[str]:
    """The modules that are lines of the table; the others of its folder are what they share."""
    mark = re.compile(rf"^{TABLES.get(table)}\b.* = ", re.MULTILINE)
    files = (ROOT / table).glob("*.py") if table in TABLES else ()
    return frozenset(file.stem for file in files if mark.search(file.read_text("utf-8"))) - {"__init__"}


def wrong_arrows(path: str, code: str) -> list[str]:
    """What the module at `path` (`bot/channels/slack.py`) imports against the rules, one line each."""
    parts = path.removesuffix(".py").split("/")
    room, folder, module = parts[0], "/".join(parts[:-1]), parts[-1]
    found: list[str] = []
    for name, line in imports(ast.parse(code), parts[:-1]):
        steps = name.split(".")
        top = steps[0]
        if top in NEVER:
            found.append(f"{path}:{line} imports {top}: {NEVER[top]}")
        if top in ROOMS and top not in MAY_IMPORT[room]:
            found.append(f"{path}:{line} imports {name}: {room} may not import {top}")
        if LIBRARY_ROOM.get(top, room) != room:
            found.append(f"{path}:{line} imports {top}, which belongs to {LIBRARY_ROOM[top]}")
        table = "/".join(steps[:2])
        if table == folder and module != "__init__" and len(steps) > 2 and steps[2] in lines_of(table) - {module}:
            found.append(f"{path}:{line} imports its sibling {steps[2]}: what they share belongs beside them")
    return list(dict.fromkeys(found))


def test_every_import_points_down_and_stays_in_its_room() -> None:
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    assert len(files) > 20
    found = [line for file in files for line in wrong_arrows(str(file.relative_to(ROOT)), file.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("storage/alerts.py", "from handlers import model"),
        ("storage/alerts.py", "import bot.settings"),
        ("handlers/alerts.py", "def f():\n    from bot.http import Http"),
        ("handlers/alerts.py", "import sqlalchemy.orm"),
        ("handlers/alerts.py", "import socket"),
        ("bot/web/alerts.py", "from sqlalchemy import select"),
        ("storage/alerts.py", "import flask"),
        ("bot/web/alerts.py", "from tests.conftest import Clock"),
    ],
)
def test_a_wrong_arrow_is_found(path: str, code: str) -> None:
    assert len(wrong_arrows(path, code)) == 1


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("code", ["from . import {line}", "import {table}.{line}", "from .{line} import x"])
def test_a_sibling_that_imports_another_is_found(table: str, code: str) -> None:
    assert lines_of(table)
    for line in lines_of(table):
        text = code.format(table=table.replace("/", "."), line=line)
        assert wrong_arrows(f"{table}/another.py", text), text
        assert not wrong_arrows(f"{table}/__init__.py", text), "the table itself lists them"


@pytest.mark.parametrize("table", TABLES)
def test_what_siblings_share_may_be_imported(table: str) -> None:
    assert not wrong_arrows(f"{table}/another.py", "from .contract import x")


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is_for(room: str) -> None:
    folders = [init for init in (ROOT / room).rglob("__init__.py") if "migrations" not in init.parts]
    silent = [
        str(init.relative_to(ROOT)) for init in folders if not ast.get_docstring(ast.parse(init.read_text("utf-8")))
    ]
    assert silent == []

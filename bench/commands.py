"""Every chat command with 2,000 contacts in 200 groups: from the stored message to the committed answer."""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bot.inbox import Inbox
from bot.metrics import Heartbeats, Metrics
from bot.platforms.contract import Incoming
from handlers import names
from handlers.context import Rules
from storage import contacts, groups
from storage.database import Database

CONTACTS, GROUPS, MEMBERS = 2000, 200, 40
RUNS, QUICK_RUNS = 15, 2
ADMIN = "dingtalk:corp/admin"

COMMANDS = (
    "help",
    "help contacts",
    "contact add Fresh {n} 13800138000 fresh{n}@example.com to group 7",
    "contact show Person 0042",
    "contact list",
    "contact list person 19",
    "more",
    "contact edit Person 0043 name Renamed {n}",
    "contact remove Person 0044",
    "me",
    "verify Person 0045",
    "123456",
    "group create fresh group {n} members Person 0001, Person 0002",
    "group show group 7",
    "group list",
    "group add group 8 Person 1000",
    "group remove group 8 Person 1000",
    "group note group9 night shift",
    "group delete group 10",
    "source add source{n} json to group 7",
    "source list",
    "test group 7",
    "alerts",
    "alerts group 7 all",
    "deliveries",
    "deliveries failed",
    "audit",
    "admin list",
    "language en",
    "status",
    "contcat shwo Persn",
    "contact show Persom 9999",
)


def fill(database: Database) -> None:
    """Contacts with an active phone and mailbox each, spread over the groups."""
    now = datetime.now(UTC)
    with database.write() as tx:
        ids = []
        for number in range(CONTACTS):
            name = f"Person {number:04d}"
            contact = contacts.add(tx, name, names.key(name), ADMIN, now)
            ids.append(contact)
            for channel, address in (("sms", f"+86138{number:08d}"), ("email", f"person{number}@example.com")):
                method = contacts.add_method(tx, contact, channel, address, address[:6] + "…", "", now)
                contacts.change_method(tx, method, state="active")
        for number in range(GROUPS):
            name = f"group {number}" if number != 9 else "group9"
            group = groups.add(tx, name, names.key(name), "", now)
            groups.add_members(tx, group, [ids[(number * 37 + step) % CONTACTS] for step in range(MEMBERS)])


def main(*, quick: bool = False) -> None:
    runs = QUICK_RUNS if quick else RUNS
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}", "key of the benchmark")
        database.upgrade()
        fill(database)
        heartbeats = Heartbeats()
        inbox = Inbox(
            database,
            Rules(admins=frozenset({ADMIN})),
            clock=lambda: datetime.now(UTC),
            wake_worker=lambda: None,
            metrics=Metrics(heartbeats),
            heartbeats=heartbeats,
        )
        print(f"{CONTACTS} contacts, {GROUPS} groups of {MEMBERS}, SQLite with full durability, {runs} runs each")
        print(f"{'command':<70} {'median':>9} {'worst':>9}")
        number = 0
        for command in COMMANDS:
            times = []
            for _run in range(runs):
                number += 1
                text = command.format(n=number)
                inbox.take_in(Incoming("dingtalk", str(number), ADMIN, "Lin", "dingtalk:chat", True, text))
                started = time.perf_counter()
                inbox.handle_next()
                times.append((time.perf_counter() - started) * 1000)
            print(f"{command:<70} {statistics.median(times):>6.1f} ms {max(times):>6.1f} ms")
        database.close()

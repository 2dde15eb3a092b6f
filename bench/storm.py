"""A storm in real time: 10,000 alerts within a minute to one DingTalk robot that refuses the 21st message in a minute."""

from __future__ import annotations

import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import requests

from bench.service import KEY, running
from bot.sandbox.world import Event, World
from handlers import names
from storage import contacts, groups, sources
from storage.database import Database

ALERTS, SECONDS, REQUESTS_A_SECOND = 10_000, 60, 10
PATIENCE_S = 180.0
ROBOT = "https://oapi.dingtalk.com/robot/send?access_token=robot1"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        world = World()
        world.add_group("dingtalk", "group1", "ops")
        world.add_robot("dingtalk", "group1", "robot1", keywords=("DAS Alarm",))
        database = Database(url, KEY)
        database.upgrade()
        now = datetime.now(UTC)
        with database.write() as tx:
            contact = contacts.add(tx, "robot", names.key("robot"), "", now)
            contacts.change_method(tx, contacts.add_method(tx, contact, "dingtalk", ROBOT, "", "", now), state="active")
            group = groups.add(tx, "ops", names.key("ops"), "", now)
            groups.add_members(tx, group, [contact])
            sources.add(tx, "storm", names.key("storm"), "json", "token-storm", group, "", now)
        database.close()
        with running(world, url) as base:
            print(f"{ALERTS:,} alerts in {SECONDS} s to one DingTalk robot, 1 % critical, SQLite, real time")
            began, came = raised(f"{base}/alerts/json/token-storm")
            report(world, began, came)


def raised(url: str) -> tuple[float, dict[int, float]]:
    """Posts the storm; when it began, and when each alert was accepted."""
    came: dict[int, float] = {}
    posts = SECONDS * REQUESTS_A_SECOND
    began = time.time()
    with requests.Session() as session:
        session.trust_env = False
        for post in range(posts):
            first, last = ALERTS * post // posts, ALERTS * (post + 1) // posts
            body = [
                {
                    "title": f"disk full on host-{n}",
                    "severity": "critical" if n % 100 == 99 else "warning",
                    "labels": {"alertname": "disk"},
                }
                for n in range(first, last)
            ]
            time.sleep(max(0.0, began + post / REQUESTS_A_SECOND - time.time()))
            answer = session.post(url, json=body, timeout=30)
            answer.raise_for_status()
            came |= dict.fromkeys(answer.json()["alerts"], time.time())
    return began, came


def seen_in(event: Event) -> set[int]:
    """The alerts that a card names."""
    text = str(event.body)
    found = {int(number) for number in re.findall(r"#(\d+)", text)}
    for first, last in re.findall(r"#(\d+)–#(\d+)", text):
        found |= set(range(int(first), int(last) + 1))
    return found


def report(world: World, began: float, came: dict[int, float]) -> None:
    """Waits until every alert was seen, and prints the table."""
    seen: dict[int, float] = {}
    read = 0
    end = time.monotonic() + PATIENCE_S
    while len(seen) < len(came) and time.monotonic() < end:
        events = list(world.events)
        for event in events[read:]:
            if event.kind == "card":
                for number in seen_in(event) & came.keys():
                    seen.setdefault(number, event.at)
        read = len(events)
        time.sleep(0.2)
    cards = [event for event in world.events if event.kind == "card"]
    refused = sum(event.kind == "refused" for event in world.events)
    busiest = max(sum(one.at <= other.at < one.at + 60 for other in cards) for one in cards)
    waits = sorted(seen[number] - came[number] for number in seen)
    last = max(came.values())
    for label, value in (
        ("seen 60 s after the first", f"{sum(at <= began + 60 for at in seen.values()):,}"),
        ("seen 120 s after the first", f"{sum(at <= began + 120 for at in seen.values()):,}"),
        ("seen at all", f"{len(seen):,}"),
        ("the last one, after the end of the storm", f"{max(seen.values()) - last:.1f} s"),
        ("wait of an alert, p50", f"{waits[len(waits) // 2]:.1f} s"),
        ("wait of an alert, p99", f"{waits[len(waits) * 99 // 100]:.1f} s"),
        ("messages", f"{len(cards)}"),
        ("most in any 60 s", f"{busiest}"),
        ("refused by the platform", f"{refused}"),
    ):
        print(f"{label:<42} {value:>9}")

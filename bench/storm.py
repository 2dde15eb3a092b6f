"""A storm in real time: 10,000 alerts within a minute to one robot, which refuses what is above its platform's limit."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from bench import service
from bench.machine import table
from bot.sandbox.server import StandIns
from bot.sandbox.world import Event, World

REQUESTS_A_SECOND = 10
ADDRESSES = {
    "dingtalk": ("robot1", "https://oapi.dingtalk.com/robot/send?access_token={}"),
    "wecom": ("robot1", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={}"),
    "lark": ("robot1", "https://open.feishu.cn/open-apis/bot/v2/hook/{}"),
    "slack": ("T1/B1/robot1", "https://hooks.slack.com/services/{}"),
}
"""The robot's token, and its address."""


@dataclass(frozen=True)
class Storm:
    """So many alerts in so many seconds; until when the last one is waited for."""

    alerts: int
    seconds: int
    patience_s: float


REAL, QUICK = Storm(10_000, 60, 180.0), Storm(200, 2, 12.0)


def main(*, quick: bool = False) -> None:
    """DingTalk: the 21st message in a minute costs ten minutes of silence."""
    blown("dingtalk", QUICK if quick else REAL)


def wecom(*, quick: bool = False) -> None:
    """The same storm to a WeCom robot."""
    blown("wecom", QUICK if quick else REAL)


def lark(*, quick: bool = False) -> None:
    """The same storm to a Lark robot."""
    blown("lark", QUICK if quick else REAL)


def slack(*, quick: bool = False) -> None:
    """The same storm to a Slack webhook."""
    blown("slack", QUICK if quick else REAL)


def blown(platform: str, storm: Storm) -> None:
    """Prints the table."""
    token, address = ADDRESSES[platform]
    world = World()
    world.add_group(platform, "group1", "ops")
    world.add_robot(platform, "group1", token, keywords=("DAS Alarm",) if platform == "dingtalk" else ())
    with tempfile.TemporaryDirectory() as folder, StandIns(world) as stand_ins:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        service.fill(url, {"storm": (service.Robot(platform, address.format(token)),)})
        with service.running(url, stand_ins.overrides()) as running:
            began, came = raised(running.intake("storm"), storm)
            rows = report(world, storm, began, came)
    title = f"{storm.alerts:,} alerts in {storm.seconds} s to one {platform} robot, 1 % critical, SQLite, real time"
    table(title, ("", ""), rows)


def raised(url: str, storm: Storm) -> tuple[float, dict[int, float]]:
    """Posts the storm; when it began, and when each alert was accepted."""
    came: dict[int, float] = {}
    posts = storm.seconds * REQUESTS_A_SECOND
    began = time.time()
    with requests.Session() as session:
        session.trust_env = False
        for post in range(posts):
            first, last = storm.alerts * post // posts, storm.alerts * (post + 1) // posts
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


def report(world: World, storm: Storm, began: float, came: dict[int, float]) -> list[tuple[str, str]]:
    """Waits until every alert was seen; the lines of the table."""
    seen: dict[int, float] = {}
    read = 0
    end = time.monotonic() + storm.patience_s
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
    return [
        ("seen 60 s after the first", f"{sum(at <= began + 60 for at in seen.values()):,}"),
        ("seen 120 s after the first", f"{sum(at <= began + 120 for at in seen.values()):,}"),
        ("seen at all", f"{len(seen):,}"),
        ("the last one, after the end of the storm", f"{max(seen.values()) - last:.1f} s"),
        ("wait of an alert, p50", f"{waits[len(waits) // 2]:.1f} s"),
        ("wait of an alert, p99", f"{waits[len(waits) * 99 // 100]:.1f} s"),
        ("messages", f"{len(cards)}"),
        ("most in any 60 s", f"{busiest}"),
        ("refused by the platform", f"{refused}"),
    ]

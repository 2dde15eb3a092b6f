"""One alert to 1,000 robots of four platforms: until the last card has come."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import service
from bench.load import Load, drive
from bench.machine import cpu_s, number, table
from bot.sandbox.server import StandIns
from bot.sandbox.world import World

EACH, QUICK_EACH = 250, 25
ALERTS = 3
PATIENCE_S = 60.0
ADDRESSES = {
    "dingtalk": "https://oapi.dingtalk.com/robot/send?access_token={}",
    "wecom": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={}",
    "lark": "https://open.feishu.cn/open-apis/bot/v2/hook/{}",
    "slack": "https://hooks.slack.com/services/T1/B1/{}",
}


def main(*, quick: bool = False) -> None:
    each = QUICK_EACH if quick else EACH
    world = World()
    robots = []
    for platform, address in ADDRESSES.items():
        for n in range(each):
            world.add_group(platform, f"group{n}", f"group {n}")
            world.add_robot(platform, f"group{n}", f"T1/B1/robot{n}" if platform == "slack" else f"robot{n}")
            robots.append(service.Robot(platform, address.format(f"robot{n}")))
    rows = []
    with tempfile.TemporaryDirectory() as folder, StandIns(world) as stand_ins:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        service.fill(url, {"all": robots})
        with service.running(url, stand_ins.overrides()) as running:
            for alert in range(ALERTS):
                rows.append(one(world, running, len(robots), alert))
    title = f"One alert to {len(robots):,} robots of {len(ADDRESSES)} platforms, SQLite"
    table(title, ("", "accepted", "first card", "half", "last card", "cards/s", "cards", "refused", "CPU"), rows)


def one(world: World, running: service.Service, robots: int, alert: int) -> tuple[str, ...]:
    """Sends one alert; a line of the table."""
    since, before = world.last, cpu_s(running.pid)
    result = drive(Load((running.intake("all"),), service.ALERT, connections=1, requests=1, first=alert))
    began = result.sent[alert]
    cards: list[float] = []

    def last(event: object) -> bool:
        cards[:] = [one.at - began for one in world.after(since) if one.kind == "card"] if event else []
        return len(cards) >= robots

    world.wait_for(last, after=since, timeout_s=PATIENCE_S)
    refused = sum(event.kind == "refused" for event in world.after(since))
    return (
        f"alert {alert + 1}",
        f"{number(result.times_ms[0])} ms",
        f"{number(min(cards) * 1000)} ms",
        f"{number(sorted(cards)[len(cards) // 2], 2)} s",
        f"{number(max(cards), 2)} s",
        number(len(cards) / max(cards)),
        f"{len(cards):,}",
        str(refused),
        f"{number(cpu_s(running.pid) - before, 2)} s",
    )

"""Runs the benchmarks, all of them or those named: `python -m bench --quick intake`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import commands, crash, fanout, intake, latency, memory, peer, storm

BENCHMARKS: dict[str, Callable[..., None]] = {
    "commands": commands.main,
    "intake": intake.main,
    "peer": peer.main,
    "latency": latency.main,
    "fanout": fanout.main,
    "crash": crash.main,
    "memory": memory.main,
    "storm": storm.main,
    "storm-wecom": storm.wecom,
    "storm-lark": storm.lark,
    "storm-slack": storm.slack,
}


def usage() -> str:
    lines = [
        "python -m bench [--quick] [name …]",
        "",
        "All benchmarks, or those named; --quick: short and small, to see that they work.",
        "",
    ]
    for name, main in BENCHMARKS.items():
        said = (main.__doc__ if "-" in name else sys.modules[main.__module__].__doc__) or ""
        lines.append(f"{name:<12} {said.splitlines()[0]}")
    return "\n".join(lines)


if __name__ == "__main__":
    words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        print(usage())
        sys.exit(0)
    quick = "--quick" in words
    names = [word for word in words if word != "--quick"] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"There is no benchmark {unknown[0]}; there are: {', '.join(BENCHMARKS)}.")
    for name in names:
        BENCHMARKS[name](quick=quick)

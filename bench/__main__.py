"""Runs the benchmarks, all of them or those named: `python -m bench commands`."""

from __future__ import annotations

import sys

from bench import commands, intake, storm

BENCHMARKS = {"commands": commands.main, "intake": intake.main, "storm": storm.main}

if __name__ == "__main__":
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"There is no benchmark {unknown[0]}; there are: {', '.join(BENCHMARKS)}.")
    for name in names:
        BENCHMARKS[name]()

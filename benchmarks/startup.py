"""How long one waits before anything happens: importing everfit, and asking for help."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Figure

ROUNDS = 7


def run() -> list[Figure]:
    """Best of several fresh processes each, with the interpreter's own start included."""
    everfit = str(Path(sys.executable).parent / "everfit")
    bare = _best([sys.executable, "-c", "pass"])
    polars = _best([sys.executable, "-c", "import polars"])
    reference = f"python -c pass {bare:.3f} s; import polars {polars:.3f} s"
    commands = {"import everfit": [sys.executable, "-c", "import everfit"], "everfit --help": [everfit, "--help"]}
    figures: list[Figure] = []
    for name, command in commands.items():
        seconds = _best(command)
        figures.append(
            {
                "name": f"start: {name}",
                "value": seconds,
                "unit": "s",
                "goal": "<= 0.3",
                "reference": reference,
                "ratio": seconds / bare,
            }
        )
    return figures


def _best(command: Sequence[str]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return min(times)

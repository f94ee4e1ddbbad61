"""The empty pipeline on Everfit's durable workflows: every step is on the disk before the next one begins.

python -m benchmarks.orchestration_everfit FOLDER
"""

from __future__ import annotations

import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.orchestration_process import STEPS, measure
from everfit.runtime.workflows import Engine, Plain, step

_POLL_S = 0.0005


def main() -> None:
    """Begin workflow after workflow as the controller does, and wait for each."""
    ended: dict[int, int] = {}
    told = threading.Event()

    def pipeline(argument: Any) -> Plain:
        number = 0
        for place in range(STEPS):
            number = step(f"step {place}", lambda before: before + 1, number)
        ended[argument] = number
        told.set()
        return number

    engine = Engine(f"sqlite:///{Path(sys.argv[1]) / 'loop.db'}", {"pipeline": pipeline})
    numbers = count()

    def run() -> int:
        number = next(numbers)
        told.clear()
        engine.start("pipeline", f"pipeline/{number}", number)
        told.wait()
        # Over once it is on record as done, not before.
        while engine.state(f"pipeline/{number}") != "done":
            time.sleep(_POLL_S)
        return ended[number]

    measure(run)
    engine.close()


if __name__ == "__main__":
    main()

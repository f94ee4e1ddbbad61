"""The empty pipeline on Everfit's durable workflows: every step is on the disk before the next one begins.

python -m benchmarks.orchestration_everfit FOLDER
"""

from __future__ import annotations

import sys
import threading
import time
from functools import partial
from itertools import count
from pathlib import Path

from msgspec import Struct

from benchmarks.orchestration_process import STEPS, measure
from everfit.runtime.workflows import Engine, Workflow, step

_POLL_S = 0.0005


class Argument(Struct):
    """Number of a run."""

    number: int


def _following(number: int) -> int:
    return number + 1


def main() -> None:
    """Begin workflow after workflow as the controller does, and wait for each."""
    ended: dict[int, int] = {}
    told = threading.Event()

    def pipeline(argument: Argument) -> None:
        number = 0
        for place in range(STEPS):
            number = step(f"step {place}", partial(_following, number), int)
        ended[argument.number] = number
        told.set()

    workflow = Workflow(name="pipeline", argument=Argument, run=pipeline)
    engine = Engine(f"sqlite:///{Path(sys.argv[1]) / 'loop.db'}", [workflow])
    numbers = count()

    def run() -> int:
        number = next(numbers)
        told.clear()
        engine.start(workflow, f"pipeline/{number}", Argument(number=number))
        told.wait()
        # Over once it is on record as done, not before.
        while engine.state(f"pipeline/{number}") != "done":
            time.sleep(_POLL_S)
        return ended[number]

    measure(run)
    engine.close()


if __name__ == "__main__":
    main()

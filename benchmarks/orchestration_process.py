"""What the contenders of the empty pipeline share: timing, and the report to the parent. No third-party import."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

STEPS = 8
RUNS = 3


def measure(run: Callable[[], int]) -> None:
    """Time a pipeline of :data:`STEPS` steps, each of which adds one to what the step before it gave.

    The first run of the process, which may set things up, is told apart from the best of the later ones.

    Args:
        run: Runs it once; gives what the last step gave.
    """
    taken = []
    for _ in range(1 + RUNS):
        began = time.perf_counter()
        counted = run()
        taken.append(time.perf_counter() - began)
        if counted != STEPS:
            raise RuntimeError(f"all {STEPS} steps must run, but {counted} did")
    print("\n" + json.dumps({"first_s": taken[0], "run_s": min(taken[1:])}), flush=True)

"""What the drift report's contenders share: timing, peak memory, and the report to the parent. No third-party import.

The frames are in memory before the clock starts, each in the library that the contender takes; peak memory is that of
the process from the start of the report on, frames included.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def measure(read: Callable[[Path], Any], report: Callable[[Any, Any], int]) -> None:
    """Time ``report`` on what ``read`` makes of the two files in the folder of the first argument.

    Args:
        read: From a Parquet file to a frame.
        report: From reference and window to how many columns are said to have drifted.
    """
    folder = Path(sys.argv[1])
    reference, window = read(folder / "reference.parquet"), read(folder / "window.parquet")
    Path("/proc/self/clear_refs").write_text("5")  # the peak of reading is not the report's
    held_mib = _status_mib("VmRSS")
    started = time.perf_counter()
    drifted = report(reference, window)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "drifted": drifted, "peak_mib": _status_mib("VmHWM"), "held_mib": held_mib}))


def _status_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"this kernel does not tell a process's {field}")

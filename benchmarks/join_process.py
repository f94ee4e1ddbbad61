"""What the join's contenders share: timing, peak memory, and the report to the parent. Standard library only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TTL_DAYS = 30
VIEWS = {"va": "a", "vb": "b", "vc": "c"}


def features(view: str) -> list[str]:
    """The five feature columns of a view."""
    return [f"{view}_f{index}" for index in range(5)]


def measure(join: Callable[[Path], Any], write: Callable[[Any, Path], None]) -> None:
    """Time ``join`` on the folder in the first argument; ``write`` its result to the file in the second, if given."""
    started = time.perf_counter()
    result = join(Path(sys.argv[1]))
    report = {"seconds": time.perf_counter() - started, "peak_mib": _peak_mib()}
    if len(sys.argv) > 2:
        write(result, Path(sys.argv[2]))
    print(json.dumps(report))


def _peak_mib() -> float:
    # Not getrusage's figure: a child inherits that of its parent until it has outgrown it.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this kernel does not tell a process's peak memory")

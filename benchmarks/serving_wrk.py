"""The load: ``wrk`` on a core of its own, and what it measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import FOLDER

CORE = 1
CONNECTIONS = 16
ROUNDS = 3
SECONDS = 4
WARM_UP_SECONDS = 1


class Load(NamedTuple):
    """How a service did in its best round."""

    per_second: float
    p50_us: float
    p99_us: float
    errors: int
    """Over all rounds: answers that were no success, time-outs and broken connections."""


def require_wrk() -> None:
    """Install ``wrk`` where that is allowed; it takes less of a processor than any client in Python would."""
    if shutil.which("wrk") is None:
        subprocess.run(["sh", FOLDER.parent / ".ci" / "install-system", "wrk"], check=True)


def write_bodies(path: Path, bodies: Iterable[Any]) -> Path:
    """One JSON document a line, which the load sends in turn."""
    path.write_text("".join(f"{json.dumps(body)}\n" for body in bodies))
    return path


def ask(url: str, bodies: Path, *, connections: int = CONNECTIONS) -> Load:
    """Warm up, then the best of the rounds: whatever else a machine does only ever adds time."""
    _round(url, bodies, connections, WARM_UP_SECONDS)
    rounds = [_round(url, bodies, connections, SECONDS) for _ in range(ROUNDS)]
    return max(rounds)._replace(errors=sum(each.errors for each in rounds))


def _round(url: str, bodies: Path, connections: int, seconds: int) -> Load:
    script = FOLDER / "serving_wrk.lua"
    command = [
        "taskset",
        "-c",
        CORE,
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "-s",
        script,
        url,
        "--",
        bodies,
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"wrk failed: {done.stderr[-2000:]}")
    return Load(**json.loads(done.stdout.splitlines()[-1]))

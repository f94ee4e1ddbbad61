"""A service that is measured: a process and its children on one core, from its start to its end."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

CORE = 0
_LONGEST_START_S = 120.0


class Service(NamedTuple):
    """A service that answers."""

    url: str
    """Where predictions are asked for."""
    start_s: float
    """From its start to its first answer."""
    answer: bytes
    """The first answer's body."""
    process_id: int

    def memory_mb(self) -> list[float]:
        """Resident memory of each of its processes, the one that was started first."""
        return [_resident_mb(number) for number in _family(self.process_id)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str | Path], *, port: int, path: str, bodies: Path, folder: Path, variables: Mapping[str, str]
) -> Iterator[Service]:
    """Start a service, wait until it answers the first of the bodies, and end it with all its children.

    Raises:
        RuntimeError: If it ends, or answers nothing, before its first prediction; with the last that it printed.
    """
    with bodies.open() as lines:
        body = lines.readline()
    log = folder / "service.log"
    pinned = ["taskset", "-c", str(CORE), *map(str, command)]
    # One thread for LightGBM in all: a pool for one row only costs.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    with log.open("w") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            pinned, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        answer = _first_answer(process, port, path, body, log)
        taken_s = time.perf_counter() - began
        yield Service(f"http://127.0.0.1:{port}{path}", taken_s, answer, process.pid)
    finally:
        _end(process)


def _first_answer(process: subprocess.Popen[bytes], port: int, path: str, body: str, log: Path) -> bytes:
    deadline = time.monotonic() + _LONGEST_START_S
    said = ""
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            status, answer = _post(port, path, body)
            if status == http.HTTPStatus.OK:
                return answer
            said = f"it answered {status}: {answer[:500]!r}\n"
        time.sleep(0.005)
    raise RuntimeError(f"{said}{log.read_text()[-2000:]}")


def _post(port: int, path: str, body: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=30)
    # Whatever a service left behind is in its own session.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _family(number: int) -> list[int]:
    children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    return [number, *(each for child in children for each in _family(int(child)))]


def _resident_mb(number: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{number}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0

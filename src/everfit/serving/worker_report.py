"""What every worker of the service says of itself, for ``/metrics``, ``everfit status`` and whoever rolls out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.serving.counters import Tally


class LoadedVersion(Struct, frozen=True, kw_only=True):
    """A version that a worker has loaded."""

    model: str
    version: int
    digest: str
    form: str
    route: str
    """``champion``, ``canary`` or ``shadow``."""


class WorkerReport(Struct, frozen=True, kw_only=True):
    """One worker, now or when it died."""

    slot: int
    pid: int
    deployment: int
    """The number of the deployment that it has dealt with."""
    loaded: tuple[LoadedVersion, ...]
    refused: Mapping[str, str]
    """Why something that was deployed is not loaded, by ``model version N``."""
    tallies: Mapping[str, Tally]
    """By model; what was asked of no model that is served stands under the empty name."""
    lost_rows: int
    """Answered, and not recorded: the disk was full."""
    dropped_rows: int
    """Not asked of a shadow, since there was no time."""
    memory_bytes: int
    """Resident."""
    follows_replay: bool = False
    """Whether it takes its time from a replay."""


def write_report(folder: Path, report: WorkerReport) -> None:
    """Replace the report of a worker's slot.

    Raises:
        OSError: If the disk refuses.
    """
    path = folder / f"worker-{report.slot}.json"
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_bytes(msgspec.json.encode(report))
    fresh.replace(path)


def read_reports(folder: Path) -> dict[int, WorkerReport]:
    """The newest report of every slot; one that cannot be understood is left out."""
    found: dict[int, WorkerReport] = {}
    for path in folder.glob("worker-*.json"):
        found |= {report.slot: report for report in _read(path)}
    return found


def last_follows_replay(folder: Path) -> bool | None:
    """``True`` if the worker that reported last took its time from a replay; ``None`` if there is no report."""
    newest = max(folder.glob("worker-*.json"), key=lambda path: path.stat().st_mtime_ns, default=None)
    report = None if newest is None else next(iter(_read(newest)), None)
    return None if report is None else report.follows_replay


def _read(path: Path) -> Iterator[WorkerReport]:
    try:
        yield msgspec.json.decode(path.read_bytes(), type=WorkerReport)
    except (OSError, msgspec.DecodeError):
        return


def resident_bytes() -> int:
    """This process's resident memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0

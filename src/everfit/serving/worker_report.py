"""Reports of the workers, for ``/metrics``, ``everfit status`` and rollouts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, field

from everfit.serving.counters import RequestCounters


class LoadedVersion(Struct, frozen=True, kw_only=True):
    """A version that a worker has loaded."""

    model: str
    version: int
    digest: str
    form: str
    route: str
    """``champion``, ``canary`` or ``shadow``."""


class WorkerReport(Struct, frozen=True, kw_only=True):
    """State of one worker, now or when it ended."""

    slot: int
    pid: int
    deployment: int
    """The number of the deployment that it has applied."""
    loaded: tuple[LoadedVersion, ...]
    refused: Mapping[str, str]
    """Reason why a deployed version is not loaded, by ``model version N``."""
    counters_by_model: Mapping[str, RequestCounters] = field(name="tallies")
    """By model; requests for a model that is not served are counted under the empty name."""
    lost_rows: int
    """Predicted rows that could not be recorded, for example because the disk was full."""
    dropped_rows: int
    """Rows that no shadow version received, because its queue was full."""
    shadow_waiting: int = 0
    """Requests whose shadow predictions are not logged yet."""
    reported_us: int = 0
    """Time of the report by the worker's clock, in microseconds since 1970; 0 before a replay's clock has begun."""
    memory_bytes: int
    """Resident memory."""
    follows_replay: bool = False
    """True if its clock is that of a replay."""
    url: str = ""
    """The URL that it listens on; empty behind another server."""
    supervisor: int = 0
    """The process that starts it again; 0 for none."""


def report_file(folder: Path, slot: int) -> Path:
    """Return the file of a slot's report, which a worker writes every second."""
    return folder / f"worker-{slot}.json"


def write_report(folder: Path, report: WorkerReport) -> None:
    """Write the report of a worker's slot. Raises ``OSError`` if it cannot be written."""
    path = report_file(folder, report.slot)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_bytes(msgspec.json.encode(report))
    fresh.replace(path)


def read_reports(folder: Path) -> dict[int, WorkerReport]:
    """Return the newest report of every slot; reports that cannot be read are left out."""
    found = map(_read, folder.glob("worker-*.json"))
    return {report.slot: report for report in found if report is not None}


def last_follows_replay(folder: Path) -> bool | None:
    """Return ``True`` if the newest report's clock is that of a replay; ``None`` if there is no report."""
    newest = max(folder.glob("worker-*.json"), key=lambda path: path.stat().st_mtime_ns, default=None)
    report = _read(newest) if newest else None
    return report.follows_replay if report else None


def _read(path: Path) -> WorkerReport | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=WorkerReport)
    except (OSError, msgspec.DecodeError):
        return None


def resident_bytes() -> int:
    """Return this process's resident memory; 0 where the system does not provide it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0

"""Sizes of the journal and of the lake."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from everfit.journal.logs import LOGS, Log
from everfit.journal.ship import BROKEN
from everfit.store.lake import tables_under
from everfit.store.segments import OPEN, SEALED


class LogStatus(Struct, frozen=True, kw_only=True):
    """Part of a log that is not in the lake yet."""

    log: str
    open_segments: int
    """Being written, or left by a writer that died."""
    sealed_segments: int
    """Waiting to be shipped."""
    broken_segments: int
    """Set aside, since they could not be understood."""
    unshipped_rows: int
    unshipped_bytes: int


class LakeStatus(Struct, kw_only=True):
    """Size in the lake of one model's predictions or outcomes, or of one view's pushes."""

    log: str
    name: str
    rows: int = 0
    files: int = 0
    size_bytes: int = 0


class JournalStatus(Struct, frozen=True, kw_only=True):
    """Sizes of both."""

    logs: tuple[LogStatus, ...]
    lake: tuple[LakeStatus, ...]


def journal_status(journal: Path, lake: Path) -> JournalStatus:
    """Return the present sizes. Raises :class:`StoreError` if the log or a table cannot be read."""
    return JournalStatus(
        logs=tuple(_log_status(log, journal) for log in LOGS),
        lake=tuple(status for log in LOGS for status in _lake_status(log, lake)),
    )


def _log_status(log: Log, journal: Path) -> LogStatus:
    waiting: dict[str, list[int]] = {suffix: [] for suffix in (OPEN, SEALED, BROKEN)}
    for path in (journal / log.name).glob("*"):
        if path.suffix in waiting:
            waiting[path.suffix].append(path.stat().st_size)
    return LogStatus(
        log=log.name,
        open_segments=len(waiting[OPEN]),
        sealed_segments=len(waiting[SEALED]),
        broken_segments=len(waiting[BROKEN]),
        unshipped_rows=sum(part.rows.height for part in log.unshipped(journal)),
        unshipped_bytes=sum(waiting[OPEN]) + sum(waiting[SEALED]),
    )


def _lake_status(log: Log, lake: Path) -> list[LakeStatus]:
    found: dict[str, LakeStatus] = {}
    for table, opened in tables_under(lake, log.name):
        name, files = table.split("/")[1], opened.actions()
        status = found.setdefault(name, LakeStatus(log=log.name, name=name))
        status.rows += int(files["num_records"].sum())
        status.files += files.height
        status.size_bytes += int(files["size_bytes"].sum())
    return list(found.values())

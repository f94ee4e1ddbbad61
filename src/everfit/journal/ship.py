"""Ships sealed segments of the log to tables, then deletes them: each record once, killed at whatever instant.

A segment is deleted only after its rows are on the disk, and its rows are written only where no row of that segment is;
so whatever was done before a crash is found, and not done again.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType

import polars as pl
from msgspec import Struct

from everfit.core.errors import StoreError
from everfit.core.progress import SILENT, Progress
from everfit.journal.logs import LOGS, Log
from everfit.store.lake import SegmentRows, append
from everfit.store.lake_upkeep import delete_old_rows, merge_small_files
from everfit.store.segments import read_segment, seal_abandoned, sealed_segments

BROKEN = ".broken"
"""Suffix of a segment that could not be decoded."""


class ShippedLog(Struct, kw_only=True):
    """Result of shipping one log."""

    log: str
    segments: int = 0
    """Shipped, and deleted."""
    rows: int = 0
    """Added to tables; those that were there already, since an earlier shipping was interrupted, do not count."""
    torn_bytes: int = 0
    """Cut off the ends of segments whose writers died while they wrote, or unreadable in the middle of one."""
    deleted_rows: int = 0
    """Rows of the lake that need not be kept any longer."""
    set_aside: list[str] = []
    """Segments that could not be understood, or only in part, now called ``….broken``."""


class Shipped(Struct, frozen=True, kw_only=True):
    """Result of shipping all logs."""

    logs: tuple[ShippedLog, ...]
    seconds: float

    @property
    def rows(self) -> int:
        """Rows added, of all logs."""
        return sum(log.rows for log in self.logs)


def ship(
    journal: Path,
    lake: Path,
    *,
    rows_per_commit: int = 200_000,
    since: Mapping[str, datetime] = MappingProxyType({}),
    progress: Progress = SILENT,
) -> Shipped:
    """Ship every sealed segment; before that, files of tables that have many small ones are merged.

    A segment that cannot be decoded is set aside, and the others are shipped. Raises :class:`StoreError` if another
    process is shipping the same journal, or the disk refuses; nothing is lost then, and the next call goes on.

    Args:
        rows_per_commit: Gather segments until there are so many rows.
        since: Rows of the lake that were recorded before are deleted, by log.
        progress: Receives each log's progress, in segments.
    """
    began = time.perf_counter()
    with _alone(journal):
        logs = tuple(_Shipping(log, journal / log.name, lake, rows_per_commit).run(progress) for log in LOGS)
        for shipped in logs:
            if shipped.log in since:
                shipped.deleted_rows = delete_old_rows(lake, shipped.log, since[shipped.log])
    return Shipped(logs=logs, seconds=time.perf_counter() - began)


@contextmanager
def _alone(journal: Path) -> Iterator[None]:
    journal.mkdir(parents=True, exist_ok=True)
    # Not truncated: on ext4 that waits for the disk in every round, 5 % of it beside a service that syncs.
    with (journal / "ship.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                "only one process at a time can ship a journal, and another one does",
                value=str(journal),
                remedy="Wait until it has ended.",
            ) from error
        try:
            yield
        finally:
            # A child that was forked a moment ago has the file open too, until it executes its program.
            fcntl.flock(file, fcntl.LOCK_UN)


@dataclass
class _Shipping:
    """Shipping of one log."""

    log: Log
    folder: Path
    lake: Path
    rows_per_commit: int
    waiting: list[tuple[Path, Sequence[SegmentRows]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.result = ShippedLog(log=self.log.name)

    def run(self, progress: Progress) -> ShippedLog:
        self.result.torn_bytes += sum(seal_abandoned(self.folder).values())
        sealed = sealed_segments(self.folder)
        if sealed:
            # Not afterwards: who follows the tables has read these files by now.
            merge_small_files(self.lake, self.log.name)
        task = f"ship {self.log.name}"
        progress.start(task, len(sealed))
        for path in sealed:
            self._take(path)
            if sum(part.rows.height for _, parts in self.waiting for part in parts) >= self.rows_per_commit:
                self._commit()
            progress.advance(task)
        self._commit()
        progress.finish(task, f"{self.result.rows:,} rows of {self.result.segments:,} segments")
        return self.result

    def _take(self, path: Path) -> None:
        """Read a segment; it is deleted, or set aside, once its rows are in the lake."""
        try:
            segment = read_segment(path)
            parts = self.log.rows_of(segment)
        except (StoreError, pl.exceptions.PolarsError, ValueError, TypeError) as error:
            if isinstance(error.__cause__, OSError):  # the disk's fault, not the segment's
                raise
            path.rename(path.with_suffix(BROKEN))
            self.result.set_aside.append(path.name)
            return
        self.result.torn_bytes += segment.torn_bytes
        self.waiting.append((path, parts))
        if segment.torn_bytes:
            self.result.set_aside.append(path.name)

    def _commit(self) -> None:
        every = sorted((part for _, parts in self.waiting for part in parts), key=attrgetter("table"))
        for table, parts in groupby(every, key=attrgetter("table")):
            self.result.rows += append(self.lake, table, tuple(parts))
        for path, _ in self.waiting:
            if path.name in self.result.set_aside:
                # A sealed segment's writer had finished it, so what cannot be read was damaged later: keep it.
                path.rename(path.with_suffix(BROKEN))
            else:
                os.unlink(path)
        self.result.segments += len(self.waiting)
        self.waiting.clear()

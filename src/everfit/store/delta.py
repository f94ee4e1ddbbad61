"""Delta tables in folders of any name.

delta-rs decodes ``%2F`` in a folder's name, panics at ``[v2]``, and returns the paths of files percent-encoded, which
Polars then does not find. So the files to read are taken from the log and read by their plain paths, and in a folder
whose name delta-rs cannot bear it works on a copy of the log, which is small, in a folder of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING
from urllib.parse import unquote
from weakref import finalize

import polars as pl

from everfit.core.errors import SourceError

if TYPE_CHECKING:
    from deltalake import DeltaTable

LOG = "_delta_log"
_UNBEARABLE = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]\\^|<>`\x00-\x1f\x7f]")
"""In such paths delta-rs 1.6 reads and writes elsewhere, or panics."""
_UNQUOTED = re.compile(r"[\w\-./~*;&:@!$'()+,=]*", re.ASCII)
"""Paths that delta-rs does not percent-encode, so that Polars finds the files that it names."""
_ATTEMPTS = 5
_READING_HOURS = 24
"""Time for which files are kept that no version needs any more: so long may a reader of an older version take."""


def delta_error(name: str = "DeltaError") -> type[Exception]:
    """Return a class of deltalake's errors; for ``except``, where deltalake is imported only once an error is there."""
    from deltalake import exceptions

    found: type[Exception] = getattr(exceptions, name)
    return found


class LakeTable:
    """A Delta table at one version.

    Raises deltalake's :class:`TableNotFoundError` if there is no table yet, its :class:`DeltaError` if it cannot be
    read.
    """

    def __init__(self, folder: Path) -> None:
        from deltalake import DeltaTable

        self.folder = folder
        self._copy: Path | None = None
        if _UNBEARABLE.search(str(folder)):
            self._copy = Path(mkdtemp(prefix="everfit-delta-"))
            finalize(self, shutil.rmtree, self._copy, ignore_errors=True)
            _copy_log(folder, self._copy)
        self.table: DeltaTable = DeltaTable(self._copy or folder)

    def update(self) -> None:
        """Go on to the newest version."""
        if self._copy is not None:
            _copy_log(self.folder, self._copy)
        self.table.update_incremental()

    def version(self) -> int:
        """The version's number."""
        return int(self.table.version())

    def actions(self) -> pl.DataFrame:
        """The version's files: ``path`` within the folder, ``size_bytes``, ``num_records`` and statistics."""
        return pl.DataFrame(self.table.get_add_actions(flatten=True))

    def files(self) -> list[Path]:
        """The version's data files."""
        found = self.actions()
        return [self.folder / unquote(path) for path in found["path"]] if found.height else []

    def merged_since(self, version: int) -> tuple[set[Path], set[Path]] | None:
        """Return the files that were merged since a version, and those that hold their rows now.

        ``None`` if the log does not reach back so far any more.
        """
        gone, made = set[Path](), set[Path]()
        for number in range(version + 1, self.version() + 1):
            try:
                entry = (self.folder / LOG / f"{number:020}.json").read_text(encoding="utf-8")
            except FileNotFoundError:
                return None
            for action in map(json.loads, entry.splitlines()):
                for kind, files in (("remove", gone), ("add", made)):
                    if kind in action and not action[kind]["dataChange"]:
                        files.add(self.folder / unquote(action[kind]["path"]))
        # What was merged twice is of no interest in between.
        return gone - made, made - gone

    def schema(self) -> pl.Schema:
        """Names and types of the columns."""
        return pl.scan_delta(self.table).collect_schema()

    def scan(self) -> pl.LazyFrame:
        """The version's rows; of tables without partitions and deletion vectors, which is what Everfit writes."""
        files = self.files()
        if not files:
            return pl.LazyFrame(schema=self.schema())
        return pl.scan_parquet(files, glob=False, hive_partitioning=False)


def scan_delta(folder: Path) -> pl.LazyFrame:
    """The newest rows of a Delta table that others write.

    Raises :class:`SourceError` if it is partitioned, and its folder has a name in which only other tables can be read.
    Raises deltalake's :class:`DeltaError` if it cannot be read.
    """
    if _UNQUOTED.fullmatch(str(folder)):
        return pl.scan_delta(str(folder))
    table = LakeTable(folder)
    if table.table.metadata().partition_columns:
        rule = "a partitioned Delta table's path must have only ASCII letters, digits and -._~/"
        raise SourceError(rule, value=str(folder), remedy="Move the table, or rename its folder.")
    return table.scan()


def merge_files(folder: Path, *, target_bytes: int) -> bool:
    """Merge neighbouring files of a table that are smaller than a size, in the order in which they were added.

    Returns true if any were. Files that no version of the last day needs are deleted. A folder whose name delta-rs
    cannot bear is left as it is. Raises deltalake's :class:`DeltaError` if the table cannot be read or written, and
    :class:`OSError` if the disk refuses.
    """
    from deltalake import DeltaTable

    if _UNBEARABLE.search(str(folder)):
        return False
    table = DeltaTable(folder)
    done = table.optimize.compact(target_size=target_bytes, max_concurrent_tasks=1)
    table.vacuum(retention_hours=_READING_HOURS, enforce_retention_duration=False, dry_run=False)
    return int(done["numFilesRemoved"]) > 0


def delete_rows(folder: Path, column: str, before: datetime) -> int:
    """Delete a table's rows whose instant is before another, and return their number.

    Files that hold no other rows are not read. They are deleted from the disk a day later. Raises what
    :func:`merge_files` does; a folder whose name delta-rs cannot bear is left as it is.
    """
    from deltalake import DeltaTable

    if _UNBEARABLE.search(str(folder)):
        return 0
    done = DeltaTable(folder).delete(f"{column} < '{before.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'")
    return int(done["num_deleted_rows"])


def append_rows(folder: Path, rows: pl.DataFrame, opened: LakeTable | None = None) -> int:
    """Add rows to a table in one commit, making it if need be; one that is open already is not opened again.

    Returns the version that holds them. Raises deltalake's :class:`DeltaError` if they cannot be written, and
    :class:`OSError` if the disk refuses.
    """
    from deltalake import DeltaTable, write_deltalake

    folder.mkdir(parents=True, exist_ok=True)
    if not _UNBEARABLE.search(str(folder)):
        if opened is None:
            write_deltalake(folder, rows, mode="append")
            return int(DeltaTable(folder).version())
        write_deltalake(opened.table, rows, mode="append")
        return opened.version()
    for attempt in range(_ATTEMPTS):
        with TemporaryDirectory(prefix="everfit-delta-") as name:
            copy = Path(name)
            _copy_log(folder, copy)
            write_deltalake(copy, rows, mode="append")
            version = int(DeltaTable(copy).version())
            try:
                _publish(copy, folder, version)
            except FileExistsError:  # another writer had this version
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return version
    raise AssertionError("the last attempt returns or raises")


def _copy_log(folder: Path, copy: Path) -> None:
    """Copy what is new in a table's log; entries never change, but for the note of the last checkpoint."""
    source, target = folder / LOG, copy / LOG
    if not source.is_dir():
        return
    target.mkdir(exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and (path.name.startswith("_") or not (target / path.name).exists()):
            shutil.copyfile(path, target / path.name)


def _publish(copy: Path, folder: Path, version: int) -> None:
    """Move a commit to where it belongs: the data first, then the entry of the log, which must be a new one."""
    entry = f"{version:020}.json"
    for path in copy.glob("*.parquet"):
        shutil.move(path, folder / path.name)
    (folder / LOG).mkdir(exist_ok=True)
    own = folder / LOG / f".{entry}.{os.getpid()}"
    shutil.copyfile(copy / LOG / entry, own)
    try:
        os.link(own, folder / LOG / entry)
    finally:
        own.unlink()
    for path in (copy / LOG).iterdir():
        if path.name.startswith("_") or "checkpoint" in path.name:
            shutil.copyfile(path, folder / LOG / path.name)

"""The lake: Delta tables that logs are shipped to, read together with the segments that are not shipped yet.

Every row bears the name of the log segment it came from, and all that a segment has for one table arrives in one
commit. So the rows themselves say what was shipped already: a mark beside them, such as Delta's application
transactions, would have to be kept for as long as a forgotten segment may come back, and read with every commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from everfit.core.errors import StoreError
from everfit.store.atomic_file import sync_to_disk
from everfit.store.delta import LakeTable, append_rows, delta_error

SEGMENT, PLACE = "segment", "place"
"""Every table's columns for the segment that a row came from, and the number of the record within that."""

Schema = Mapping[str, pl.DataType | type[pl.DataType]]


@dataclass(frozen=True, kw_only=True)
class SegmentRows:
    """Rows of one segment for one table."""

    segment: str
    table: str
    """Its folder within the lake."""
    rows: pl.DataFrame
    """With columns :data:`SEGMENT` and :data:`PLACE`; a column of nothing but nulls may have the type Null."""


def append(lake: Path, table: str, parts: Sequence[SegmentRows]) -> int:
    """Append the rows of several segments to one table, each segment once; durable when this returns.

    A table never changes its columns' types. Rows that do not fit stand in a table of their own beside it, called
    ``table-2`` and so on, so that nothing is ever cast, lost or refused. Raises :class:`StoreError` if the table cannot
    be read or written; of every segment all or nothing is there then.

    Args:
        table: The table's folder within it.
        parts: Every segment once, complete.

    Returns:
        Rows added; those of segments that the table has already are not.
    """
    folder = lake / table
    present = [dict(opened.schema()) for opened in _open(_variants(folder))]
    known = shipped_segments(lake, table, [part.segment for part in parts])
    shapes: list[dict[str, pl.DataType]] = [*present]
    members: list[list[pl.DataFrame]] = [[] for _ in shapes]
    for part in parts:
        if part.segment in known or part.rows.is_empty():
            continue
        number = next((number for number, shape in enumerate(shapes) if _fits(part.rows.schema, shape)), len(shapes))
        if number == len(shapes):
            shapes.append(dict(part.rows.schema))
            members.append([])
        shapes[number] = _refined(shapes[number], part.rows.schema)
        members[number].append(part.rows)
    for number, (shape, frames) in enumerate(zip(shapes, members, strict=True)):
        if frames:
            settled = pl.Schema({name: pl.Float64() if kind == pl.Null else kind for name, kind in shape.items()})
            rows = pl.concat([frame.select(settled.names()).cast(settled) for frame in frames])
            _write(_variant(folder, number), rows)
    return sum(frame.height for frames in members for frame in frames)


def shipped_segments(lake: Path, table: str, segments: Iterable[str]) -> set[str]:
    """Return those of the segments that a table has already. Raises :class:`StoreError` if the table cannot be read."""
    wanted = pl.col(SEGMENT).is_in(sorted(set(segments)))
    found: set[str] = set()
    for opened in _open(_variants(lake / table)):
        found |= set(opened.scan().filter(wanted).select(SEGMENT).unique().collect().to_series())
    return found


def scan_tables(lake: Path, under: str, unshipped: Sequence[SegmentRows], *, base: Schema) -> pl.LazyFrame:
    """Return the rows of all tables under a folder, and those that are not shipped yet, every row once.

    Raises :class:`StoreError` if a table cannot be read.

    Args:
        under: A table's folder within it, or one with tables.
        unshipped: The log's rows; read before this is called, so that rows shipped in between are not missed.
        base: Columns, with types, that come first and are there though no row is.

    Returns:
        Every column that any table has. Where tables disagree on a type, numbers become wide enough and all else
        becomes text. It goes on reading the versions that are the newest now.
    """
    folder = lake / under
    frames = [pl.LazyFrame(schema=base)]
    # Opened once: the same version must say which segments it has and give their rows.
    tables = {path: table for path in _tables_under(folder) for table in _open([path])}
    waiting: dict[str, list[SegmentRows]] = {}
    for part in unshipped:
        if part.table == under or part.table.startswith(f"{under}/"):
            waiting.setdefault(part.table, []).append(part)
    frames += [table.scan() for table in tables.values()]
    for name, parts in waiting.items():
        wanted = pl.col(SEGMENT).is_in(sorted({part.segment for part in parts}))
        has: set[str] = set()
        for path, table in tables.items():
            if _is_variant(path, lake / name):
                has |= set(table.scan().filter(wanted).select(SEGMENT).unique().collect().to_series())
        frames += [part.rows.lazy() for part in parts if part.segment not in has]
    return united(frames)


def tables_under(
    lake: Path, under: str = "", *, known: Mapping[str, LakeTable] | None = None
) -> tuple[tuple[str, LakeTable], ...]:
    """Return all tables at or below a folder of the lake, by their folder within the lake.

    Raises :class:`StoreError` if one cannot be read.

    Args:
        under: A folder within it.
        known: An earlier call's tables: these are updated, which is faster than opening them.
    """
    found = []
    for path in _tables_under(lake / under):
        name = path.relative_to(lake).as_posix()
        opened = [_updated(path, known[name])] if known and name in known else _open([path])
        found += [(name, table) for table in opened]
    return tuple(found)


def _updated(folder: Path, table: LakeTable) -> LakeTable:
    try:
        table.update()
    except (delta_error(), OSError) as error:
        raise _broken(folder, error) from error
    return table


@dataclass(frozen=True, kw_only=True)
class TableSize:
    """Size of a table."""

    rows: int
    files: int
    size_bytes: int


def table_sizes(lake: Path, under: str) -> dict[str, TableSize]:
    """The sizes of all tables at or below a folder of the lake, by their folder within the lake; no row is read.

    Raises :class:`StoreError` if one cannot be read.
    """
    sizes = {}
    for name, table in tables_under(lake, under):
        files = table.actions()
        rows, size_bytes = int(files["num_records"].sum()), int(files["size_bytes"].sum())
        sizes[name] = TableSize(rows=rows, files=files.height, size_bytes=size_bytes)
    return sizes


def _tables_under(folder: Path) -> list[Path]:
    return sorted(log.parent for log in folder.rglob("_delta_log") if log.is_dir())


def _variant(folder: Path, number: int) -> Path:
    return folder if number == 0 else folder.with_name(f"{folder.name}-{number + 1}")


def _variants(folder: Path) -> list[Path]:
    """A table's folder and those beside it that hold rows of other types."""
    found: list[Path] = []
    while (path := _variant(folder, len(found)) / "_delta_log").is_dir():
        found.append(path.parent)
    return found


def _is_variant(path: Path, folder: Path) -> bool:
    return path == folder or (path.parent == folder.parent and path.name.startswith(f"{folder.name}-"))


def _open(folders: Iterable[Path]) -> list[LakeTable]:
    tables = []
    for folder in folders:
        try:
            tables.append(LakeTable(folder))
        except delta_error("TableNotFoundError"):  # its first commit is still being written
            continue
        except (delta_error(), OSError) as error:
            raise _broken(folder, error) from error
    return tables


def _fits(rows: Mapping[str, pl.DataType], shape: Mapping[str, pl.DataType]) -> bool:
    return rows.keys() == shape.keys() and all(
        dtype == shape[name] or pl.Null in (dtype, shape[name]) for name, dtype in rows.items()
    )


def _refined(shape: Mapping[str, pl.DataType], rows: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    return {name: rows[name] if dtype == pl.Null else dtype for name, dtype in shape.items()}


def _write(folder: Path, rows: pl.DataFrame) -> None:
    try:
        _sync(folder, append_rows(folder, rows))
    except (delta_error(), OSError) as error:
        raise _broken(folder, error) from error


def _sync(folder: Path, version: int) -> None:
    """Put a commit on the disk: Delta leaves that to the operating system, and the log is deleted next."""
    log = folder / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    files = [folder / unquote(action["add"]["path"]) for action in actions if "add" in action]
    for path in (*files, log, log.parent, folder, folder.parent):
        sync_to_disk(path)


def united(frames: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """Return all rows, with every column that any frame has, in common types."""
    types: dict[str, set[pl.DataType]] = {}
    for frame in frames:
        for name, dtype in frame.collect_schema().items():
            types.setdefault(name, set()).add(dtype)
    text = {
        name
        for name, found in types.items()
        if len(found - {pl.Null()}) > 1 and not all(dtype.is_numeric() for dtype in found)
    }
    agreed = [
        frame.with_columns(pl.col(name).cast(pl.String) for name in frame.collect_schema() if name in text)
        for frame in frames
    ]
    return pl.concat(agreed, how="diagonal_relaxed")


def _broken(folder: Path, error: Exception) -> StoreError:
    return StoreError(f"a table of the lake could not be read or written: {error}", value=str(folder))

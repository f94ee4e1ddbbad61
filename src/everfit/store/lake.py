"""The lake: Delta tables that logs are shipped to, read together with the segments that are not shipped yet.

Every row bears the name of the log segment it came from, and all that a segment has for one table arrives in one
commit. So the rows themselves say what was shipped already: a mark beside them, such as Delta's application
transactions, would have to be kept for as long as a forgotten segment may come back, and read with every commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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

    Returns the number of rows that were added; those of segments that the table has already are not.

    Args:
        table: The table's folder within it.
        parts: Every segment once, complete.
    """
    folder = lake / table
    tables = _open(_variants(folder))
    known = _shipped(tables, parts)
    shapes = [dict(opened.schema()) for opened in tables]
    members: list[list[pl.DataFrame]] = [[] for _ in shapes]
    for part in parts:
        if part.segment in known or part.rows.is_empty():
            continue
        types = part.rows.schema
        number = next((number for number, shape in enumerate(shapes) if fits(types, shape)), len(shapes))
        if number == len(shapes):
            shapes.append(dict(types))
            members.append([])
        # A column of nothing but nulls takes the type of the first values.
        shapes[number] = {name: types[name] if kind == pl.Null else kind for name, kind in shapes[number].items()}
        members[number].append(part.rows)
    for number, (shape, frames) in enumerate(zip(shapes, members, strict=True)):
        if frames:
            settled = pl.Schema({name: pl.Float64() if kind == pl.Null else kind for name, kind in shape.items()})
            rows = pl.concat([frame.select(settled.names()).cast(settled) for frame in frames])
            variant = _variant(folder, number)
            with naming_table(variant):
                opened = tables[number] if number < len(tables) and tables[number].folder == variant else None
                _sync(variant, append_rows(variant, rows, opened))
    return sum(frame.height for frames in members for frame in frames)


def _shipped(tables: Iterable[LakeTable], parts: Iterable[SegmentRows]) -> set[str]:
    """Return those of the parts' segments that tables have already."""
    wanted = pl.col(SEGMENT).is_in(sorted({part.segment for part in parts}))
    found = (table.scan().filter(wanted).select(SEGMENT).unique().collect() for table in tables)
    return {segment for rows in found for segment in rows.to_series()}


def scan_tables(lake: Path, under: str, unshipped: Sequence[SegmentRows], *, base: Schema) -> pl.LazyFrame:
    """Return the rows of all tables under a folder, and those that are not shipped yet, every row once.

    The frame has every column that any table has. Where tables disagree on a type, numbers become wide enough and all
    else becomes text. It goes on reading the versions that are the newest now. Raises :class:`StoreError` if a table
    cannot be read.

    Args:
        under: A table's folder within it, or one with tables.
        unshipped: The log's rows; read before this is called, so that rows shipped in between are not missed.
        base: Columns, with types, that come first and are there though no row is.
    """
    # Opened once: the same version must say which segments it has and give their rows.
    tables = _open(_tables_under(lake / under))
    waiting: dict[str, list[SegmentRows]] = {}
    for part in unshipped:
        if f"{part.table}/".startswith(f"{under}/"):
            waiting.setdefault(part.table, []).append(part)
    frames = [pl.LazyFrame(schema=base), *(table.scan() for table in tables)]
    for name, parts in waiting.items():
        has = _shipped((table for table in tables if _is_variant(table.folder, lake / name)), parts)
        frames += [part.rows.lazy() for part in parts if part.segment not in has]
    return united(frames)


def tables_under(
    lake: Path, under: str, *, known: Mapping[str, LakeTable] | None = None
) -> Iterator[tuple[str, LakeTable]]:
    """Yield all tables at or below a folder of the lake, with their folder within the lake.

    Tables that are ``known`` from an earlier call are updated, which is faster than opening them. Raises
    :class:`StoreError` if one cannot be read.
    """
    for path in _tables_under(lake / under):
        name = path.relative_to(lake).as_posix()
        if known and name in known:
            with naming_table(path):
                known[name].update()
            yield name, known[name]
        else:
            yield from ((name, table) for table in _open([path]))


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
        with (
            naming_table(folder),
            suppress(delta_error("TableNotFoundError")),
        ):  # its first commit is still being written
            tables.append(LakeTable(folder))
    return tables


@contextmanager
def naming_table(folder: Path) -> Iterator[None]:
    """Name the table in errors of deltalake or of the disk. Raises :class:`StoreError` for them."""
    try:
        yield
    except (delta_error(), OSError) as error:
        raise StoreError(f"a table of the lake could not be read or written: {error}", value=str(folder)) from error


def fits(rows: Mapping[str, pl.DataType], shape: Mapping[str, pl.DataType]) -> bool:
    """Return true if rows have the columns of a shape in its types; nothing but nulls fits any type."""
    return rows.keys() == shape.keys() and all(
        dtype == shape[name] or pl.Null in (dtype, shape[name]) for name, dtype in rows.items()
    )


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

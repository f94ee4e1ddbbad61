"""The files of one source as one table: every file's schema is looked at, and the columns are brought to one type.

Schemas are read once per version of a file: from the footers of Parquet files, and from all rows of CSV files, which
have no other schema.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

import polars as pl

from everfit.core.errors import SourceError
from everfit.definitions.source import Source, SourceKind
from everfit.store.common_type import common_type, is_narrowed
from everfit.store.csv_file import CsvFormat, as_text, find_bad_cell, inspect_csv

_EXACT = 2**53
_ENDINGS = {"parquet": (".parquet", ".pq"), "csv": (".csv", ".tsv", ".csv.gz", ".tsv.gz")}
_SHOWN_FILES = 3


@dataclass(frozen=True, kw_only=True)
class FileSchema:
    """The columns of one file, and how its rows are read."""

    file: Path
    schema: pl.Schema
    csv: CsvFormat | None = None


@dataclass(frozen=True)
class SourceFiles:
    """Reads sources of Parquet and CSV files. It keeps the files' schemas, and no rows."""

    _known: dict[tuple[Path, str], tuple[tuple[int, int], FileSchema]] = field(default_factory=dict)
    """By file and declared types: the file's size and time of change, and what was found then."""

    def scan(self, source: Source, files: Sequence[Path]) -> pl.LazyFrame:
        """The rows of all files, lazily, in the columns of all of them; a column that a file lacks is null there.

        Raises :class:`SourceError` if a file cannot be read, lacks a column that the source names, or has a column of a
        type that cannot be brought to that of the other files without loss; names the file and the column.
        """
        place = f"source {source.name}"
        found = [self._inspect(file, source, place) for file in files]
        for name in source.types:
            if not any(name in part.schema for part in found):
                raise SourceError("a column whose type the source says must be in a file", value=name, place=place)
        _require_declared(source, found, place)
        wanted = _agree(found, place)
        parts = [
            _read(same).select(_in_type(name, same[0].schema.get(name), dtype) for name, dtype in wanted.items())
            for same in _alike(found)
        ]
        return parts[0] if len(parts) == 1 else pl.concat(parts)

    def require_readable(self, source: Source, files: Sequence[Path]) -> None:
        """Read all of each Parquet file, and refuse the first one that is damaged.

        Raises :class:`SourceError` naming the file.
        """
        for file in files:
            try:
                for column in pl.scan_parquet(file, glob=False).collect_schema():
                    pl.read_parquet(file, glob=False, columns=[column])
            except (pl.exceptions.PolarsError, OSError) as error:
                raise _unreadable(file, error, f"source {source.name}") from error

    def gaps(self, source: Source, files: Sequence[Path]) -> dict[str, list[str]]:
        """The columns that only some of the files have, with the names of the files that lack them."""
        found = [self._inspect(file, source, f"source {source.name}") for file in files]
        names = dict.fromkeys(name for part in found for name in part.schema)
        lacking = {name: [part.file.name for part in found if name not in part.schema] for name in names}
        return {name: files for name, files in lacking.items() if files}

    def _inspect(self, file: Path, source: Source, place: str) -> FileSchema:
        stat = file.stat()
        key, version = (file, repr(sorted(map(repr, source.types.items())))), (stat.st_size, stat.st_mtime_ns)
        if key not in self._known or self._known[key][0] != version:
            self._known[key] = version, _inspect(file, source, place)
        return self._known[key][1]


def find_files(place: Path, pattern: str, *, kind: SourceKind) -> list[Path]:
    """The files that a path, a glob or a folder names, in order.

    A folder stands for the files with its ending that are anywhere in it, but for those whose name, or whose folder's,
    begins with ``_`` or ``.``, as Spark names what is no data. A glob leaves out hidden and temporary files (``.``,
    ``~``).

    Args:
        place: The path, in which nothing stands for anything else.
        pattern: The path as a glob.
    """
    if place.is_file():
        return [place]
    if place.is_dir():
        inside = (file for file in place.rglob("*") if file.is_file() and file.name.lower().endswith(_ENDINGS[kind]))
        hidden = ("_", ".")
        return sorted(f for f in inside if not any(part.startswith(hidden) for part in f.relative_to(place).parts))
    found = (Path(file) for file in glob(pattern, recursive=True))
    return sorted(file for file in found if file.is_file() and not file.name.startswith((".", "~")))


def _inspect(file: Path, source: Source, place: str) -> FileSchema:
    if source.kind == "csv":
        csv = inspect_csv(file, types=source.column_types, place=place)
        return FileSchema(file=file, schema=csv.schema, csv=csv)
    try:
        if not file.stat().st_size:
            raise pl.exceptions.ComputeError("it is empty, 0 bytes")
        return FileSchema(file=file, schema=pl.scan_parquet(file, glob=False).collect_schema())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(file, error, place) from error


def _unreadable(file: Path, error: Exception, place: str) -> SourceError:
    reason = str(error).strip().partition("\n")[0].removeprefix("parquet: ")
    remedy = "The file may be cut off, damaged or of another kind; write it again, or correct the path."
    return SourceError(f"{file.name} must be readable as Parquet: {reason}", place=place, remedy=remedy)


def _require_declared(source: Source, found: Sequence[FileSchema], place: str) -> None:
    """Refuse files without a time that the source names, where others have it."""
    for column in (source.timestamp, source.created):
        lacking = [part for part in found if column and column not in part.schema]
        if lacking and len(lacking) < len(found):
            remedy = f"Its columns are: {', '.join(lacking[0].schema)}."
            names = _shown([part.file.name for part in lacking])
            raise SourceError(f"the column {column} must be in every file", value=names, place=place, remedy=remedy)


def _agree(found: Sequence[FileSchema], place: str) -> pl.Schema:
    """The columns of all files in the types that all have in common."""
    wanted: dict[str, pl.DataType] = {}
    for part in found:
        for name, dtype in part.schema.items():
            common = common_type(wanted[name], dtype) if name in wanted else dtype
            if common is None:
                raise _disagreement(found, name, place)
            wanted[name] = common
    for part in found:
        for name, dtype in part.schema.items():
            if is_narrowed(dtype, wanted[name]):
                _require_exact(part, name, wanted[name], place)
    return pl.Schema(wanted)


def _require_exact(part: FileSchema, name: str, wanted: pl.DataType, place: str) -> None:
    column = _read([part]).select(pl.col(name).min().alias("low"), pl.col(name).max().alias("high"))
    low, high = column.collect(engine="streaming").row(0)
    if low is not None and not -_EXACT <= low <= high <= _EXACT:
        rule = f"the column {name} must be of one type in all files, but holds integers here that {wanted} cannot"
        raise SourceError(rule, value=high if high > _EXACT else low, place=f"{place}, {part.file.name}")


def _disagreement(found: Sequence[FileSchema], name: str, place: str) -> SourceError:
    """Name the files whose type is the rarer one, and in CSV the cell that makes it so."""
    types = [(part, part.schema[name]) for part in found if part.schema.get(name, pl.Null()) != pl.Null()]
    counts = Counter(dtype for _, dtype in types)
    usual = max(counts, key=lambda dtype: (counts[dtype], dtype != pl.String))
    odd = [(part, dtype) for part, dtype in types if common_type(dtype, usual) is None]
    part, dtype = odd[0]
    others = [same.file.name for same, kind in types if kind == usual]
    rule = f"the column {name} must be of one type in all files, but is {dtype} here and {usual} in {_shown(others)}"
    where, value, remedy = f"{place}, {part.file.name}", None, "Write the file again with the type of the others."
    if part.csv is not None:
        cell = find_bad_cell(part.file, part.csv, name, usual) if dtype == pl.String else None
        if cell is not None:
            where, value = f"{where}, line {cell[0]}", cell[1]
        remedy = f"Correct the file; {as_text(name)}."
    if usual.is_temporal():
        form = "ISO 8601 with a zone in every file, such as 2024-03-01T08:30:00Z, dates as 2024-03-01"
        remedy = f"Write instants as {form}."
    return SourceError(rule, value=value, place=where, remedy=remedy)


def _shown(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_FILES
    return ", ".join(names[:_SHOWN_FILES]) + (f" and {more} more" if more > 0 else "")


def _alike(found: Sequence[FileSchema]) -> list[list[FileSchema]]:
    """The files that one scan can read: with the same columns in the same order and types."""
    groups: dict[tuple[object, ...], list[FileSchema]] = {}
    for part in found:
        groups.setdefault((part.csv, tuple(part.schema.items())), []).append(part)
    return list(groups.values())


def _read(parts: Sequence[FileSchema]) -> pl.LazyFrame:
    files, csv = [part.file for part in parts], parts[0].csv
    return pl.scan_parquet(files, glob=False) if csv is None else csv.scan(files)


def _in_type(name: str, have: pl.DataType | None, wanted: pl.DataType) -> pl.Expr:
    if have is None:
        return pl.lit(None, wanted).alias(name)
    if have == wanted:
        return pl.col(name)
    if isinstance(have, pl.Datetime) and isinstance(wanted, pl.Datetime) and have.time_zone is not None:
        return pl.col(name).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    return pl.col(name).cast(wanted)

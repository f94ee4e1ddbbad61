"""Reading the lake's tables as they grow: every file is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl
from msgspec import Struct

from everfit.core.errors import StoreError
from everfit.core.instants import EARLIEST, END
from everfit.store.delta import LakeTable
from everfit.store.lake import SEGMENT, Schema, tables_under, united
from everfit.store.timestamps import in_years, instant_literal, out_of_years

_MOST_SEGMENTS = 20_000
"""Names that a mark keeps: only of segments that the log still has are they needed."""
_File = tuple[str, str]
"""The table that it belongs to, and its URI."""


class Span(NamedTuple):
    """First and last instant of a file's rows, and how many there are; without any instant the first is the later."""

    first: datetime = END
    last: datetime = EARLIEST
    rows: int = 0


class TableMark(Struct, frozen=True, kw_only=True):
    """High-water mark of tables: the files that were read, so that another tailer can go on."""

    files: dict[str, dict[str, Span]]
    """By table and URI."""
    versions: dict[str, int]
    """Of each table, when its files were read."""
    segments: tuple[str, ...]
    """The last of the log's whose rows were read."""
    left_out: int


class _Cut(NamedTuple):
    """A large file of which some rows were read."""

    table: str
    uri: str
    first: datetime
    """First instant of the others."""
    begin: int = 0
    """Number of those rows."""


@dataclass
class TableTailer:
    """Tailer of the tables under a folder of the lake: it reads each file once.

    Files that were merged hold the same rows, and are not read again. Where rows were deleted, everything is.
    """

    lake: Path
    under: str
    """The tables' folder within it."""
    base: Schema
    """The columns that every table has."""
    wanted: Callable[[str], bool]
    """Returns true for the name of a column that is to be read."""
    instant: str
    """The column by which :meth:`between` finds rows."""
    left_out: int = 0
    """Rows that were left out, since an instant of theirs lies outside of the years that are allowed."""
    segments: set[str] = field(default_factory=set)
    """Of the log, whose rows were read; none where their column is not wanted."""
    unread_from: datetime | None = None
    """First instant of the files that :meth:`grown` has left for later; ``None`` if all were read."""
    _tables: dict[str, LakeTable] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)
    _present: dict[str, tuple[int, set[str]]] = field(default_factory=dict)
    """Version and URIs of each table's files: to ask for them takes 3 ms."""
    _files: dict[str, dict[str, Span]] = field(default_factory=dict)
    """Those that were read, by table and URI."""
    _unread: dict[_File, Span] = field(default_factory=dict)
    _cut: _Cut | None = None
    _was_read: bool = False

    def grown(
        self,
        *,
        most_rows: int | None = None,
        until: datetime | None = None,
        skipped: Callable[[Sequence[Span]], Sequence[bool]] | None = None,
    ) -> tuple[pl.DataFrame, bool]:
        """Rows that were added since the last call, in no particular order, and whether what was read before is void.

        Raises :class:`StoreError` if a table cannot be read; the next call returns the same rows again.

        Args:
            most_rows: Files are read in the order of their first instants, up to this number of rows; others, and what
                is left of a larger one, are left for later calls.
            until: Files that begin later are left for later calls.
            skipped: Where everything is new, returns true for the files that need not be read.
        """
        present = self._uris()
        is_gone = any(self._files[name].keys() - present.get(name, set()) for name in self._files)
        cut = self._cut
        is_gone = is_gone or (cut is not None and cut.uri not in present.get(cut.table, ()))
        is_all = is_gone or not self._was_read
        known = {} if is_all else self._files
        new = {name: sorted(uris - known.get(name, {}).keys()) for name, uris in present.items()}
        unread = {} if is_all else self._unread
        try:
            unread = {
                (name, uri): span
                for name, uris in new.items()
                for uri, span in self._spans(uris, {uri: unread[name, uri] for uri in uris if (name, uri) in unread})
            }
            if is_all and skipped is not None:
                passed = skipped(list(unread.values()))
                for (name, uri), is_passed in zip(list(unread), passed, strict=True):
                    if is_passed:
                        known = {**known, name: {**known.get(name, {}), uri: unread.pop((name, uri))}}
            chosen, cut = _planned(unread, None if is_all else cut, most_rows, until)
            rests = cut is not None and until is not None and cut.first > until
            frames = [
                self._read([uri for of, uri in chosen if of == name], self.wanted)
                for name in dict.fromkeys(name for name, _ in chosen)
            ]
            if cut is not None and not rests:
                frames.append(self._read([cut.uri], self.wanted).slice(cut.begin, most_rows))
                if most_rows is not None and cut.begin + most_rows < unread[cut.table, cut.uri].rows:
                    cut = self._rest(cut, most_rows)
                else:
                    chosen.append((cut.table, cut.uri))
                    cut = None
            base = pl.DataFrame(schema={n: t for n, t in self.base.items() if self.wanted(n)})
            found = united([base.lazy(), *frames]).collect() if frames else base
        except (pl.exceptions.PolarsError, OSError) as error:
            raise StoreError(f"a table of the lake could not be read: {error}", value=self.under) from error
        self.left_out = 0 if is_all else self.left_out
        read = set(found[SEGMENT].unique()) if found.height and SEGMENT in found.columns else set()
        self.segments = read if is_all else self.segments | read
        height, found = found.height, in_years(found) if found.height else found
        self.left_out += height - found.height
        self._files = {
            name: {**known.get(name, {}), **{uri: unread.pop((of, uri)) for of, uri in chosen if of == name}}
            for name in present
        }
        self._unread, self._cut, self._was_read = unread, cut, True
        firsts = {file: span.first for file, span in unread.items()}
        if cut is not None:
            firsts[cut.table, cut.uri] = cut.first
        self.unread_from = min(firsts.values(), default=None)
        return found, is_all

    def mark(self) -> TableMark:
        """Return what was read; all files must have been."""
        segments = tuple(sorted(self.segments)[-_MOST_SEGMENTS:])
        return TableMark(files=self._files, versions=self._versions, segments=segments, left_out=self.left_out)

    def resume(self, mark: TableMark) -> None:
        """Go on from a mark, in place of the beginning."""
        self._files, self._versions, self.left_out = mark.files, mark.versions, mark.left_out
        self.segments, self._was_read = set(mark.segments), True

    def between(self, first: datetime, last: datetime, wanted: Callable[[str], bool]) -> pl.LazyFrame:
        """Return the known rows in ``[first, last]``, with other columns; only the files with such rows are read."""
        frames = [pl.LazyFrame(schema={name: kind for name, kind in self.base.items() if wanted(name)})]
        for name, files in self._files.items():
            uris = [uri for uri, span in files.items() if span.first <= last and span.last >= first]
            if self._cut is not None and self._cut.table == name:
                uris.append(self._cut.uri)
            if uris:
                inside = pl.col(self.instant).is_between(instant_literal(first), instant_literal(last))
                frames.append(self._read(uris, wanted, inside))
        return united(frames)

    def _uris(self) -> dict[str, set[str]]:
        for name, table in tables_under(self.lake, self.under, known=self._tables):
            self._tables[name] = table
            if name in self._files and table.version() > self._versions[name]:
                self._follow_merges(name, table, self._versions[name])
            if name not in self._present or self._present[name][0] != table.version():
                self._present[name] = table.version(), set(map(str, table.files()))
            self._versions[name] = table.version()
        return {name: self._present[name][1] for name in self._tables}

    def _follow_merges(self, name: str, table: LakeTable, version: int) -> None:
        """Take files that were merged since a version for known ones, if all that they were made of is known."""
        merged, known = table.merged_since(version), self._files[name]
        if merged is None or not merged[0]:
            return
        gone, made = ({str(file) for file in files} for files in merged)
        if gone <= known.keys():
            kept = {uri: span for uri, span in known.items() if uri not in gone}
            self._files[name] = kept | dict(self._spans(sorted(made), {}))

    @staticmethod
    def _read(uris: list[str], wanted: Callable[[str], bool], *conditions: pl.Expr) -> pl.LazyFrame:
        rows = pl.scan_parquet(uris, glob=False, hive_partitioning=False)
        return rows.filter(*conditions).select(name for name in rows.collect_schema() if wanted(name))

    def _rest(self, cut: _Cut, rows: int) -> _Cut:
        """Return what is left of a file after its next rows."""
        begin = cut.begin + rows
        left = pl.scan_parquet([cut.uri], glob=False, hive_partitioning=False).slice(begin).select(self.instant)
        first = left.filter(~out_of_years(self.instant)).min().collect().item()
        return cut._replace(begin=begin, first=END if first is None else first)

    def _spans(self, uris: list[str], held: Mapping[str, Span]) -> Iterator[tuple[str, Span]]:
        """Yield every file's span, where those of some are held."""
        missing = [uri for uri in uris if uri not in held]
        instant = pl.col(self.instant).filter(~out_of_years(self.instant))
        spans = dict(held)
        if missing:
            found = (
                pl.scan_parquet(missing, glob=False, hive_partitioning=False, include_file_paths="__uri")
                .group_by("__uri")
                .agg(instant.min().alias("first"), instant.max().alias("last"), pl.len())
                .collect()
            )
            spans |= {uri: Span(first or END, last or EARLIEST, rows) for uri, first, last, rows in found.iter_rows()}
        # Files of which no row is left have an empty span, and are not read again.
        return ((uri, spans.get(uri, Span())) for uri in uris)


def _planned(
    unread: Mapping[_File, Span], cut: _Cut | None, most_rows: int | None, until: datetime | None
) -> tuple[list[_File], _Cut | None]:
    """Return the files to read whole now, or a large one of which a part was read, or is to be read now."""
    if cut is not None:
        return [], cut
    chosen = _chosen(unread, most_rows, until)
    if chosen or not unread or most_rows is None:
        return chosen, None
    file = min(unread, key=lambda file: (unread[file].first, file))
    first = unread[file].first
    return [], None if until is not None and first > until else _Cut(*file, first=first)


def _chosen(unread: Mapping[_File, Span], most_rows: int | None, until: datetime | None) -> list[_File]:
    """Return the files to read whole now, the earliest first; none if the earliest has too many rows."""
    chosen, rows = list[_File](), 0
    for file, span in sorted(unread.items(), key=lambda item: (item[1].first, item[0])):
        rows += span.rows
        if (until is not None and span.first > until) or (most_rows is not None and rows > most_rows):
            break
        chosen.append(file)
    return chosen

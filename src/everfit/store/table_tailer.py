"""Reading the lake's tables as they grow: every file is read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from everfit.core.errors import StoreError
from everfit.core.instants import EARLIEST, END
from everfit.store.delta import LakeTable
from everfit.store.lake import Schema, tables_under, united
from everfit.store.timestamps import in_years, out_of_years

_Span = tuple[datetime, datetime]
"""The first and last instant of a file's rows."""


@dataclass
class TableTailer:
    """Tailer of the tables under a folder of the lake: it reads each file once.

    Tables are only appended to. Should one be rewritten all the same, everything is read again.
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
    _tables: dict[str, LakeTable] = field(default_factory=dict)
    _files: dict[str, dict[str, _Span]] = field(default_factory=dict)
    """By table and URI."""

    def grown(self) -> tuple[pl.DataFrame, bool]:
        """Rows that were added since the last call, in no particular order, and whether these are all there are.

        Raises :class:`StoreError` if a table cannot be read; the next call returns the same rows again.
        """
        present = self._uris()
        is_all = not self._files or any(self._files[name].keys() - present.get(name, set()) for name in self._files)
        known = {} if is_all else self._files
        new = {name: sorted(uris - known.get(name, {}).keys()) for name, uris in present.items()}
        frames = [self._read(uris, self.wanted) for uris in new.values() if uris]
        rows = united([pl.LazyFrame(schema={n: t for n, t in self.base.items() if self.wanted(n)}), *frames])
        try:
            found = rows.collect()
            spans = {name: self._spans(uris) for name, uris in new.items() if uris}
        except (pl.exceptions.PolarsError, OSError) as error:
            raise StoreError(f"a table of the lake could not be read: {error}", value=self.under) from error
        self.left_out = 0 if is_all else self.left_out
        height, found = found.height, in_years(found)
        self.left_out += height - found.height
        self._files = {name: {**known.get(name, {}), **spans.get(name, {})} for name in present}
        return found, is_all

    def between(self, first: datetime, last: datetime, wanted: Callable[[str], bool]) -> pl.LazyFrame:
        """Return the known rows in ``[first, last]``, with other columns; only the files with such rows are read."""
        frames = [pl.LazyFrame(schema={name: kind for name, kind in self.base.items() if wanted(name)})]
        for files in self._files.values():
            uris = [uri for uri, (begin, end) in files.items() if begin <= last and end >= first]
            if uris:
                frames.append(self._read(uris, wanted, pl.col(self.instant).is_between(first, last)))
        return united(frames)

    def _uris(self) -> dict[str, set[str]]:
        for name, table in tables_under(self.lake, self.under, known=self._tables):
            self._tables[name] = table
        return {name: set(map(str, table.files())) for name, table in self._tables.items()}

    @staticmethod
    def _read(uris: list[str], wanted: Callable[[str], bool], *conditions: pl.Expr) -> pl.LazyFrame:
        rows = pl.scan_parquet(uris, glob=False, hive_partitioning=False)
        return rows.filter(*conditions).select(name for name in rows.collect_schema() if wanted(name))

    def _spans(self, uris: list[str]) -> dict[str, _Span]:
        instant = pl.col(self.instant)
        found = (
            pl.scan_parquet(uris, glob=False, hive_partitioning=False, include_file_paths="__uri")
            .filter(~out_of_years(self.instant))
            .group_by("__uri")
            .agg(instant.min().alias("first"), instant.max().alias("last"))
            .drop_nulls()
            .collect()
        )
        # Files of which no row is left have an empty span, and are not read again.
        return dict.fromkeys(uris, (END, EARLIEST)) | {uri: (first, last) for uri, first, last in found.iter_rows()}

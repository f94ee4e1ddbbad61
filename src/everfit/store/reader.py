"""Reads sources: files, Delta tables, SQL queries and Polars functions, all as lazy frames with aware instants."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from glob import escape
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from everfit.core.errors import EverfitError, SourceError
from everfit.core.records import SourceVersion
from everfit.core.sqlite_url import anchor_url, sqlite_path
from everfit.core.suggestion import did_you_mean
from everfit.core.user_code import describe_raise
from everfit.definitions.source import Source
from everfit.store.delta import LakeTable, delta_error, scan_delta
from everfit.store.digest import canonical_order, frame_digest
from everfit.store.journal_records import PUSHES
from everfit.store.plain_values import plain_values
from everfit.store.pushed_rows import KEY, PushTailer
from everfit.store.source_files import SourceFiles, find_files
from everfit.store.sql_reader import SqlReader
from everfit.store.sql_statements import SqlQuery
from everfit.store.time_range import TimeRange
from everfit.store.timestamps import aware_to_utc, instant_literal, require_instant

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PASSWORD = re.compile(r"(?<=://)([^:/@]*):[^@]*@")


class SourcePart(NamedTuple):
    """Part of a source, as :meth:`Reader.scan` reads it."""

    columns: tuple[str, ...] | None = None
    """``None`` for all columns."""
    within: TimeRange | None = None
    """``None`` for all rows."""
    by: str | None = None
    """The time column that the range is of; ``None`` for the source's ``timestamp``."""


class Reader:
    """Turns the sources of one project into rows. It keeps the schemas of files, one connection for each database, and
    no rows: every call reads again, but within :meth:`reading_once`.

    Args:
        root: The project's folder; relative paths start here.
        paths: What ``{name}`` in a path or URL stands for; relative values start at ``root``.
        pushes: The lake's and the journal's folder, where rows are that were pushed to feature views.
        statement_s: Longest time of one statement in a database, in seconds.
    """

    def __init__(
        self,
        root: Path,
        paths: Mapping[str, str],
        *,
        pushes: tuple[Path, Path] | None = None,
        statement_s: float = 60.0,
    ) -> None:
        self._root = root
        self._paths = dict(paths)
        self._pushes = pushes
        self._pushed: dict[str, PushTailer] = {}
        self._frozen: dict[str, pl.DataFrame] = {}
        self._returned: dict[tuple[Source, tuple[str, ...] | None], pl.LazyFrame] | None = None
        self._call_s: dict[Source, float] = {}
        self._source_files = SourceFiles()
        self._sql = SqlReader(statement_s=statement_s)

    def frozen(self, views: Iterable[str]) -> Reader:
        """A reader that sees of these views' pushes only those of before, whatever is pushed from now on.

        Raises :class:`StoreError` if the log or a table cannot be read.
        """
        found = ((view, self.pushed(view)) for view in views)
        frozen = Reader(self._root, self._paths)
        frozen._source_files, frozen._sql = self._source_files, self._sql
        frozen._frozen = {view: rows.collect() for view, rows in found if rows is not None}
        return frozen

    @contextmanager
    def reading_once(self) -> Iterator[None]:
        """Within this context, call a function that takes no range at most once, and hold what it returned.

        A data frame is held as it is; a lazy frame is executed at each use. Other sources are read again by each call.
        """
        self._returned = {}
        try:
            yield
        finally:
            self._returned = None

    def scan(
        self,
        source: Source,
        *,
        columns: Sequence[str] | None = None,
        within: TimeRange | None = None,
        by: str | None = None,
        place: str = "",
        keep_infinite: bool = False,
    ) -> pl.LazyFrame:
        """The source's rows, lazily.

        Files, tables and databases are read by columns and ranges; what else is done with the frame is pushed down as
        Polars does. A function is given ``start``, ``end`` and ``columns`` if it has parameters of these names.

        Every aware instant comes as ``Datetime("us", "UTC")``; dates stay dates. Decimals come as Float64, infinite
        values as null, unless they are to be counted. Raises :class:`SourceError` if it cannot be read, or lacks its
        timestamp or created column or one that is used, :class:`TimestampError` if one of those holds neither aware
        instants nor dates. Collecting the rows raises :class:`SourceError` if a database fails.

        Args:
            source: The source.
            columns: Columns to read, in this order; by default all.
            within: Only rows whose time is in this range; a date stands for its midnight in UTC.
            by: The time column that the range is of; by default the source's ``timestamp``.
            place: Where the columns are named, for errors.
            keep_infinite: Leave infinite values as they are.
        """
        by, own = by or source.timestamp, f"source {source.name}"
        declared = [column for column in (source.timestamp, source.created, *source.known_at.values()) if column]
        try:
            rows = self._open(source, columns=columns and [*columns, *declared, by], within=within, by=by)
            schema = rows.collect_schema()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._unreadable(source, error) from error
        require_columns(source.known_at if columns is None else (), schema, place=f"{own}, known_at")
        require_columns(declared, schema, place=own)
        require_columns([*(columns or ()), by], schema, place=place or own)
        for column in declared:
            require_instant(column, schema[column], place=own)
        if within is not None:
            require_instant(by, schema[by], place=place or own)
            rows = rows.filter(within.condition(by, schema[by]))
        if columns is not None:
            rows = rows.select(columns)
            schema = pl.Schema({name: schema[name] for name in columns})
        return rows.with_columns(*aware_to_utc(schema), *plain_values(schema, keep_infinite=keep_infinite))

    def newest(self, source: Source, *, column: str | None = None, before: datetime | None = None) -> datetime | None:
        """Return the newest instant of a time column, perhaps of those before an instant; ``None`` if there is none.

        A database is asked for the maximum, and of files only this column is read. Raises the errors of :meth:`scan`.

        Args:
            source: The source.
            column: A time column; by default the source's ``timestamp``.
            before: An instant with a time zone.
        """
        column = column or source.timestamp
        rows = self.scan(source, columns=[column], within=TimeRange(None, before), by=column)
        if source.kind == "sql":
            return _as_instant(self._sql.newest(self._query(source), column, before=before))
        with self.naming_damage(source):
            found = rows.select(pl.col(column).max()).collect(engine="streaming").item()
        return _as_instant(found)

    def start_of_newest(self, source: Source, rows: int, *, by: str | None = None, before: datetime) -> datetime | None:
        """Return about the time of the oldest of the newest rows before an instant; ``None`` if there are no more.

        A database finds it by its order; where it has instants as text, it may be off by the difference of their
        zones. Raises the errors of :meth:`scan`.

        Args:
            source: The source.
            rows: Number of the newest rows.
            by: A time column; by default the source's ``timestamp``.
            before: An instant with a time zone.
        """
        by = by or source.timestamp
        read = self.scan(source, columns=[by], within=TimeRange(None, before), by=by)
        if source.kind == "sql":
            return _as_instant(self._sql.nth_newest(self._query(source), by, rows, before=before))
        with self.naming_damage(source):
            newest = read.select(pl.col(by).top_k(rows + 1)).collect(engine="streaming").to_series()
        return _as_instant(newest.min()) if len(newest) > rows else None

    def doubled(self, source: Source, column: str, *, at_most: int) -> list[object]:
        """Return some values of a database's column that several rows have, and ``None`` if a row has none.

        Raises the errors of :meth:`scan`.
        """
        return self._sql.doubled(self._query(source), column, at_most=at_most)

    def without_index(self, source: Source, columns: Collection[str]) -> tuple[str, ...]:
        """Return the time columns of a database whose ranges cannot be read through an index; empty for other kinds.

        Raises the errors of :meth:`scan`.
        """
        return self._sql.without_index(self._query(source), columns) if source.kind == "sql" else ()

    def version(self, source: Source, parts: Sequence[SourcePart] = (SourcePart(),)) -> SourceVersion:
        """Exactly which rows the source holds now.

        Files are hashed by content, in the order of their paths; a Delta table tells its version; the rows of a query
        or function, those of some parts, are hashed in an order of their own, so that the order they arrive in does not
        matter. Raises :class:`SourceError` if it cannot be read.
        """
        files = 0
        if source.kind in {"parquet", "csv"}:
            found = self._files(source)
            files, version = len(found), _hash_files(found)
        elif source.kind == "delta":
            version = f"delta:{self._delta_version(source)}"
        else:
            read = (self.scan(source, columns=columns, within=within, by=by) for columns, within, by in parts)
            digests = [frame_digest(canonical_order(rows.collect())) for rows in read]
            joined = "\n".join(digests).encode()
            version = digests[0] if len(digests) == 1 else f"sha256:{hashlib.sha256(joined).hexdigest()}"
        location = _location(source)
        return SourceVersion(name=source.name, kind=source.kind, location=location, version=version, files=files)

    def fingerprint(self, source: Source) -> object:
        """Return a value that changes whenever the source's rows may have changed; ``None`` for queries and functions.

        Raises :class:`SourceError` if it cannot be read.
        """
        if source.kind in {"parquet", "csv"}:
            found = ((file, file.stat()) for file in self._files(source))
            return tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in found)
        return self._delta_version(source) if source.kind == "delta" else None

    def pushed(self, view: str) -> pl.LazyFrame | None:
        """Every row that was pushed to a view, shipped or not; ``None`` if none ever was.

        Columns as :func:`everfit.store.pushed_rows.pushed_rows` says. Raises :class:`StoreError` if the log or a table
        cannot be read.
        """
        if self._pushes is None:
            return self._frozen[view].lazy() if view in self._frozen else None
        lake, journal = self._pushes
        rows = self._pushed.setdefault(view, PushTailer(lake, journal, view)).scan()
        return rows if any(name.startswith(KEY) for name in rows.collect_schema()) else None

    def pushed_version(self, view: str, *, as_of: datetime) -> SourceVersion | None:
        """Exactly which rows had been pushed to a view by then, recorded in the journal; ``None`` if none were.

        Raises :class:`StoreError` if the log or a table cannot be read.
        """
        pushed = self.pushed(view)
        if pushed is None:
            return None
        rows = pushed.filter(pl.col("recorded_at") <= instant_literal(as_of)).collect()
        if rows.is_empty():
            return None
        # Where nothing but nulls was pushed, the type is not settled before it is shipped.
        told = rows.select(column for column in rows.iter_columns() if column.null_count() < rows.height)
        version = frame_digest(canonical_order(told.select(sorted(told.columns))))
        return SourceVersion(name=f"{view}, pushed", kind="pushed", location=f"{PUSHES}/{view}", version=version)

    @contextmanager
    def naming_damage(self, *sources: Source) -> Iterator[None]:
        """Name the damaged file where a query over these sources fails.

        Only the footer of a Parquet file is read before its rows are. If a query fails, each file is read by itself.
        Raises :class:`SourceError` naming the file; a query that fails for another reason raises what it raised.
        """
        try:
            yield
        except pl.exceptions.PolarsError:
            for source in sources:
                if source.kind == "parquet":
                    self._source_files.require_readable(source, self._files(source))
            raise

    def gaps(self, source: Source) -> dict[str, list[str]]:
        """The columns that only some of a source's files have, with the names of the files that lack them.

        Raises :class:`SourceError` if a file cannot be read.
        """
        if source.kind not in {"parquet", "csv"}:
            return {}
        return self._source_files.gaps(source, self._files(source))

    def _open(
        self, source: Source, *, columns: Sequence[str] | None, within: TimeRange | None, by: str
    ) -> pl.LazyFrame:
        """All rows and columns of a file or table; of the others, at least those that are wanted."""
        if source.kind in {"parquet", "csv"}:
            return self._source_files.scan(source, self._files(source))
        if source.kind == "delta":
            return self._scan_delta(source)
        if source.kind == "sql":
            return self._sql.scan(self._query(source), within=within, by=by)
        return self._call(source, columns, within if by == source.timestamp else None)

    def _scan_delta(self, source: Source) -> pl.LazyFrame:
        place = self._place(source.path or "", source)
        if not place.exists():
            raise self._missing(source, place)
        if not (place / "_delta_log").is_dir():
            remedy = "Name the files of other folders by their ending, such as path='orders/*.parquet'."
            rule = "a folder without an ending must be a Delta table"
            raise SourceError(rule, value=str(place), place=f"source {source.name}", remedy=remedy)
        try:
            rows = scan_delta(place)
            rows.collect_schema()
        except delta_error() as error:
            raise self._unreadable(source, error) from error
        return rows

    def _delta_version(self, source: Source) -> int:
        try:
            return LakeTable(self._place(source.path or "", source)).version()
        except delta_error() as error:
            raise self._unreadable(source, error) from error

    def _query(self, source: Source) -> SqlQuery:
        url = anchor_url(self._fill(source.url or "", source), self._root)
        file = sqlite_path(url)
        # SQLite would make an empty database of a file that is not there.
        if file is not None and not file.is_file():
            raise self._missing(source, file)
        return SqlQuery(
            url=url,
            text=source.query or "",
            place=f"source {source.name}",
            times=frozenset(name for name in (source.timestamp, source.created, *source.known_at.values()) if name),
            unreadable=lambda error: self._unreadable(source, error),
        )

    def _call(self, source: Source, columns: Sequence[str] | None, within: TimeRange | None) -> pl.LazyFrame:
        assert source.function is not None
        # Rows without a time are in no range that a function could be given.
        start, end = (None, None) if within is None or within.with_nulls else (within.start, within.end)
        wanted = None if columns is None else list(dict.fromkeys(columns))
        named: dict[str, Any] = {"start": start, "end": end, "columns": wanted}
        taken = parameters_of(source)
        # Workflows in other threads use this reader too, and may go on after the context has ended.
        returned = None if taken & {"start", "end"} else self._returned
        key = (source, tuple(wanted) if wanted is not None and "columns" in taken else None)
        if returned is not None and key in returned:
            return returned[key]
        began_s = time.monotonic()
        try:
            rows: object = source.function(**{name: value for name, value in named.items() if name in taken})
        except EverfitError:
            raise
        except Exception as error:  # the user's own code may raise anything
            place = f"source {source.name}, {_location(source)}"
            raise SourceError(f"its function must run, but raised {describe_raise(error)}", place=place) from error
        if not isinstance(rows, pl.LazyFrame | pl.DataFrame):
            rule = "a source's function must return a Polars LazyFrame or DataFrame"
            raise SourceError(rule, value=type(rows).__name__, place=f"source {source.name}")
        if returned is not None:
            returned[key] = rows.lazy()
            self._call_s[source] = time.monotonic() - began_s
        return rows.lazy()

    def call_s(self, source: Source) -> float:
        """Return how long a function that takes no range last took within :meth:`reading_once`, in seconds; else 0."""
        return self._call_s.get(source, 0.0)

    def _files(self, source: Source) -> list[Path]:
        path = source.path or ""
        place = self._place(path, source)
        # Neither the project's folder nor a setting is a pattern, whatever characters they have.
        given = Path(self._fill(path, source, escaped=True)).expanduser()
        pattern = str(given) if given.is_absolute() else str(Path(escape(str(self._root))) / given)
        files = find_files(place, pattern, kind=source.kind)
        if not files:
            raise self._missing(source, place)
        return files

    def _place(self, path: str, source: Source) -> Path:
        return self._root / Path(self._fill(path, source)).expanduser()

    def _fill(self, text: str, source: Source, *, escaped: bool = False) -> str:
        for name in _PLACEHOLDER.findall(text):
            if name not in self._paths:
                remedy = f'Add {name} = "…" under [paths] in everfit.toml, or set EVERFIT_PATHS_{name.upper()}.'
                rule = f"{{{name}}} in a source must be set under [paths]"
                raise SourceError(rule, value=text, place=f"source {source.name}", remedy=remedy)
        paths = {name: escape(path) for name, path in self._paths.items()} if escaped else self._paths
        return _PLACEHOLDER.sub(lambda match: paths[match[1]], text)

    def _missing(self, source: Source, looked: Path) -> SourceError:
        remedy = f"{_location(source)!r} leads there; correct it, or the setting under [paths] that it uses."
        place = f"source {source.name}"
        return SourceError("there must be a file to read", value=str(looked), place=place, remedy=remedy)

    def _unreadable(self, source: Source, error: Exception) -> SourceError:
        reason = _hide_password(str(error).strip().partition("\n")[0])
        rule = f"{_location(source)} must be readable as {source.kind}: {reason}"
        return SourceError(rule, place=f"source {source.name}")


def require_columns(wanted: Iterable[str], present: Iterable[str], *, place: str) -> None:
    """Refuse rows that lack a column. Raises :class:`SourceError` naming the columns that come close."""
    known = list(present)
    for column in wanted:
        if column not in known:
            remedy = did_you_mean(column, known, otherwise=f"There are: {', '.join(known) or 'none'}.")
            raise SourceError("a column that is used must exist", value=column, place=place, remedy=remedy)


def parameters_of(source: Source) -> frozenset[str]:
    """Return which of ``start``, ``end`` and ``columns`` the function of a source takes."""
    assert source.function is not None
    try:
        parameters = signature(source.function).parameters
    except ValueError:  # a function of a compiled module has no signature
        return frozenset()
    return frozenset(("start", "end", "columns")) & parameters.keys()


def _as_instant(time: object) -> datetime | None:
    """Return a time as an instant in UTC; a date stands for its midnight there."""
    if time is None or isinstance(time, datetime):
        return time.astimezone(UTC) if time else None
    assert isinstance(time, date)
    return datetime(time.year, time.month, time.day, tzinfo=UTC)


def _location(source: Source) -> str:
    if source.path is not None:
        return source.path
    if source.function is not None:
        return f"{source.function.__module__}.{source.function.__qualname__}"
    return f"{_hide_password(source.url or '')} {source.query}"


def _hide_password(text: str) -> str:
    return _PASSWORD.sub(r"\1:***@", text)


def _hash_files(files: Iterable[Path]) -> str:
    """One digest of the files' own digests, so that no two sets of files can run together into the same bytes."""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{whole.hexdigest()}"

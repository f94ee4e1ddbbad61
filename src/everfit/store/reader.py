"""Reads sources: files, Delta tables, SQL queries and Polars functions, all as lazy frames with aware instants."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from glob import escape
from pathlib import Path

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
from everfit.store.pushed_rows import KEY, scan_pushed
from everfit.store.source_files import SourceFiles, find_files
from everfit.store.timestamps import INSTANT, aware_to_utc, require_instant

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PASSWORD = re.compile(r"(?<=://)([^:/@]*):[^@]*@")
_ISO_INSTANT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$"


class Reader:
    """Turns the sources of one project into rows. It keeps the schemas of files and no rows: every call reads again.

    Args:
        root: The project's folder; relative paths start here.
        paths: What ``{name}`` in a path or URL stands for; relative values start at ``root``.
        pushes: The lake's and the journal's folder, where rows are that were pushed to feature views.
    """

    def __init__(self, root: Path, paths: Mapping[str, str], *, pushes: tuple[Path, Path] | None = None) -> None:
        self._root = root
        self._paths = dict(paths)
        self._pushes = pushes
        self._frozen: dict[str, pl.DataFrame] = {}
        self._source_files = SourceFiles()

    def frozen(self, views: Iterable[str]) -> Reader:
        """A reader that sees of these views' pushes only those of before, whatever is pushed from now on.

        Raises :class:`StoreError` if the log or a table cannot be read.
        """
        found = ((view, self.pushed(view)) for view in views)
        frozen = Reader(self._root, self._paths)
        frozen._source_files = self._source_files
        frozen._frozen = {view: rows.collect() for view, rows in found if rows is not None}
        return frozen

    def scan(self, source: Source, *, keep_infinite: bool = False) -> pl.LazyFrame:
        """The source's rows, lazily.

        Every aware instant comes as ``Datetime("us", "UTC")``; dates stay dates. Decimals come as Float64, infinite
        values as null, unless they are to be counted. Raises :class:`SourceError` if it cannot be read, or lacks its
        timestamp or created column, :class:`TimestampError` if one of those holds neither aware instants nor dates.
        """
        try:
            rows = self._open(source)
            schema = rows.collect_schema()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._unreadable(source, error) from error
        place = f"source {source.name}"
        declared = [column for column in (source.timestamp, source.created, *source.known_at.values()) if column]
        require_columns(source.known_at, schema, place=f"{place}, known_at")
        require_columns(declared, schema, place=place)
        for column in declared:
            require_instant(column, schema[column], place=place)
        return rows.with_columns(*aware_to_utc(schema), *plain_values(schema, keep_infinite=keep_infinite))

    def version(self, source: Source) -> SourceVersion:
        """Exactly which rows the source holds now.

        Files are hashed by content, in the order of their paths; a Delta table tells its version; the rows of a query
        or function are hashed in an order of their own, so that the order they arrive in does not matter. Raises
        :class:`SourceError` if it cannot be read.
        """
        files = 0
        if source.kind in {"parquet", "csv"}:
            found = self._files(source)
            files, version = len(found), _hash_files(found)
        elif source.kind == "delta":
            version = f"delta:{self._delta_version(source)}"
        else:
            version = frame_digest(canonical_order(self.scan(source).collect()))
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
        rows = scan_pushed(lake, journal, view)
        return rows if any(name.startswith(KEY) for name in rows.collect_schema()) else None

    def pushed_version(self, view: str, *, as_of: datetime) -> SourceVersion | None:
        """Exactly which rows had been pushed to a view by then, recorded in the journal; ``None`` if none were.

        Raises :class:`StoreError` if the log or a table cannot be read.
        """
        pushed = self.pushed(view)
        if pushed is None:
            return None
        rows = pushed.filter(pl.col("recorded_at") <= pl.lit(as_of, dtype=INSTANT)).collect()
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

    def _open(self, source: Source) -> pl.LazyFrame:
        if source.kind in {"parquet", "csv"}:
            return self._source_files.scan(source, self._files(source))
        if source.kind == "delta":
            return self._scan_delta(source)
        return self._query(source) if source.kind == "sql" else self._call(source)

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

    def _query(self, source: Source) -> pl.LazyFrame:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.pool import NullPool

        url = anchor_url(self._fill(source.url or "", source), self._root)
        file = sqlite_path(url)
        # SQLite would make an empty database of a file that is not there.
        if file is not None and not file.is_file():
            raise self._missing(source, file)
        try:
            with create_engine(url, poolclass=NullPool).connect() as connection:
                rows = pl.read_database(source.query or "", connection, infer_schema_length=None)
        except (SQLAlchemyError, ImportError) as error:
            raise self._unreadable(source, error) from error
        return _parse_instants(rows).lazy()

    def _call(self, source: Source) -> pl.LazyFrame:
        assert source.function is not None
        try:
            rows: object = source.function()
        except EverfitError:
            raise
        except Exception as error:  # the user's own code may raise anything
            place = f"source {source.name}, {_location(source)}"
            raise SourceError(f"its function must run, but raised {describe_raise(error)}", place=place) from error
        if not isinstance(rows, pl.LazyFrame | pl.DataFrame):
            rule = "a source's function must return a Polars LazyFrame or DataFrame"
            raise SourceError(rule, value=type(rows).__name__, place=f"source {source.name}")
        return rows.lazy()

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


def _parse_instants(rows: pl.DataFrame) -> pl.DataFrame:
    """SQLite keeps instants as text: columns of nothing but ISO 8601 instants with a zone become instants."""
    instants = [
        column.str.to_datetime(time_unit="us", time_zone="UTC")
        for column in rows.iter_columns()
        if column.dtype == pl.String and column.null_count() < rows.height and column.str.contains(_ISO_INSTANT).all()
    ]
    return rows.with_columns(instants)

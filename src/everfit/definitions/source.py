"""Sources of rows: files, tables, databases and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Literal

from everfit.core.errors import DefinitionError
from everfit.definitions.names import require_name

if TYPE_CHECKING:
    import polars as pl
    from polars.datatypes import DataTypeClass

SourceKind = Literal["parquet", "csv", "delta", "sql", "function"]


@dataclass(frozen=True)
class Source:
    """A table of rows with an event time, read lazily.

    Exactly one of ``path``, ``query`` and ``function`` must be given.

    Args:
        name: Name of the source in the project.
        path: A file, a glob or the folder of a Delta table, relative to the project; ``{data}`` in it is replaced by
            the setting ``[paths] data``. The ending selects the format: Parquet (``.parquet``, ``.pq``) or CSV
            (``.csv``, ``.tsv``, also with ``.gz``), also for a folder of such files; another folder is a Delta table.
        query: An SQL query of the database at ``url``.
        url: URL of the database, for example ``sqlite:///orders.db``; ``{name}`` is replaced as in ``path``.
        function: A function that returns a Polars ``LazyFrame`` or ``DataFrame``. If it has parameters ``start``,
            ``end`` or ``columns``, it is given the range of ``timestamp`` that is needed, ``[start, end)`` in aware
            instants, and the columns; each may be ``None``, and more rows and columns may be returned. Without them it
            is called for all rows.
        timestamp: Column with the event time: an instant with a time zone, or a date.
        created: Column with the time at which a row became known; by default the event time.
        known_at: Columns whose values become known later than their row: column name to the column with the time at
            which the value is known, such as ``{"fare_amount": "dropoff_ts"}``. A view gets the value in rows whose
            ``timestamp`` (or ``created``) is not before that time, else null. A request field must be known at the
            event. A label is known when all columns that it is computed from are known.
        types: Polars types of columns of CSV files, where they cannot be inferred from the text, such as
            ``{"shop": pl.String}`` for codes of digits.
        description: A description for readers.

    Raises:
        DefinitionError: If the arguments contradict each other.
    """

    name: str
    _: KW_ONLY
    timestamp: str
    path: str | None = None
    query: str | None = None
    url: str | None = None
    function: Callable[..., pl.LazyFrame | pl.DataFrame] | None = None
    created: str | None = None
    known_at: Mapping[str, str] = field(default_factory=dict, hash=False)
    types: Mapping[str, pl.DataType | DataTypeClass] = field(default_factory=dict, hash=False)
    description: str = ""

    def __post_init__(self) -> None:
        require_name(self.name, of="a source")
        given = [word for word in ("path", "query", "function") if getattr(self, word) is not None]
        if len(given) != 1:
            raise self._wrong("a source takes exactly one of path, query and function", given or None)
        if (self.query is None) != (self.url is None):
            raise self._wrong("query and url must be given together", None)
        for column, known_at in self.known_at.items():
            own = (self.timestamp, self.created, *self.known_at.values())
            if column in own or not isinstance(known_at, str):
                raise self._wrong("known_at must map columns of values to columns of times", {column: known_at})
        if self.types:
            self._check_types()

    @property
    def kind(self) -> SourceKind:
        """Return the format: ``parquet``, ``csv``, ``delta``, ``sql`` or ``function``."""
        if self.function is not None:
            return "function"
        if self.query is not None:
            return "sql"
        path = str(self.path).lower().rstrip("*")
        if path.endswith((".parquet", ".pq")):
            return "parquet"
        return "csv" if path.removesuffix(".gz").endswith((".csv", ".tsv")) else "delta"

    @property
    def column_types(self) -> dict[str, pl.DataType]:
        """Return :attr:`types` as instances."""
        return {name: dtype() if isinstance(dtype, type) else dtype for name, dtype in self.types.items()}

    def _check_types(self) -> None:
        import polars as pl

        if self.kind != "csv":
            remedy = "Parquet files, tables and queries have types: cast the columns there."
            raise self._wrong("types may be given for CSV files only", dict(self.types), remedy)
        for column, given in self.types.items():
            known = isinstance(given, pl.DataType) or (isinstance(given, type) and issubclass(given, pl.DataType))
            if not known or not (given.is_numeric() or given in (pl.String, pl.Boolean, pl.Date, pl.Datetime)):
                rule = f"the type of {column} must be a number, pl.String, pl.Boolean, pl.Date or pl.Datetime"
                raise self._wrong(rule, given)

    def _wrong(self, rule: str, value: object, remedy: str = "") -> DefinitionError:
        return DefinitionError(rule, value=value, remedy=remedy, place=f"source {self.name}")

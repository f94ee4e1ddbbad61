"""Where rows come from."""

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

    Exactly one of ``path``, ``query`` and ``function`` says where from.

    Args:
        name: Its name in the project.
        path: A file, a glob or a Delta table folder, relative to the project; ``{data}`` in it stands for the
            setting ``[paths] data``. Parquet (``.parquet``, ``.pq``) and CSV (``.csv``, ``.tsv``, also with ``.gz``)
            are told by their ending, which a folder of such files may have, too; another folder is a Delta table.
        query: A SQL query, with ``url`` naming the database.
        url: The database's URL, for example ``sqlite:///orders.db``; ``{name}`` works as in ``path``.
        function: A function without arguments that returns a Polars ``LazyFrame`` or ``DataFrame``.
        timestamp: The column with the event time: a UTC-aware instant or a date.
        created: The column with the time at which a row became known; without it, its event time.
        known_at: Columns whose values become known later than their row: by column, the column with the time at which
            it is known, such as ``{"fare_amount": "dropoff_ts"}``. A view sees the value in a row whose ``timestamp``
            (or ``created``) is not before that time, else null; a request field must be known at the event; a label
            is known when all that it is made of is.
        types: Polars types of columns of CSV files whose text does not say what it means, such as
            ``{"shop": pl.String}`` for codes that are mostly digits.
        description: A line for readers.
    """

    name: str
    _: KW_ONLY
    timestamp: str
    path: str | None = None
    query: str | None = None
    url: str | None = None
    function: Callable[[], pl.LazyFrame | pl.DataFrame] | None = None
    created: str | None = None
    known_at: Mapping[str, str] = field(default_factory=dict, hash=False)
    types: Mapping[str, pl.DataType | DataTypeClass] = field(default_factory=dict, hash=False)
    description: str = ""

    def __post_init__(self) -> None:
        require_name(self.name, of="a source")
        given = [word for word in ("path", "query", "function") if getattr(self, word) is not None]
        if len(given) != 1:
            raise DefinitionError(
                "a source takes exactly one of path, query and function",
                value=given or None,
                place=f"source {self.name}",
            )
        if (self.query is None) != (self.url is None):
            raise DefinitionError("query and url go together", place=f"source {self.name}")
        self._check_known_at()
        self._check_types()

    @property
    def kind(self) -> SourceKind:
        """What is read: ``parquet``, ``csv``, ``delta``, ``sql`` or ``function``."""
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
        """:attr:`types` as instances."""
        return {name: dtype() if isinstance(dtype, type) else dtype for name, dtype in self.types.items()}

    def _check_known_at(self) -> None:
        for column, known_at in self.known_at.items():
            own = (self.timestamp, self.created, *self.known_at.values())
            if column in own or not isinstance(known_at, str):
                rule = "known_at takes columns of values, with the column of the time at which each is known"
                raise DefinitionError(rule, value={column: known_at}, place=f"source {self.name}")

    def _check_types(self) -> None:
        if not self.types:
            return
        import polars as pl

        place = f"source {self.name}"
        if self.kind != "csv":
            remedy = "Parquet files, tables and queries say themselves what they hold: cast there."
            raise DefinitionError("types are for CSV files", value=dict(self.types), place=place, remedy=remedy)
        for column, given in self.types.items():
            known = isinstance(given, pl.DataType) or (isinstance(given, type) and issubclass(given, pl.DataType))
            if not known or not (given.is_numeric() or given in (pl.String, pl.Boolean, pl.Date, pl.Datetime)):
                rule = f"the type of {column} must be a number, pl.String, pl.Boolean, pl.Date or pl.Datetime"
                raise DefinitionError(rule, value=given, place=place)

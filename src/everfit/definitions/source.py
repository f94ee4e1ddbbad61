"""Where rows come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal

from everfit.core.errors import DefinitionError
from everfit.definitions.names import require_name

if TYPE_CHECKING:
    import polars as pl

SourceKind = Literal["parquet", "csv", "delta", "sql", "function"]


@dataclass(frozen=True)
class Source:
    """A table of rows with an event time, read lazily.

    Exactly one of ``path``, ``query`` and ``function`` says where from.

    Args:
        name: Its name in the project.
        path: A file, a glob or a Delta table folder, relative to the project; ``{data}`` in it stands for the
            setting ``[paths] data``. ``.parquet`` and ``.csv`` are told by their ending, a folder is a Delta table.
        query: A SQL query, with ``url`` naming the database.
        url: The database's URL, for example ``sqlite:///orders.db``; ``{name}`` works as in ``path``.
        function: A function without arguments that returns a Polars ``LazyFrame`` or ``DataFrame``.
        timestamp: The column with the event time: a UTC-aware instant or a date.
        created: The column with the time at which a row became known; without it, its event time.
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

    @property
    def kind(self) -> SourceKind:
        """What is read: ``parquet``, ``csv``, ``delta``, ``sql`` or ``function``."""
        if self.function is not None:
            return "function"
        if self.query is not None:
            return "sql"
        ending = str(self.path).rsplit(".", 1)[-1].lower()
        if ending in {"parquet", "pq"}:
            return "parquet"
        return "csv" if ending in {"csv", "tsv"} else "delta"

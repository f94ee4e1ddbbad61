"""What is asked, and what turned out."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from everfit.definitions.source import Source

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Events:
    """The moments at which a prediction is asked.

    Args:
        source: The rows.
        id: The column with an id that no two rows share.
        timestamp: The column with the event time, by default the source's.
        where: Which rows count.
    """

    source: Source
    _: KW_ONLY
    id: str
    timestamp: str = ""
    where: pl.Expr | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "timestamp", self.timestamp or self.source.timestamp)


@dataclass(frozen=True)
class Label:
    """The answer, and when it became known.

    Args:
        value: A column of the events' source, or an expression over its columns. For ``binary`` it is a boolean or
            0/1, for ``multiclass`` a string or an integer, for ``regression`` a number.
        known_at: The column with the time at which the answer was known; a null there means not known yet.
    """

    value: pl.Expr | str = field(compare=False)
    _: KW_ONLY
    known_at: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the events' source that the answer is made of."""
        return (self.value,) if isinstance(self.value, str) else tuple(self.value.meta.root_names())

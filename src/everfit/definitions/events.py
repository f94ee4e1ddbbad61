"""What is asked, and what turned out."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from everfit.core.errors import DefinitionError
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
            0/1, or with ``positive`` any two values; for ``multiclass`` a string or an integer, for ``regression`` a
            number. Whole numbers may be stored as floats, and strings as categories.
        known_at: The column with the time at which the answer was known; a null there means not known yet.
        positive: Of a ``binary`` label, the value whose chance is predicted. Booleans and 0/1 need none: it is true,
            or 1.

    Raises:
        DefinitionError: If ``positive`` cannot be a class.
    """

    value: pl.Expr | str = field(compare=False)
    _: KW_ONLY
    known_at: str
    positive: str | int | float | bool | None = None

    def __post_init__(self) -> None:
        positive = self.positive
        if isinstance(positive, float) and positive.is_integer():
            object.__setattr__(self, "positive", int(positive))
        elif not isinstance(positive, str | int | None):
            rule = "positive must be text, a boolean or a whole number"
            raise DefinitionError(rule, value=positive, place="label", remedy="Give a value that the label takes.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the events' source that the answer is made of."""
        return (self.value,) if isinstance(self.value, str) else tuple(self.value.meta.root_names())

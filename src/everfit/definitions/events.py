"""Events that are predicted, and their labels."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from everfit.core.errors import DefinitionError
from everfit.definitions.source import Source

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Events:
    """The events that a model predicts: one row of a source for each prediction.

    Args:
        source: Source of the rows.
        id: Column with a unique id.
        timestamp: Column with the event time; by default the source's ``timestamp``.
        where: A Polars expression that selects rows; by default all rows are events.
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
    """The value that is predicted, and the time at which it becomes known.

    Args:
        value: A column of the events' source, or a Polars expression of its columns. For ``binary``, a boolean or 0
            and 1, or with ``positive`` any two values; for ``multiclass``, text or integers; for ``regression``, a
            number. Whole numbers may be stored as floats, and text as categories.
        known_at: Column with the time at which the label became known; null means not known yet.
        positive: The value of a ``binary`` label whose probability is predicted; by default true, or 1.

    Raises:
        DefinitionError: If ``positive`` is not text, a boolean or a whole number.
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
            raise DefinitionError(rule, value=positive, place="label", remedy="Write one of the label's values.")

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of the events' source that the label is computed from."""
        return (self.value,) if isinstance(self.value, str) else tuple(self.value.meta.root_names())

"""Features with a history, looked up by entity and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError
from everfit.definitions.entity import Entity
from everfit.definitions.names import require_name
from everfit.definitions.source import Source

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class FeatureView:
    """A group of features about the same entities, with one event time.

    A row says: at ``timestamp``, the entity had these values, and everyone could know it from ``created`` on.

    Args:
        name: Its name; features are addressed as ``view.feature``.
        entities: One or more entities; together their keys identify a row.
        source: Where rows come from.
        features: The columns that are features; for a computed view, all that are neither key nor time.
        ttl: How long a value stays usable, ``"3h"``; older values are as good as missing.
        timestamp: The event-time column, by default the source's.
        created: The known-time column, by default the source's; without one, the event time.
        lookback: How much source history before a row's time its computation needs.
        transform: The computation, from the source's rows to the view's; see :func:`feature_view`.
        description: A line for readers.
    """

    name: str
    _: KW_ONLY
    entities: Sequence[Entity]
    source: Source
    ttl: str | timedelta
    features: Sequence[str] | None = None
    timestamp: str = ""
    created: str | None = None
    lookback: str | timedelta | None = None
    transform: Callable[[pl.LazyFrame], pl.LazyFrame] | None = field(default=None, compare=False)
    description: str = ""

    def __post_init__(self) -> None:
        place = f"feature view {require_name(self.name, of='a feature view')}"
        if not self.entities:
            raise DefinitionError("a feature view needs at least one entity", place=place)
        if self.transform is None and not self.features:
            raise DefinitionError("a feature view that computes nothing must name its features", place=place)
        settle = object.__setattr__
        settle(self, "entities", tuple(self.entities))
        settle(self, "features", None if self.features is None else tuple(self.features))
        settle(self, "timestamp", self.timestamp or self.source.timestamp)
        settle(self, "created", self.created or (self.source.created if self.transform is None else None))
        settle(self, "ttl", parse_duration(self.ttl, name=f"{place}: ttl"))
        if self.lookback is not None:
            settle(self, "lookback", parse_duration(self.lookback, name=f"{place}: lookback"))

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns, in the order of the entities."""
        return tuple(entity.key for entity in self.entities)

    @property
    def time_to_live(self) -> timedelta:
        """``ttl`` as a duration."""
        return parse_duration(self.ttl)

    @property
    def look_back(self) -> timedelta:
        """``lookback`` as a duration; none at all if it was not given."""
        return timedelta(0) if self.lookback is None else parse_duration(self.lookback)


def feature_view(
    *,
    entities: Sequence[Entity],
    source: Source,
    ttl: str | timedelta,
    timestamp: str = "",
    created: str | None = None,
    lookback: str | timedelta | None = None,
    features: Sequence[str] | None = None,
) -> Callable[[Callable[[pl.LazyFrame], pl.LazyFrame]], FeatureView]:
    """Make a view out of a function that computes it with Polars.

    The function takes the source's rows as a ``LazyFrame`` and returns one row for every time at which a value
    changed: the entities' keys, ``timestamp``, the features, and ``created`` if it was given. The same function runs
    over years of history and over the last minutes, so a row may depend only on source rows whose ``timestamp`` lies
    in ``[its own time - lookback, its own time]``.

    Args are those of :class:`FeatureView`; ``timestamp`` must also be a column of the source.
    """

    def decorate(function: Callable[[pl.LazyFrame], pl.LazyFrame]) -> FeatureView:
        return FeatureView(
            function.__name__,
            entities=entities,
            source=source,
            features=features,
            ttl=ttl,
            timestamp=timestamp,
            created=created,
            lookback=lookback,
            transform=function,
            description=(function.__doc__ or "").strip(),
        )

    return decorate

"""Feature views: features with a history, looked up by entity and time."""

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
from everfit.definitions.view_digest import definition_digest

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class FeatureView:
    """A group of features of the same entities, with one event time.

    A row states that the entity had these values at ``timestamp``, and that this was known from ``created`` on.

    Args:
        name: Name of the view; its features are called ``view.feature``.
        entities: One entity or more; their keys identify a row.
        source: Source of the rows.
        features: Columns that are features; by default, for a computed view, all except keys and times.
        ttl: Time to live, a duration such as ``"3h"``; older values are missing.
        timestamp: Column with the event time; by default the source's.
        created: Column with the known time; by default the source's, or else the event time.
        lookback: Duration of source history before a row's time that its computation needs.
        transform: Computes the view's rows from the source's; see :func:`feature_view`.
        description: A description for readers.

    Raises:
        DefinitionError: If the arguments contradict each other, or a duration is not valid.
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
    definition: str = field(init=False, default="", compare=False, repr=False)
    """Digest of the definition: see :func:`everfit.definitions.view_digest.definition_digest`."""

    def __post_init__(self) -> None:
        place = f"feature view {require_name(self.name, of='a feature view')}"
        if not self.entities:
            raise DefinitionError("a feature view needs at least one entity", place=place)
        if self.transform is None and not self.features:
            raise DefinitionError("a feature view without a function must name its features", place=place)
        settle = object.__setattr__
        settle(self, "entities", tuple(self.entities))
        settle(self, "features", None if self.features is None else tuple(self.features))
        settle(self, "timestamp", self.timestamp or self.source.timestamp)
        settle(self, "created", self.created or (self.source.created if self.transform is None else None))
        settle(self, "ttl", parse_duration(self.ttl, name=f"{place}: ttl"))
        if self.lookback is not None:
            settle(self, "lookback", parse_duration(self.lookback, name=f"{place}: lookback"))
        # Now, while the file still has the text that was imported.
        settle(self, "definition", definition_digest(self))

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the key columns, in the order of the entities."""
        return tuple(entity.key for entity in self.entities)

    @property
    def time_to_live(self) -> timedelta:
        """Return ``ttl`` as a duration."""
        return parse_duration(self.ttl)

    @property
    def look_back(self) -> timedelta:
        """Return ``lookback`` as a duration; zero without one."""
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
    """Define a feature view by a decorated function that computes it with Polars.

    The function takes the source's rows as a ``LazyFrame`` and returns one row for each time at which a value changes:
    the entities' keys, ``timestamp``, the features, and ``created`` if it is given. The same function is applied to
    years of history and to the last minutes. A row may therefore depend only on source rows whose ``timestamp`` is in
    ``[its own time - lookback, its own time]``.

    The arguments are those of :class:`FeatureView`; ``timestamp`` must also be a column of the source.
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

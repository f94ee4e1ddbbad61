"""The online store: what it holds, and bringing it up to date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from everfit.core.duration import format_duration

if TYPE_CHECKING:
    from everfit.system import System


class ViewDescription(Struct, frozen=True, kw_only=True):
    """A feature view, for readers."""

    name: str
    keys: tuple[str, ...]
    source: str
    ttl: str
    features: tuple[str, ...]
    materialized_until: datetime | None
    description: str


def describe_views(system: System) -> tuple[ViewDescription, ...]:
    """All feature views of the project, with how far the online store has them."""
    from everfit.features.compute import feature_names, view_rows
    from everfit.features.lookup import materialized_until

    return tuple(
        ViewDescription(
            name=view.name,
            keys=view.keys,
            source=view.source.name,
            ttl=format_duration(view.time_to_live),
            features=feature_names(view, view_rows(view, system.reader)),
            materialized_until=materialized_until(view, system.online),
            description=view.description,
        )
        for view in system.project.views.values()
    )


def online_features(
    system: System, view: str, key: Sequence[str], *, at: datetime | None = None
) -> dict[str, object] | None:
    """What the online store answers for one entity at an instant, now by default; ``None`` if no row is usable."""
    from everfit.features.lookup import look_up

    return look_up(system.project.view(view), key, system.online, at=at or system.clock.now())

"""Feature views and their values in the online store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from everfit.core.duration import format_duration
from everfit.features.compute import feature_names, view_rows
from everfit.features.lookup import look_up, materialized_until
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
    """Return all feature views of the project, with the time until which the online store has them."""
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
    """Return one entity's features in the online store at an instant, now by default; ``None`` if no row is usable."""
    return look_up(system.project.view(view), key, system.online, at=at or system.clock.now())

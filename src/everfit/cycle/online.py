"""The online store: what it holds, and bringing it up to date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from everfit.core.duration import format_duration
from everfit.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from everfit.cycle.system import System
    from everfit.features.materialize import MaterializedView


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


def materialize(
    system: System,
    views: Sequence[str] | None = None,
    *,
    until: datetime | None = None,
    full: bool = False,
    progress: Progress = SILENT,
) -> tuple[MaterializedView, ...]:
    """Bring the online store up to date.

    Args:
        system: The parts.
        views: Names of feature views; all of them by default.
        until: Nothing known later is written; now by default.
        full: Write everything again, not only what is new.
        progress: Hears how far it is.
    """
    from everfit.features.materialize import materialize as run

    chosen = [system.project.view(name) for name in views or system.project.views]
    return run(chosen, system.reader, system.online, until=until or system.clock.now(), full=full, progress=progress)


def online_features(
    system: System, view: str, key: Sequence[str], *, at: datetime | None = None
) -> dict[str, object] | None:
    """What the online store answers for one entity at an instant, now by default; ``None`` if no row is usable."""
    from everfit.features.lookup import look_up

    return look_up(system.project.view(view), key, system.online, at=at or system.clock.now())

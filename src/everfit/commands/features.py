"""Feature views and their values in the online store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from everfit.core.duration import format_duration
from everfit.core.errors import DefinitionError
from everfit.definitions.view import FeatureView
from everfit.features.compute import feature_names, view_rows
from everfit.features.lookup import look_up, materialized_until
from everfit.loop.online_generations import VersionViews, deployed_versions
from everfit.store.sqlite_online import Generation
from everfit.system import System


class OtherGeneration(Struct, frozen=True, kw_only=True):
    """Rows of a view by another definition than today's."""

    definition: str
    """Digest of the definition."""
    keys: tuple[str, ...]
    features: tuple[str, ...]
    materialized_until: datetime | None
    readers: tuple[str, ...]
    """The deployed versions that read it, as ``model version N``."""


class ViewDescription(Struct, frozen=True, kw_only=True):
    """A feature view, for readers."""

    name: str
    keys: tuple[str, ...]
    source: str
    ttl: str
    features: tuple[str, ...]
    materialized_until: datetime | None
    description: str
    definition: str
    """Digest of the definition."""
    readers: tuple[str, ...]
    """The deployed versions that read the view as it is defined, as ``model version N``."""
    others: tuple[OtherGeneration, ...]


def describe_views(system: System) -> tuple[ViewDescription, ...]:
    """Return all feature views of the project, with the time until which the online store has them."""
    versions = deployed_versions(system)
    return tuple(_describe(view, versions, system) for view in system.project.views.values())


def _describe(view: FeatureView, versions: Sequence[VersionViews], system: System) -> ViewDescription:
    state = system.online.state(view.name, view.definition)
    return ViewDescription(
        name=view.name,
        keys=view.keys,
        source=view.source.name,
        ttl=format_duration(view.time_to_live),
        features=feature_names(view, view_rows(view, system.reader)),
        materialized_until=materialized_until(state),
        description=view.description,
        definition=view.definition,
        readers=() if state is None else _readers(versions, state),
        others=tuple(
            OtherGeneration(
                definition=generation.definition,
                keys=generation.keys,
                features=generation.features,
                materialized_until=materialized_until(generation),
                readers=_readers(versions, generation),
            )
            for generation in system.online.generations(view.name)
            if generation.complete and generation.definition != view.definition
        ),
    )


def _readers(versions: Sequence[VersionViews], generation: Generation) -> tuple[str, ...]:
    definitions = {generation.definition, *([""] if generation.current else [])}
    found = (version for version in versions if version.views.get(generation.view) in definitions)
    return tuple(f"{version.model} version {version.version}" for version in found)


def online_features(
    system: System, view: str, key: Sequence[str], *, at: datetime | None = None, definition: str = ""
) -> dict[str, object] | None:
    """Return one entity's features in the online store at an instant, now by default; ``None`` if no row is usable.

    ``definition`` is the beginning of the digest of another definition of the view. Raises :class:`DefinitionError` if
    not exactly one is stored that begins so.
    """
    defined = system.project.view(view)
    chosen = defined.definition
    if definition:
        found = {generation.definition for generation in system.online.generations(view) if generation.complete}
        matching = [digest for digest in found if digest.removeprefix("sha256:").startswith(definition)]
        if len(matching) != 1:
            known = ", ".join(sorted(digest[7:15] for digest in found)) or "none"
            rule = f"exactly one definition of {view} must be stored that begins so"
            raise DefinitionError(rule, value=definition, remedy=f"Stored are: {known}.")
        [chosen] = matching
    return look_up(defined, key, system.online, at=at or system.clock.now(), definition=chosen)

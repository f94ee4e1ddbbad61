"""Look-up of one entity in the online store, by keys given as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from everfit.core.clock import from_us, to_us
from everfit.core.errors import DefinitionError
from everfit.definitions.entity import Entity
from everfit.definitions.view import FeatureView
from everfit.store.sqlite_online import Generation, OnlineStore


def look_up(
    view: FeatureView, key: Sequence[str], online: OnlineStore, *, at: datetime, definition: str = ""
) -> dict[str, Any] | None:
    """Return the features of one entity, by name, as a prediction at ``at`` would see them.

    ``None`` if no row is usable: unknown, never materialized, later, or older than the ttl. ``key`` has its values as
    text, in the order of the view's entities. Raises :class:`DefinitionError` if it has not one value for each, or one
    that is not of its type.

    Args:
        definition: Digest of the definition whose rows are read; by default that of ``view``.
    """
    if len(key) != len(view.entities):
        rule = f"a key of {view.name} takes one value for each of: {', '.join(view.keys)}"
        raise DefinitionError(rule, value=list(key))
    values = tuple(_read(text, entity) for text, entity in zip(key, view.entities, strict=True))
    definition = definition or view.definition
    state = online.state(view.name, definition)
    ttl_us = view.time_to_live // timedelta(microseconds=1)
    found = online.get_one(view.name, values, at_us=to_us(at), ttl_us=ttl_us, definition=definition)
    return None if found is None or state is None else dict(zip(state.features, found, strict=True))


def materialized_until(generation: Generation | None) -> datetime | None:
    """Return a generation's high-water mark; ``None`` if it was never written."""
    return None if generation is None or generation.watermark_us is None else from_us(generation.watermark_us)


def _read(text: str, entity: Entity) -> str | int | date:
    try:
        if entity.dtype.is_integer():
            return int(text)
        return date.fromisoformat(text) if entity.dtype == pl.Date else text
    except ValueError as error:
        raise DefinitionError(f"the key {entity.key} must be of type {entity.dtype}", value=text) from error

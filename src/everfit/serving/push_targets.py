"""Generations that pushed feature rows are written to, with the types of their columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from everfit.artifact.schema import Column, FieldType, InputSchema, ViewLookup
from everfit.serving.feedback import PastInstant
from everfit.serving.inference.served_model import ServedModel
from everfit.serving.protocols.json import INT64
from everfit.store.sqlite_online import Generation

_KEYS: Mapping[FieldType, Any] = {"string": str, "integer": INT64, "date": date}
_FEATURES: Mapping[str, Any] = {
    "number": float | None,
    "integer": float | None,
    "boolean": bool | None,
    "category": str | None,
    "text": str | None,
    "instant": Annotated[datetime, Meta(tz=True)] | None,
    "date": date | None,
}


class RowColumns(NamedTuple):
    """The types of a pushed row's columns by name."""

    keys: dict[str, Any]
    features: dict[str, Any]
    optional: dict[str, Any]
    """Features that a row may leave out."""

    def row_type(self) -> type[Struct]:
        """Return the type that decodes a row."""
        # Positions as attribute names, since a column may be called anything.
        keys = {f"key_{number}": name for number, name in enumerate(self.keys)}
        features = {f"feature_{number}": name for number, name in enumerate((*self.features, *self.optional))}
        optional = list(features)[len(self.features) :]
        return msgspec.defstruct(
            "PushedRow",
            [
                *zip(keys, self.keys.values(), strict=True),
                ("event_time", PastInstant),
                ("created", PastInstant | None | UnsetType, UNSET),
                *zip(features, self.features.values(), strict=False),
                *((name, kind | UnsetType, UNSET) for name, kind in zip(optional, self.optional.values(), strict=True)),
            ],
            rename=keys | features,
            forbid_unknown_fields=True,
            kw_only=True,
        )


class PushTarget(NamedTuple):
    """A generation with the columns of its rows."""

    generation: Generation
    readers: tuple[str, ...]
    """The loaded versions that read it, as ``model version N``."""
    keys: dict[str, Any]
    features: dict[str, Any]
    others: dict[str, Any]
    """Columns of the view's other generations."""

    def columns(self, *, complete: bool = True) -> RowColumns:
        """Return the columns of rows that have all features, or else any."""
        if complete:
            return RowColumns(self.keys, self.features, self.others)
        return RowColumns(self.keys, {}, self.features | self.others)


def push_targets(view: str, models: Iterable[ServedModel], generations: Iterable[Generation]) -> list[PushTarget]:
    """Return the generations of a view that can be pushed to; those first that the first models read.

    The schemas of the models that look the view up define the types. A generation that none of them reads takes the
    types of their columns of the same names, and cannot be pushed to if a key is not among these.
    """
    readers = [(model, lookup) for model in models for lookup in model.schema.lookups if lookup.view == view]
    found: list[tuple[int, PushTarget]] = []
    for generation in generations:
        own = [place for place, (_, lookup) in enumerate(readers) if _reads(lookup, generation)]
        schemas = [readers[place][0].schema for place in own or range(len(readers))]
        keys = _key_types(generation.keys or readers[0][1].keys, schemas)
        if keys is not None:
            names = tuple(f"{readers[place][0].name} version {readers[place][0].version}" for place in own)
            columns = _feature_types(view, generation.features, schemas)
            found.append((min(own, default=len(readers)), PushTarget(generation, names, keys, columns, {})))
    found.sort(key=lambda entry: entry[0])
    everything = {name: Any for _, target in found for name in (*target.keys, *target.features)}
    return [
        target._replace(
            others={name: kind for name, kind in everything.items() if name not in target.keys | target.features}
        )
        for _, target in found
    ]


def _reads(lookup: ViewLookup, generation: Generation) -> bool:
    return lookup.definition == generation.definition if lookup.definition else generation.current


def _key_types(names: Sequence[str], schemas: Sequence[InputSchema]) -> dict[str, Any] | None:
    """Return the types of a generation's keys; ``None`` if a model's requests do not have one."""
    types = {field.name: field.type for schema in schemas for field in schema.request}
    return {name: _KEYS[types[name]] for name in names} if set(names) <= set(types) else None


def _feature_types(view: str, names: Sequence[str], schemas: Sequence[InputSchema]) -> dict[str, Any]:
    columns = {column.name: column for schema in reversed(schemas) for column in schema.columns}
    return {name: _feature_type(columns.get(f"{view}.{name}")) for name in names}


def _feature_type(column: Column | None) -> Any:
    if column is None:
        return bool | INT64 | float | str | None
    if column.kind == "category" and any(isinstance(value, int) for value in column.categories):
        return INT64 | None
    return _FEATURES[column.kind]

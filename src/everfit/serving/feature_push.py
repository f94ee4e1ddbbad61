"""Feature rows that callers push to the online store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from everfit.artifact.schema import Column, FieldType
from everfit.core.errors import InvalidRequestError, UnknownModelError
from everfit.serving.feedback import PastInstant, past_us
from everfit.serving.inference.data_plane import DataPlane
from everfit.serving.prediction_logger import PredictionLogger
from everfit.serving.protocols.json import INT64, decode_json, make_whole, require_few
from everfit.store.journal_records import PushedRows
from everfit.store.sqlite_online import OnlineStore

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


class _PushBody(Struct, forbid_unknown_fields=True):
    rows: Annotated[list[dict[str, Any]], Meta(min_length=1)]


_BODY = msgspec.json.Decoder(_PushBody)


class AcceptedRows(Struct, frozen=True, kw_only=True):
    """Number of pushed rows."""

    rows: int
    written: int
    """Number of rows that are online now; the others were older than the stored ones."""


class ViewColumns(NamedTuple):
    """The types of a view's columns by name."""

    keys: dict[str, Any]
    features: dict[str, Any]

    def row_type(self) -> type[Struct]:
        """Return the type that decodes a row."""
        # Positions as attribute names, since a column may be called anything.
        keys = {f"key_{number}": name for number, name in enumerate(self.keys)}
        features = {f"feature_{number}": name for number, name in enumerate(self.features)}
        return msgspec.defstruct(
            "PushedRow",
            [
                *zip(keys, self.keys.values(), strict=True),
                ("event_time", PastInstant),
                ("created", PastInstant | None | UnsetType, UNSET),
                *zip(features, self.features.values(), strict=True),
            ],
            rename=keys | features,
            forbid_unknown_fields=True,
            kw_only=True,
        )


@dataclass(frozen=True)
class FeaturePush:
    """Checks feature rows, records them and writes them to the online store. Any thread may call any method.

    The schemas of the models that are served define the views. A request has at most ``max_rows`` rows.
    """

    data_plane: DataPlane
    prediction_logger: PredictionLogger
    online: OnlineStore
    max_rows: int
    _row_types: dict[str, tuple[ViewColumns, Any]] = field(default_factory=dict)

    def push(self, view: str, body: bytes) -> AcceptedRows:
        """Take feature rows: ``{"rows": [{key: …, "event_time": …, feature: …, …}, …]}``.

        They are on the disk before they are online, and online before this returns. ``created``, when a row became
        known, is now unless it is given.

        Raises :class:`UnknownModelError` if no served model looks this view up, :class:`InvalidRequestError` if a row
        does not have its columns, :class:`RequestTooLargeError` if there are too many rows, and :class:`StoreError` if
        they could not be recorded or written.
        """
        columns = self._columns(view)
        keys, features = columns
        rows = decode_json(_BODY, body, "must be what the documentation says").rows
        require_few(len(rows), self.max_rows, "rows")
        integers = [name for name, kind in keys.items() if kind is INT64]
        for row in rows:
            make_whole(row, integers)
        try:
            taken: list[Any] = msgspec.convert(rows, self._rows_type(view, columns))
        except msgspec.ValidationError as problem:
            wanted = ", ".join((*keys, "event_time", *features))
            rule = f"must be rows with {wanted}, and perhaps created: {problem}"
            raise InvalidRequestError(rule, place="rows") from problem
        now_us = self.data_plane.now_us()
        event_us, created_us = [], []
        for number, row in enumerate(taken):
            event_us.append(past_us(row.event_time, now_us, f"rows[{number}].event_time"))
            created_us.append(past_us(row.created, now_us, f"rows[{number}].created") if row.created else now_us)
        pushed = PushedRows(
            view=view,
            recorded_us=now_us,
            keys={name: [_plain(getattr(row, f"key_{number}")) for row in taken] for number, name in enumerate(keys)},
            event_us=event_us,
            created_us=created_us,
            features={
                name: [getattr(row, f"feature_{number}") for row in taken] for number, name in enumerate(features)
            },
        )
        self.prediction_logger.log_pushed_rows(pushed)
        key_columns, feature_columns = list(pushed.keys.values()), list(pushed.features.values())
        written = self.online.write_columns(view, key_columns, event_us, created_us, feature_columns, now_us=now_us)
        return AcceptedRows(rows=len(taken), written=written)

    def columns(self) -> dict[str, ViewColumns]:
        """Return the columns of each view whose rows can be pushed now."""
        return {view: self._columns(view) for view in self._views() if self.online.state(view) is not None}

    def _rows_type(self, view: str, columns: ViewColumns) -> Any:
        # Making the type takes as long as ten rows.
        kept = self._row_types.get(view)
        if kept is None or kept[0] != columns:
            kept = self._row_types[view] = (columns, list[columns.row_type()])  # type: ignore[misc]
        return kept[1]

    def _views(self) -> list[str]:
        models = self.data_plane.models.values()
        return sorted({lookup.view for variants in models for lookup in variants.champion.schema.lookups})

    def _columns(self, view: str) -> ViewColumns:
        """Return the types of a view's columns, as the champions' schemas define them."""
        keys: dict[str, Any] = {}
        columns: dict[str, Column] = {}
        for variants in self.data_plane.models.values():
            schema = variants.champion.schema
            types = {column.name: column.type for column in schema.request}
            columns |= {column.name: column for column in schema.columns}
            for lookup in schema.lookups:
                if lookup.view == view:
                    keys = {name: _KEYS[types[name]] for name in lookup.keys}
        state = self.online.state(view) if keys else None
        if state is None:
            raise UnknownModelError(
                "rows can be pushed to a view that a served model looks up, and that was materialised once",
                value=view[:200],
                remedy=f"Such views: {', '.join(self._views()) or 'none'}. Materialise: everfit features materialize.",
            )
        return ViewColumns(keys, {name: _feature_type(columns.get(f"{view}.{name}")) for name in state.features})


def _feature_type(column: Column | None) -> Any:
    if column is None:
        return bool | INT64 | float | str | None
    if column.kind == "category" and any(isinstance(value, int) for value in column.categories):
        return INT64 | None
    return _FEATURES[column.kind]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value

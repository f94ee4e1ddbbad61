"""What callers tell the service: what became of predictions, and newer features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from everfit.core.class_names import LONGEST_CLASS, class_name, quoted, read_class
from everfit.core.clock import to_us
from everfit.core.errors import InvalidRequestError, RequestTooLargeError, UnknownModelError
from everfit.core.instants import HAPPENED, broken_rule
from everfit.serving.protocols.json import INT64, LONGEST_ID, make_whole
from everfit.store.journal_records import Outcome, Outcomes, PushedRows

if TYPE_CHECKING:
    from everfit.artifact.schema import Column, FieldType, InputSchema, Lookup
    from everfit.serving.inference.data_plane import Plane
    from everfit.serving.inference.variants import Lineup
    from everfit.serving.prediction_logger import Recorder
    from everfit.store.online import OnlineStore

_Instant = Annotated[datetime, Meta(tz=True)]
_Past = Annotated[datetime, Meta(tz=True, description=HAPPENED)]
_KEYS: Mapping[FieldType, Any] = {"string": str, "integer": INT64, "date": date}
_FEATURES: Mapping[str, Any] = {
    "number": float | None,
    "integer": float | None,
    "boolean": bool | None,
    "category": str | None,
    "text": str | None,
    "instant": _Instant | None,
    "date": date | None,
}


class Told(Struct, forbid_unknown_fields=True):
    """An outcome, as a caller reports it."""

    id: Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
    value: bool | int | float | str | None
    known_at: _Past | None = None


class _Report(Struct, forbid_unknown_fields=True):
    """Several, or one."""

    outcomes: Annotated[list[Told], Meta(min_length=1)] | UnsetType = UNSET
    id: Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)] | UnsetType = UNSET
    value: bool | int | float | str | UnsetType | None = UNSET
    known_at: _Instant | UnsetType | None = UNSET

    def told(self) -> list[Told]:
        if self.outcomes is not UNSET and self.id is UNSET and self.value is UNSET and self.known_at is UNSET:
            return self.outcomes
        if self.outcomes is not UNSET or self.id is UNSET or self.value is UNSET:
            rule = 'must be {"outcomes": [{"id": …, "value": …}, …]}, or one object with id and value'
            raise InvalidRequestError(rule, place="body")
        return [Told(self.id, self.value, None if self.known_at is UNSET else self.known_at)]


class _Rows(Struct, forbid_unknown_fields=True):
    rows: Annotated[list[dict[str, Any]], Meta(min_length=1)]


class Reported(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was taken of a report of outcomes."""

    outcomes: int
    new_class: int = 0
    """Number of outcomes of a class that the champion did not learn; left out where there are none."""


class Accepted(Struct, frozen=True, kw_only=True):
    """What was taken of pushed rows."""

    rows: int
    written: int
    """How many are online now; the others were older than what was there."""


class Signature(NamedTuple):
    """What a view's rows hold."""

    keys: dict[str, Any]
    """Types by name."""
    features: dict[str, Any]
    """Types by name."""

    def row_type(self) -> type[Struct]:
        """The type that decodes a row."""
        # Positions as attribute names, since a column may be called anything.
        keys = {f"key_{number}": name for number, name in enumerate(self.keys)}
        features = {f"feature_{number}": name for number, name in enumerate(self.features)}
        return msgspec.defstruct(
            "PushedRow",
            [
                *zip(keys, self.keys.values(), strict=True),
                ("event_time", _Past),
                ("created", _Past | None | UnsetType, UNSET),
                *zip(features, self.features.values(), strict=True),
            ],
            rename=keys | features,
            forbid_unknown_fields=True,
            kw_only=True,
        )


class Intake:
    """Checks, records, and lets the online store know. Any thread may call any method.

    Args:
        plane: Says what the models that are served take.
        recorder: Makes it durable.
        online: Where pushed rows go.
        max_rows: Most outcomes or rows in one request.
    """

    def __init__(self, plane: Plane, *, recorder: Recorder, online: OnlineStore, max_rows: int) -> None:
        self._plane = plane
        self._recorder = recorder
        self._online = online
        self._max_rows = max_rows
        self._report = msgspec.json.Decoder(_Report)
        self._rows = msgspec.json.Decoder(_Rows)
        self._row_types: dict[str, tuple[Signature, Any]] = {}

    def outcomes(self, lineup: Lineup, body: bytes) -> Reported:
        """Record outcomes: ``{"outcomes": [{"id": …, "value": …, "known_at"?: …}, …]}``, or one such object.

        A later report of an id corrects an earlier one; a null takes it back. A class that a multiclass model did not
        learn is recorded as any other, so that the next training learns it; a binary model has its two classes only.
        They are on the disk once
        :meth:`everfit.serving.prediction_logger.Recorder.on_disk` is done.

        Raises:
            InvalidRequestError: If it is not that, or a value is no label of this model's.
            RequestTooLargeError: If there are too many.
            StoreError: If they could not be written.
        """
        outcomes = _decode(self._report, body).told()
        self._require_few(outcomes, "outcomes")
        now_us = self._plane.now_us()
        schema = lineup.champion.schema
        names = frozenset(lineup.champion.class_names)
        taken, new_class = [], 0
        for place, each in enumerate(outcomes):
            value = None if each.value is None else _label(each.value, schema)
            if value is None and each.value is not None:
                raise InvalidRequestError(
                    f"must be {_expected(schema)}, or null", value=each.value, place=f"outcomes[{place}].value"
                )
            new_class += value is not None and bool(names) and value not in names
            known_us = now_us
            if each.known_at is not None:
                known_us = _happened(each.known_at, now_us, f"outcomes[{place}].known_at")
            taken.append(Outcome(id=each.id, value=value, known_us=known_us))
        self._recorder.outcomes(Outcomes(model=lineup.champion.name, recorded_us=now_us, outcomes=taken))
        return Reported(outcomes=len(taken), new_class=new_class)

    def push(self, view: str, body: bytes) -> Accepted:
        """Take feature rows: ``{"rows": [{key: …, "event_time": …, feature: …, …}, …]}``.

        They are on the disk before they are online, and online before this returns. ``created``, when a row became
        known, is now unless it is given.

        Raises:
            UnknownModelError: If no model that is served looks this view up.
            InvalidRequestError: If a row is not what the view's rows are.
            RequestTooLargeError: If there are too many rows.
            StoreError: If they could not be recorded or written.
        """
        signature = self._signature(view)
        keys, features = signature
        rows = _decode(self._rows, body).rows
        self._require_few(rows, "rows")
        integers = [name for name, kind in keys.items() if kind is INT64]
        for row in rows:
            make_whole(row, integers)
        try:
            taken: list[Any] = msgspec.convert(rows, self._rows_type(view, signature))
        except msgspec.ValidationError as problem:
            wanted = ", ".join((*keys, "event_time", *features))
            raise InvalidRequestError(
                f"must be rows with {wanted}, and perhaps created: {problem}", place="rows"
            ) from problem
        now_us = self._plane.now_us()
        pushed = PushedRows(
            view=view,
            recorded_us=now_us,
            keys={name: [_plain(getattr(row, f"key_{number}")) for row in taken] for number, name in enumerate(keys)},
            event_us=[
                _happened(row.event_time, now_us, f"rows[{place}].event_time") for place, row in enumerate(taken)
            ],
            created_us=[
                _happened(row.created, now_us, f"rows[{place}].created")
                if isinstance(row.created, datetime)
                else now_us
                for place, row in enumerate(taken)
            ],
            features={
                name: [getattr(row, f"feature_{number}") for row in taken] for number, name in enumerate(features)
            },
        )
        self._recorder.pushed(pushed)
        written = self._online.write_columns(
            view,
            list(pushed.keys.values()),
            pushed.event_us,
            pushed.created_us,
            list(pushed.features.values()),
            now_us=now_us,
        )
        return Accepted(rows=len(taken), written=written)

    def _rows_type(self, view: str, signature: Signature) -> Any:
        """The type of a view's rows, made anew only if it changed: that takes as long as ten rows."""
        kept = self._row_types.get(view)
        if kept is None or kept[0] != signature:
            kept = self._row_types[view] = (signature, list[signature.row_type()])  # type: ignore[misc]
        return kept[1]

    def signatures(self) -> dict[str, Signature]:
        """The views whose rows can be pushed now.

        Raises:
            StoreError: If the online store cannot be read.
        """
        return {view: self._signature(view) for view in self._views() if self._online.state(view) is not None}

    def _views(self) -> list[str]:
        lineups = self._plane.lineups.values()
        return sorted({each.view for lineup in lineups for each in lineup.champion.schema.lookups})

    def _signature(self, view: str) -> Signature:
        """The types of a view's keys and features by name, as the models that are served know them."""
        keys: dict[str, Any] = {}
        columns: dict[str, Column] = {}
        for lineup in self._plane.lineups.values():
            schema = lineup.champion.schema
            fields = {field.name: field.type for field in schema.request}
            columns |= {column.name: column for column in schema.columns}
            for lookup in _lookups_of(schema.lookups, view):
                keys = {name: _KEYS[fields[name]] for name in lookup.keys}
        state = self._online.state(view) if keys else None
        if state is None:
            raise UnknownModelError(
                "rows can be pushed to a view that a served model looks up, and that was materialised once",
                value=view[:200],
                remedy=f"Such views: {', '.join(self._views()) or 'none'}. Materialise: everfit features materialize.",
            )
        anything = bool | INT64 | float | str | None
        features = {}
        for name in state.features:
            column = columns.get(f"{view}.{name}")
            features[name] = _feature_type(column) if column else anything
        return Signature(keys, features)

    def _require_few(self, given: Sequence[object], place: str) -> None:
        if len(given) > self._max_rows:
            raise RequestTooLargeError(
                f"a request may hold at most {self._max_rows}", value=len(given), place=place,
                remedy="Send them in several requests.",
            )  # fmt: skip


def _happened(instant: datetime, now_us: int, place: str) -> int:
    """An instant of something that is said to have happened, in microseconds since 1970."""
    instant_us = to_us(instant)
    rule = broken_rule(instant_us, now_us=now_us)
    if rule:
        raise InvalidRequestError(rule, value=instant.isoformat(), place=place)
    return instant_us


def _lookups_of(lookups: Sequence[Lookup], view: str) -> list[Lookup]:
    return [each for each in lookups if each.view == view]


def _feature_type(column: Column) -> Any:
    if column.kind == "category" and any(isinstance(value, int) for value in column.categories):
        return INT64 | None
    return _FEATURES[column.kind]


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise InvalidRequestError(f"must be what the documentation says: {problem}", place="body") from problem


def _label(value: object, schema: InputSchema) -> str | None:
    """An outcome as it is recorded; ``None`` if it is no label of the model's type."""
    if schema.task == "regression":
        return _number(value)
    return read_class(value, schema.classes, new=schema.task == "multiclass")


def _expected(schema: InputSchema) -> str:
    """The outcomes that a model takes, in words."""
    if schema.task == "regression":
        return "a finite number"
    if schema.task == "binary":
        known = " or ".join(map(class_name, schema.classes))
        return f"{known}, of which {class_name(schema.classes[-1])} is the positive class"
    known = quoted([class_name(value) for value in schema.classes])
    if any(isinstance(value, bool) for value in schema.classes):
        return f"one of {known}"
    kind = f"text of 1 to {LONGEST_CLASS} characters" if isinstance(schema.classes[0], str) else "a whole number"
    return f"{kind}: one of {known}, or a class that training has not seen"


def _number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return repr(float(value))
    except OverflowError:  # an integer that no double can hold
        return None


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value

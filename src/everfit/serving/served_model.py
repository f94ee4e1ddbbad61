"""One version of a model, ready to answer: look up, compute, encode, predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from everfit.artifact.schema import InputSchema, RequestField

if TYPE_CHECKING:
    from everfit.artifact.predictor import Predictor
    from everfit.store.online import OnlineReader

Row = Mapping[str, Any]
"""A request's fields: ``str``, ``int``, ``float``, ``bool``, ``datetime`` in UTC, ``date`` or ``None``."""
Value = float | dict[str, float]
"""The chance of the positive class (binary), the number (regression), or each class's chance by its name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000


class Predicted(NamedTuple):
    """The answers to some rows."""

    values: list[Value]
    missing: dict[str, list[int]]
    """The views that held no usable row, with the places of the rows that lacked them."""


class ModelDescription(Struct, frozen=True, kw_only=True):
    """What a caller may want to know of a model."""

    name: str
    version: int
    digest: str
    form: str
    """How it is executed."""
    task: str
    request: tuple[RequestField, ...]
    views: tuple[str, ...]
    features: tuple[str, ...]
    classes: tuple[str | int | bool, ...]
    """Of a binary task's two, ``predictions`` are the chances of the last."""
    event_time: str
    """The request field by whose time features are looked up; empty if it is the moment of asking."""
    example: dict[str, Any]
    """A request that can be sent as it is."""


class _Lookup(NamedTuple):
    view: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    columns: tuple[str, ...]
    ttl_us: int


class ServedModel:
    """A loaded version. It may be called from several threads at once.

    Args:
        version: Its number in the registry.
        digest: Its package's digest.
        schema: What it takes.
        predictor: What executes it.
        pipeline: From a row and what was looked up for it, to the predictor's vector; see
            :class:`everfit.artifact.row_pipeline.RowPipeline`.
        online: Where features are looked up.
    """

    def __init__(
        self,
        *,
        version: int,
        digest: str,
        schema: InputSchema,
        predictor: Predictor,
        pipeline: Callable[[Row, Mapping[str, Any]], list[float]],
        online: OnlineReader,
    ) -> None:
        self.name = schema.model
        self.version = version
        self.digest = digest
        self.schema = schema
        self.form = predictor.form
        self._predictor = predictor
        self._pipeline = pipeline
        self._online = online
        self._lookups = tuple(
            _Lookup(
                each.view,
                each.keys,
                each.features,
                tuple(f"{each.view}.{feature}" for feature in each.features),
                each.ttl_us,
            )
            for each in schema.lookups
        )
        self._class_names = tuple(_class_name(each) for each in schema.classes) if schema.task == "multiclass" else ()

    def predict(self, rows: Sequence[Row], *, now_us: int) -> Predicted:
        """Answer rows.

        Args:
            rows: At least one, each with every request field.
            now_us: The moment of asking, in microseconds since 1970; the event time of models whose requests carry
                none.

        Raises:
            InvalidRequestError: If the model takes no missing values and one is missing.
            StoreError: If the online store cannot be read.
        """
        missing: dict[str, list[int]] = {}
        if len(rows) == 1:
            vector = self._pipeline(rows[0], self._look_up(rows[0], now_us, missing))
            return Predicted([self._value(self._predictor.predict_one(vector))], missing)
        import numpy as np

        looked_up = self._look_up_all(rows, now_us, missing)
        vectors = [self._pipeline(row, found) for row, found in zip(rows, looked_up, strict=True)]
        answers = self._predictor.predict(np.array(vectors, dtype=np.float64))
        return Predicted([self._value(answer) for answer in answers.tolist()], missing)

    def describe(self) -> ModelDescription:
        """What a caller may want to know."""
        schema = self.schema
        return ModelDescription(
            name=self.name,
            version=self.version,
            digest=self.digest,
            form=self.form,
            task=schema.task,
            request=schema.request,
            views=tuple(each.view for each in schema.lookups),
            features=schema.names,
            classes=schema.classes,
            event_time=schema.event_time,
            example={"inputs": [{field.name: field.example for field in schema.request}]},
        )

    def _look_up(self, row: Row, now_us: int, missing: dict[str, list[int]]) -> dict[str, Any]:
        at_us = self._asked_at(row, now_us)
        found: dict[str, Any] = {}
        for view, keys, features, columns, ttl_us in self._lookups:
            key = tuple([row[name] for name in keys])
            values = None
            if at_us is not None and None not in key:
                values = self._online.get_one(view, key, at_us=at_us, ttl_us=ttl_us, features=features)
            if values is None:
                missing[view] = [0]
            else:
                found.update(zip(columns, values, strict=True))
        return found

    def _look_up_all(self, rows: Sequence[Row], now_us: int, missing: dict[str, list[int]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [{} for _ in rows]
        by_instant: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            at_us = self._asked_at(row, now_us)
            if at_us is not None:
                by_instant.setdefault(at_us, []).append(place)
        for view, keys, features, columns, ttl_us in self._lookups:
            lacking = set(range(len(rows)))
            for at_us, places in by_instant.items():
                keyed = [(place, tuple([rows[place][name] for name in keys])) for place in places]
                keyed = [(place, key) for place, key in keyed if None not in key]
                answers = self._online.get(
                    view, [key for _, key in keyed], at_us=at_us, ttl_us=ttl_us, features=features
                )
                for (place, _), values in zip(keyed, answers, strict=True):
                    if values is not None:
                        found[place].update(zip(columns, values, strict=True))
                        lacking.discard(place)
            if lacking:
                missing[view] = sorted(lacking)
        return found

    def _asked_at(self, row: Row, now_us: int) -> int | None:
        if not self.schema.event_time:
            return now_us
        value = row[self.schema.event_time]
        if isinstance(value, datetime):
            return (value - _EPOCH) // _MICROSECOND
        # A date stands for its midnight in UTC, as in history.
        return (value - _EPOCH_DAY).days * _DAY_US if isinstance(value, date) else None

    def _value(self, answer: float | list[float]) -> Value:
        return dict(zip(self._class_names, answer, strict=True)) if isinstance(answer, list) else answer


def _class_name(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

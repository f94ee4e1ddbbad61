"""One version of a model, ready to answer: look up, compute, encode, predict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from everfit.artifact.schema import InputSchema, RequestField
from everfit.core.class_names import class_name
from everfit.core.errors import InvalidRequestError
from everfit.serving.protocols.json import Row

if TYPE_CHECKING:
    from everfit.artifact.expressions.row_pipeline import RowPipeline
    from everfit.artifact.predictor import Predictor
    from everfit.store.online import OnlineReader

Value = float | dict[str, float]
"""The chance of the positive class (binary), the number (regression), or each class's chance by its name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000


class Predicted(NamedTuple):
    """The answers to some rows."""

    values: list[float] | list[list[float]]
    """The chance of the positive class or the number; for multiclass each class's chance, in the schema's order."""
    missing: dict[str, list[int]]
    """The views that held no usable row, with the places of the rows that lacked them."""
    used: Sequence[Sequence[Any]]
    """The features of each row, as :attr:`ServedModel.features` names them, before they were encoded."""


class Seen(NamedTuple):
    """What another version was given for a row."""

    model: ServedModel
    used: Sequence[Any]
    """The row of :attr:`Predicted.used`."""


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
    positive: str | int | bool | None
    """The class whose chance a binary model predicts; null for other tasks."""
    event_time: str
    """The request field by whose time features are looked up; empty if it is the moment of asking."""
    example: dict[str, Any]
    """A request that can be sent as it is."""


class Lookup(NamedTuple):
    """What is looked up in one view."""

    view: str
    keys: tuple[int, ...]
    """Places in the request."""
    features: tuple[str, ...]
    nothing: tuple[None, ...]
    ttl_us: int


class ServedModel:
    """A loaded version. It may be called from several threads at once.

    Args:
        version: Its number in the registry.
        digest: Its package's digest.
        schema: What it takes.
        predictor: What executes it.
        pipeline: From a row and what was looked up for it, to the predictor's vector.
        online: Where features are looked up.
    """

    def __init__(
        self,
        *,
        version: int,
        digest: str,
        schema: InputSchema,
        predictor: Predictor,
        pipeline: RowPipeline,
        online: OnlineReader,
    ) -> None:
        self.name = schema.model
        self.version = version
        self.digest = digest
        self.schema = schema
        self.form = predictor.form
        self.features = pipeline.features
        self._predictor = predictor
        self._pipeline = pipeline
        self._online = online
        names = [field.name for field in schema.request]
        self._event_time = names.index(schema.event_time) if schema.event_time else None
        self._lookups = tuple(
            Lookup(
                each.view,
                tuple(names.index(key) for key in each.keys),
                each.features,
                (None,) * len(each.features),
                each.ttl_us,
            )
            for each in schema.lookups
        )
        self._shared: dict[str, tuple[tuple[int, ...] | None, ...]] = {}
        self.class_names = tuple(map(class_name, schema.classes))

    def predict(self, rows: Sequence[Row], *, now_us: int, seen: Sequence[Seen] | None = None) -> Predicted:
        """Answer rows.

        Args:
            rows: At least one, each with every request field.
            now_us: The moment of asking, in microseconds since 1970; the event time of models whose requests carry
                none.
            seen: What was looked up for each row at the moment of asking, by another version: who is asked later
                would find what became known since, and not what the row is about.

        Raises:
            InvalidRequestError: If the model takes no missing values and one is missing, or has no finite prediction
                for a row.
            StoreError: If the online store cannot be read.
        """
        missing: dict[str, list[int]] = {}
        if len(rows) == 1 and seen is None:
            row = rows[0]
            used = self._pipeline.used(row, self._look_up(row, now_us, missing))
            value: Any = self._predictor.predict_one(self._pipeline.encode(row, used))
            total = sum(value) if type(value) is list else value
            if total - total != 0.0:  # infinite or NaN, without a function call
                raise _not_finite(total)
            return Predicted([value], missing, (used,))
        if seen is None:
            looked_up = self._look_up_all(rows, now_us, missing)
        else:
            looked_up = [self._take(row, each, now_us) for row, each in zip(rows, seen, strict=True)]
        all_used = list(map(self._pipeline.used, rows, looked_up))
        answers = self._predictor.predict(self._pipeline.encode_all(rows, all_used))
        # The sum is one pass in C; that of large but finite predictions may overflow, hence the second look.
        if not isfinite(answers.sum()) and (broken := [value for value in answers.flat if not isfinite(value)]):
            raise _not_finite(broken[0])
        return Predicted(answers.tolist(), missing, all_used)

    def show(self, values: Sequence[Any]) -> list[Value]:
        """Answers as callers see them: a class's chance stands by its name."""
        if self.schema.task != "multiclass":
            return list(values)
        return [dict(zip(self.class_names, each, strict=True)) for each in values]

    def event_us(self, row: Row, now_us: int) -> int | None:
        """The instant that a row asks about, in microseconds since 1970; ``None`` if it does not say."""
        if self._event_time is None:
            return now_us
        value = row[self._event_time]
        if isinstance(value, datetime):
            return (value - _EPOCH) // _MICROSECOND
        # A date stands for its midnight in UTC, as in history.
        return (value - _EPOCH_DAY).days * _DAY_US if isinstance(value, date) else None

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
            positive=schema.positive,
            event_time=schema.event_time,
            example={"inputs": [{field.name: field.example for field in schema.request}]},
        )

    def _look_up(self, row: Row, now_us: int, missing: dict[str, list[int]]) -> list[Any]:
        if not self._lookups:
            return []
        at_us = self.event_us(row, now_us)
        found: list[Any] = []
        for view, keys, features, nothing, ttl_us in self._lookups:
            key = tuple([row[place] for place in keys])
            values = None
            if at_us is not None and None not in key:
                values = self._online.get_one(view, key, at_us=at_us, ttl_us=ttl_us, features=features)
            if values is None:
                missing[view] = [0]
            found += nothing if values is None else values
        return found

    def _take(self, row: Row, seen: Seen, now_us: int) -> list[Any]:
        """What another version looked up, where it looked up the same; the rest is looked up now."""
        other = seen.model
        if other.digest not in self._shared:
            self._shared[other.digest] = tuple(other.places_of(each) for each in self._lookups)
        found: list[Any] = []
        for each, places in zip(self._lookups, self._shared[other.digest], strict=True):
            if places is not None:
                found += [seen.used[place] for place in places]
                continue
            at_us = self.event_us(row, now_us)
            key = tuple([row[place] for place in each.keys])
            values = None
            if at_us is not None and None not in key:
                values = self._online.get_one(each.view, key, at_us=at_us, ttl_us=each.ttl_us, features=each.features)
            found += each.nothing if values is None else values
        return found

    def places_of(self, wanted: Lookup) -> tuple[int, ...] | None:
        """Where a look-up's features are among :attr:`features`; ``None`` if this version does not look up the same."""
        same = [each for each in self._lookups if (each.view, each.ttl_us) == (wanted.view, wanted.ttl_us)]
        if not same or not set(wanted.features) <= set(same[0].features):
            return None
        return tuple(self.features.index(f"{wanted.view}.{feature}") for feature in wanted.features)

    def _look_up_all(self, rows: Sequence[Row], now_us: int, missing: dict[str, list[int]]) -> list[list[Any]]:
        found: list[list[Any]] = [[] for _ in rows]
        if not self._lookups:
            return found
        by_instant: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            at_us = self.event_us(row, now_us)
            if at_us is not None:
                by_instant.setdefault(at_us, []).append(place)
        for view, keys, features, nothing, ttl_us in self._lookups:
            answers: list[list[Any] | None] = [None] * len(rows)
            for at_us, places in by_instant.items():
                asked = {place: tuple([rows[place][key] for key in keys]) for place in places}
                asked = {place: key for place, key in asked.items() if None not in key}
                found_now = self._online.get(view, list(asked.values()), at_us=at_us, ttl_us=ttl_us, features=features)
                for place, values in zip(asked, found_now, strict=True):
                    answers[place] = values
            for place, values in enumerate(answers):
                found[place] += nothing if values is None else values
            lacking = [place for place, values in enumerate(answers) if values is None]
            if lacking:
                missing[view] = lacking
        return found


def _not_finite(value: float) -> InvalidRequestError:
    return InvalidRequestError(
        "a row must be one for which the model has a finite prediction",
        value=str(float(value)),
        remedy="Look for a number far outside of what the model was trained on.",
    )

"""The data plane: one way from decoded rows to predictions, whatever protocol they came by."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from everfit.core.clock import Clock
from everfit.core.errors import InvalidRequestError, PackageError, UnknownModelError
from everfit.serving.decode import Request, RequestDecoder

if TYPE_CHECKING:
    from everfit.artifact.package import Package
    from everfit.artifact.schema import Lookup
    from everfit.store.online import OnlineReader

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Value = float | dict[str, float]


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one request, one prediction per row."""

    predictions: list[Value]
    """The chance of the positive class (binary), each class's chance (multiclass), or the value (regression)."""
    ids: list[str]
    version: int
    missing: dict[str, int] = {}
    """For each view, how many rows found nothing usable in the online store."""


class ServedModel:
    """A verified, loaded and warmed package that answers. May be called from several threads at once.

    Args:
        package: The package.
        version: Its number in the registry.
        online: Where features are looked up.
        clock: When a question is asked, if it does not say so itself.
        max_rows: Most rows in one request.
    """

    def __init__(self, package: Package, *, version: int, online: OnlineReader, clock: Clock, max_rows: int) -> None:
        self.schema = package.schema
        self.version = version
        self.digest = package.digest
        self._predictor = package.predictor()
        self._encode = package.row_pipeline()
        self._decoder = RequestDecoder(package.schema, max_rows=max_rows)
        self._online = online
        self._clock = clock
        self._lookups = tuple((lookup, _columns(lookup)) for lookup in package.schema.lookups)
        self._event_time = package.schema.event_time
        self._classes = tuple(str(each) for each in package.schema.classes)
        self._warm()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.schema.model

    @property
    def form(self) -> str:
        """The form that answers."""
        return self._predictor.form

    def answer(self, content: bytes) -> Answer:
        """Decode a body and answer it; see :class:`RequestDecoder`.

        Raises:
            InvalidRequestError: If the body is not what the schema says.
        """
        return self.predict(self._decoder.decode(content))

    def predict(self, request: Request) -> Answer:
        """Look up, compute, encode and predict.

        Raises:
            PackageError: If the model answers something that is not a finite number.
        """
        missing: dict[str, int] = {}
        vectors = [self._encode(row, self._look_up(row, missing)) for row in request.rows]
        if len(vectors) == 1:
            values = [self._predictor.predict_one(vectors[0])]
        else:
            values = self._predictor.predict(np.array(vectors, dtype=np.float64)).tolist()
        ids = request.ids or [self._new_id() for _ in vectors]
        predictions = [self._value(value) for value in values]
        return Answer(predictions=predictions, ids=ids, version=self.version, missing=missing)

    def _look_up(self, row: Mapping[str, Any], missing: dict[str, int]) -> dict[str, Any]:
        if not self._lookups:
            return {}
        asked = row[self._event_time] if self._event_time else None
        at_us = ((asked or self._clock.now()) - _EPOCH) // _MICROSECOND
        found: dict[str, Any] = {}
        for lookup, columns in self._lookups:
            key = tuple([row[name] for name in lookup.keys])
            values = None
            if None not in key:
                values = self._online.get_one(
                    lookup.view, key, at_us=at_us, ttl_us=lookup.ttl_us, features=lookup.features
                )
            if values is None:
                missing[lookup.view] = missing.get(lookup.view, 0) + 1
                found.update(dict.fromkeys(columns))
            else:
                found.update(zip(columns, values, strict=True))
        return found

    def _value(self, value: float | Sequence[float]) -> Value:
        if isinstance(value, Sequence):
            return {name: self._finite(each) for name, each in zip(self._classes, value, strict=True)}
        return self._finite(value)

    def _finite(self, value: float) -> float:
        if not math.isfinite(value):
            raise PackageError("a model must answer finite numbers", value=value, place=f"model {self.name}")
        return float(value)

    def _new_id(self) -> str:
        # Ordered by time, as in UUID version 7 (RFC 9562), so that records of one hour lie together.
        return f"{int(self._clock.now().timestamp() * 1000):012x}{os.urandom(10).hex()}"

    def _warm(self) -> None:
        """Answer a row of nothing once, so that the first caller does not pay for what is made on first use."""
        row = {field.name: None for field in self.schema.request}
        vector = [math.nan] * len(self.schema.columns)
        try:
            self._encode(row, self._look_up(row, {}))
            self._predictor.predict_one(vector)
        except InvalidRequestError:  # the model takes no missing values
            pass


class Plane:
    """All models of one service."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self._models = dict(models)

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """What is served, by name."""
        return self._models

    def model(self, name: str) -> ServedModel:
        """The model of that name.

        Raises:
            UnknownModelError: If it is not served here.
        """
        served = self._models.get(name)
        if served is None:
            known = ", ".join(sorted(self._models)) or "none"
            raise UnknownModelError("the model must be served here", value=name, remedy=f"Served are: {known}.")
        return served

    def versions(self) -> dict[str, int]:
        """The version that answers, by model."""
        return {name: served.version for name, served in self._models.items()}


def _columns(lookup: Lookup) -> tuple[str, ...]:
    return tuple(f"{lookup.view}.{feature}" for feature in lookup.features)

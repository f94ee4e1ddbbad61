"""One loaded version of a model: look-up, computation, encoding and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from everfit.artifact.schema import RequestField
from everfit.core.class_names import class_name
from everfit.core.errors import EverfitError, ProcessError, RemoteError, StoreError
from everfit.serving.protocols.json import Row

if TYPE_CHECKING:
    from everfit.artifact.package import Package
    from everfit.serving.inference.execution import Execution
    from everfit.store.sqlite_online import OnlineStore

Value = float | dict[str, float]
"""The positive class's probability (binary), the number (regression), or each class's probability by its name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000


def is_own_failure(error: Exception) -> bool:
    """Return true if an exception is the version's own failure, and not the fault of the request or of the store."""
    return isinstance(error, ProcessError | RemoteError) or not isinstance(error, EverfitError)


class RowPredictions(NamedTuple):
    """Predictions for some rows."""

    values: list[float] | list[list[float]]
    """The positive class's probability or the number; for multiclass each class's, in the schema's order."""
    missing: dict[str, list[int]]
    """The views that held no usable row, with the places of the rows that lacked them."""
    used: Sequence[Sequence[Any]]
    """The features of each row, as :attr:`ServedModel.features` names them, before they were encoded."""


class ReusedFeatures(NamedTuple):
    """Features of a row that were looked up for another version."""

    model: ServedModel
    used: Sequence[Any]
    """The row of :attr:`RowPredictions.used`."""


class ServedModelDescription(Struct, frozen=True, kw_only=True):
    """Description of a model for its callers."""

    name: str
    version: int
    digest: str
    form: str
    """The runtime."""
    task: str
    request: tuple[RequestField, ...]
    views: tuple[str, ...]
    features: tuple[str, ...]
    classes: tuple[str | int | bool, ...]
    """Of a binary task's two, ``predictions`` are the probabilities of the last."""
    positive: str | int | bool | None
    """The class whose probability a binary model predicts; null for other tasks."""
    event_time: str
    """The request field by whose time features are looked up; empty if that is the time of the request."""
    example: dict[str, Any]
    """A request that can be sent as it is."""


class BoundLookup(NamedTuple):
    """Look-up of one view's features, bound to places in the request."""

    view: str
    keys: tuple[int, ...]
    """Places in the request."""
    features: tuple[str, ...]
    ttl_us: int
    definition: str | None
    """The generation that is read; ``None`` for the current one."""


class ServedModel:
    """A loaded version. Several threads may call it at once."""

    def __init__(self, package: Package, execution: Execution, *, version: int, online: OnlineStore) -> None:
        self.schema = schema = package.schema
        self.name = schema.model
        self.version = version
        self.digest = package.digest
        self._execution = execution
        self._run_one = execution.run_one
        self._online = online
        self.form = execution.runtime
        self.is_remote = execution.is_remote
        self.wait = execution.wait
        self.features = execution.features
        names = [field.name for field in schema.request]
        self._event_time = names.index(schema.event_time) if schema.event_time else None
        self._lookups = tuple(
            BoundLookup(
                lookup.view,
                tuple(map(names.index, lookup.keys)),
                lookup.features,
                lookup.ttl_us,
                lookup.definition or None,
            )
            for lookup in schema.lookups
        )
        self._shared: dict[str, tuple[tuple[int, ...] | None, ...]] = {}
        self.class_names = tuple(map(class_name, schema.classes))

    def predict(
        self, rows: Sequence[Row], *, now_us: int, reused: Sequence[ReusedFeatures] | None = None
    ) -> RowPredictions:
        """Predict rows, at least one, each with every request field.

        Raises :class:`InvalidRequestError` if the model takes no missing values and one is missing, or has no finite
        prediction for a row, :class:`StoreError` if the online store cannot be read, and :class:`ProcessError` if the
        version is executed by a process that is not there.

        Args:
            now_us: The time of the request, in microseconds since 1970; the event time of models whose requests carry
                none.
            reused: Features that were looked up for each row at the time of the request, by another version; a later
                look-up could find values that became known since.
        """
        missing: dict[str, list[int]] = {}
        if len(rows) == 1 and reused is None:
            row = rows[0]
            value, used = self._run_one(row, self._look_up(self._lookups, row, now_us, missing))
            return RowPredictions([value], missing, (used,))
        if reused is None:
            looked_up = self._look_up_all(rows, now_us, missing)
        else:
            looked_up = [self._reuse(row, other, now_us) for row, other in zip(rows, reused, strict=True)]
        values, all_used = self._execution.run(rows, looked_up)
        return RowPredictions(values, missing, all_used)

    def predict_partially(
        self, rows: Sequence[Row], *, now_us: int, reused: Sequence[ReusedFeatures] | None = None
    ) -> tuple[list[tuple[list[int], RowPredictions]], dict[int, Exception]]:
        """Predict all rows at once if possible; on a failure bisect, until the failing rows are alone.

        Returns predictions with the places of their rows, and the exceptions by the place of the row.
        """
        predicted: list[tuple[list[int], RowPredictions]] = []
        failed: dict[int, Exception] = {}
        waiting = [list(range(len(rows)))]
        while waiting:
            places = waiting.pop()
            try:
                own = None if reused is None else [reused[place] for place in places]
                predicted.append((places, self.predict([rows[place] for place in places], now_us=now_us, reused=own)))
            except Exception as error:  # noqa: BLE001 - whatever a model or a project's code raises: returned
                half = len(places) // 2
                if isinstance(error, StoreError | ProcessError):  # no row's fault; none of them is tried alone
                    failed.update(dict.fromkeys(places, error))
                elif half:
                    waiting += [places[half:], places[:half]]
                else:
                    failed[places[0]] = error
        return predicted, failed

    def show(self, values: Sequence[Any]) -> list[Value]:
        """Return predictions as callers see them: a class's probability by its name."""
        if self.schema.task != "multiclass":
            return list(values)
        return [dict(zip(self.class_names, row, strict=True)) for row in values]

    def event_us(self, row: Row, now_us: int) -> int | None:
        """Return the event time of a row, in microseconds since 1970; ``None`` if it is missing."""
        if self._event_time is None:
            return now_us
        value = row[self._event_time]
        if isinstance(value, datetime):
            return (value - _EPOCH) // _MICROSECOND
        # A date stands for its midnight in UTC, as in history.
        return (value - _EPOCH_DAY).days * _DAY_US if isinstance(value, date) else None

    def describe(self) -> ServedModelDescription:
        """Return the description of this version."""
        schema = self.schema
        return ServedModelDescription(
            name=self.name,
            version=self.version,
            digest=self.digest,
            form=self.form,
            task=schema.task,
            request=schema.request,
            views=tuple(lookup.view for lookup in schema.lookups),
            features=schema.names,
            classes=schema.classes,
            positive=schema.positive,
            event_time=schema.event_time,
            example={"inputs": [{field.name: field.example for field in schema.request}]},
        )

    def _look_up(
        self, lookups: Sequence[BoundLookup], row: Row, now_us: int, missing: dict[str, list[int]]
    ) -> list[Any]:
        if not lookups:
            return []
        at_us = self.event_us(row, now_us)
        found: list[Any] = []
        for view, keys, features, ttl_us, definition in lookups:
            key = tuple([row[place] for place in keys])
            values = None
            if at_us is not None and None not in key:
                values = self._online.get_one(
                    view, key, at_us=at_us, ttl_us=ttl_us, features=features, definition=definition
                )
            if values is None:
                missing[view] = [0]
                values = [None] * len(features)
            found += values
        return found

    def _reuse(self, row: Row, reused: ReusedFeatures, now_us: int) -> list[Any]:
        """Return features that another version looked up, where the look-up is the same; look up the rest."""
        other = reused.model
        if other.digest not in self._shared:
            self._shared[other.digest] = tuple(other.places_of(lookup) for lookup in self._lookups)
        found: list[Any] = []
        for lookup, places in zip(self._lookups, self._shared[other.digest], strict=True):
            if places is None:
                found += self._look_up((lookup,), row, now_us, {})
            else:
                found += [reused.used[place] for place in places]
        return found

    def places_of(self, wanted: BoundLookup) -> tuple[int, ...] | None:
        """Return the places of a look-up's features in :attr:`features`; ``None`` if this version's look-up differs."""
        rows = wanted.view, wanted.definition, wanted.ttl_us
        same = [own for own in self._lookups if (own.view, own.definition, own.ttl_us) == rows]
        if not same or not set(wanted.features) <= set(same[0].features):
            return None
        return tuple(self.features.index(f"{wanted.view}.{feature}") for feature in wanted.features)

    def _look_up_all(self, rows: Sequence[Row], now_us: int, missing: dict[str, list[int]]) -> list[list[Any]]:
        found: list[list[Any]] = [[] for _ in rows]
        if not self._lookups:
            return found
        instants = {
            place: at_us
            for place, at_us in enumerate([self.event_us(row, now_us) for row in rows])
            if at_us is not None
        }
        for view, keys, features, ttl_us, definition in self._lookups:
            wanted = {place: tuple([rows[place][key] for key in keys]) for place in instants}
            wanted = {place: key for place, key in wanted.items() if None not in key}
            values = self._online.get(
                view,
                list(wanted.values()),
                at_us=[instants[place] for place in wanted],
                ttl_us=ttl_us,
                features=features,
                definition=definition,
            )
            results = dict(zip(wanted, values, strict=True))
            for place in range(len(rows)):
                found[place] += results.get(place) or [None] * len(features)
            if lacking := [place for place in range(len(rows)) if results.get(place) is None]:
                missing[view] = lacking
        return found

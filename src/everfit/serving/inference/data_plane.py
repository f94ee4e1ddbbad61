"""The data plane: predictions for the requests of every protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

from msgspec import Struct

from everfit.core.clock import Clock
from everfit.core.errors import NotReadyError, StoreError, UnknownModelError
from everfit.serving.ids import IdMaker
from everfit.serving.inference.served_model import ReusedFeatures, RowPredictions, ServedModel, Value, is_own_failure
from everfit.serving.inference.shadow import ShadowRunner
from everfit.serving.inference.variants import Variants
from everfit.serving.prediction_logger import PredictionLogger
from everfit.serving.protocols.json import Request, Row
from everfit.store.journal_records import Route
from everfit.store.sqlite_online import OnlineStore

DEPLOYMENT = "deployment"
"""Key of :attr:`DataPlane.refused` for a deployment record that cannot be read."""


class _Part(NamedTuple):
    """Predictions of one version for the rows at some places."""

    model: ServedModel
    route: Route
    places: list[int]
    predicted: RowPredictions


class PredictionResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Predictions for one request."""

    predictions: list[Value]
    """One for each row: the positive class's probability, the number, or each class's probability by its name."""
    ids: list[str]
    version: int
    """The version that predicted the first row."""
    versions: list[int] = []
    """The version that predicted each row; empty if it is the same for all."""
    missing: dict[str, list[int]] = {}
    """The views that held no usable row, with the places of the rows that lacked them; their features were null."""


def response(
    predictions: list[Value], ids: list[str], versions: list[int], missing: dict[str, list[int]]
) -> PredictionResponse:
    """Return a response that names the versions of all rows only if they differ."""
    differ = versions if len(set(versions)) > 1 else []
    return PredictionResponse(predictions=predictions, ids=ids, version=versions[0], versions=differ, missing=missing)


class _Context(NamedTuple):
    """Rows of one request, with its time."""

    rows: Sequence[Row]
    ids: list[str]
    now_us: int
    began_s: float


class DataPlane:
    """The models that are served. Several threads may call it at once; ``clock`` gives the time of a request."""

    def __init__(
        self, online: OnlineStore, prediction_logger: PredictionLogger, shadow: ShadowRunner, clock: Clock
    ) -> None:
        self.models: Mapping[str, Variants] = {}
        """The loaded versions by model; replaced as a whole when the deployment changes."""
        self.refused: Mapping[str, str] = {}
        """Reason why a deployed version is not loaded, by ``model version N``."""
        self._online = online
        self._prediction_logger = prediction_logger
        self._shadow = shadow
        self.now_us = clock.now_us
        self.flush = prediction_logger.flush
        self._ids = IdMaker()

    def variants(self, model: str) -> Variants:
        """Return a model's loaded versions.

        Raises :class:`UnknownModelError` if it is not served, and :class:`NotReadyError` if it is deployed, and could
        not be loaded.
        """
        found = self.models.get(model)
        if found is not None:
            return found
        problem = next((text for name, text in self.refused.items() if name.startswith(f"{model} ")), None)
        if problem is not None:
            raise NotReadyError(f"{model} must have been loaded: {problem}")
        remedy = f"Served are: {', '.join(self.models) or 'none'}."
        raise UnknownModelError("this service must serve the requested model", value=model[:200], remedy=remedy)

    def make_ids(self, count: int, now_us: int | None = None) -> list[str]:
        """Return new ids for rows."""
        now_us = self.now_us() if now_us is None else now_us
        return [self._ids.make(now_us)] if count == 1 else self._ids.make_many(count, now_us)

    def predict(
        self, variants: Variants, request: Request, *, began_s: float, version: int | None = None
    ) -> PredictionResponse:
        """Predict and record; ``flush`` writes the record, before the response may be sent.

        Raises :class:`InvalidRequestError` if the model takes no missing values and one is missing,
        :class:`UnknownModelError` if the requested version is not loaded, and :class:`StoreError` if the online store
        cannot be read, or the record not be written as durably as it must.

        Args:
            began_s: Time of arrival, by ``perf_counter``.
            version: The requested version; ``None`` leaves it to the deployment.
        """
        now_us = self.now_us()
        rows = request.rows
        ids = request.ids or self.make_ids(len(rows), now_us)
        context = _Context(rows, ids, now_us, began_s)
        if version is not None or variants.canary is not None:
            return self._predict_by_share(variants, context, version)
        model = variants.champion
        try:
            predicted = model.predict(rows, now_us=now_us)
        except Exception as error:  # whatever a model raises: raised again for the row at fault
            if not is_own_failure(error):
                raise
            return self._predict_by_share(variants, context, version)
        self._log(model, "champion", context, ids, rows, predicted)
        if variants.shadow is not None:
            reused = [ReusedFeatures(model, used) for used in predicted.used]
            self._shadow.submit(variants.shadow, rows, ids, now_us, reused)
        return PredictionResponse(
            predictions=model.show(predicted.values), ids=ids, version=model.version, missing=predicted.missing
        )

    def _predict_by_share(self, variants: Variants, context: _Context, version: int | None) -> PredictionResponse:
        """Predict each row by the version that it is assigned to, or by that version's fallback."""
        rows, ids, now_us, _ = context
        parts: list[_Part] = []
        for route, model, places in variants.assign(ids, version):
            fallback = None if version is not None else variants.fallback_for(model)
            parts += self._predict_share(model, route, places, fallback, context)
        by_place: dict[int, tuple[Value, ReusedFeatures]] = {}
        missing: dict[str, list[int]] = {}
        for model, _, places, predicted in parts:
            for place, value, used in zip(places, model.show(predicted.values), predicted.used, strict=True):
                by_place[place] = value, ReusedFeatures(model, used)
            for view, lacking in predicted.missing.items():
                missing.setdefault(view, []).extend(places[place] for place in lacking)
        # Recorded once nothing can fail any more: only predictions that are returned.
        for model, route, places, predicted in parts:
            own_ids, own_rows = [ids[place] for place in places], [rows[place] for place in places]
            self._log(model, route, context, own_ids, own_rows, predicted)
        values, looked_up = zip(*(by_place[place] for place in range(len(rows))), strict=True)
        if variants.shadow is not None:
            self._shadow.submit(variants.shadow, rows, ids, now_us, looked_up)
        missing = {view: sorted(places) for view, places in missing.items()}
        return response(list(values), ids, [reused.model.version for reused in looked_up], missing)

    def _predict_share(
        self, model: ServedModel, route: Route, places: list[int], fallback: ServedModel | None, context: _Context
    ) -> list[_Part]:
        """Predict rows by their version, and the rows on which it fails by its fallback.

        A canary's failure counts only if the champion can predict the row; a champion's failure always counts.
        """
        rows, now_us = context.rows, context.now_us
        predictions, failures = model.predict_partially([rows[place] for place in places], now_us=now_us)
        parts = [_Part(model, route, [places[place] for place in own], predicted) for own, predicted in predictions]
        if not failures:
            return parts
        failed = {places[place]: error for place, error in failures.items()}
        error = next(iter(failed.values()))
        if route == "champion":
            if not is_own_failure(error):
                raise error
            self._log_failure(model, route, context, failed)
        if fallback is None:
            raise error
        predicted = fallback.predict([rows[place] for place in failed], now_us=now_us)
        if route != "champion":
            self._log_failure(model, route, context, failed)
        return [*parts, _Part(fallback, "stand_in", list(failed), predicted)]

    def _log_failure(
        self, model: ServedModel, route: Route, context: _Context, failed: Mapping[int, Exception]
    ) -> None:
        """Record failures; those of the online store are not the version's."""
        own = {context.ids[place]: error for place, error in failed.items() if not isinstance(error, StoreError)}
        if own:
            error = next(iter(own.values()))
            self._prediction_logger.log_failure(model, route, now_us=context.now_us, ids=list(own), error=error)

    def _log(
        self,
        model: ServedModel,
        route: Route,
        context: _Context,
        ids: list[str],
        rows: Sequence[Row],
        predicted: RowPredictions,
    ) -> None:
        latency_us = int((perf_counter() - context.began_s) * 1e6)
        self._prediction_logger.log_predictions(
            model, route, now_us=context.now_us, latency_us=latency_us, ids=ids, rows=rows, predicted=predicted
        )

    def require_ready(self) -> None:
        """Check that every deployed model has a loaded version, and that features can be looked up.

        A version that cannot be loaded while another one of the model is loaded is only reported, in the log and by the
        metric ``everfit_version_refused``: requests are served, so no balancer must remove the service. Raises
        :class:`NotReadyError` with the reason.
        """
        for name, problem in self.refused.items():
            if name.partition(" ")[0] not in self.models and not (name == DEPLOYMENT and self.models):
                raise NotReadyError(f"everything that is deployed must be loaded: {problem}", place=name)
        if not self.models:
            raise NotReadyError("there must be a model to serve", remedy="Promote one: everfit promote MODEL VERSION.")
        for variants in self.models.values():
            self.require_readable(variants)

    def require_readable(self, variants: Variants) -> None:
        """Check that a model's features can be looked up. Raises :class:`NotReadyError` with the reason."""
        for lookup in variants.champion.schema.lookups:
            try:
                state = self._online.state(lookup.view, lookup.definition or None)
            except StoreError as problem:
                raise NotReadyError(f"features must be readable: {problem}", place=lookup.view) from problem
            if state is None and lookup.definition:
                rule, remedy = "features must be materialised", "Run 'everfit features materialize'."
                raise NotReadyError(rule, remedy=remedy, place=lookup.view)

"""The data plane: every way to ask for a prediction ends here, whatever protocol it came by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from everfit.core.errors import EverfitError, NotReadyError, StoreError, UnknownModelError
from everfit.serving.ids import IdMaker
from everfit.serving.inference.partial_failure import attempt
from everfit.serving.inference.served_model import Predicted, Seen, ServedModel, Value
from everfit.serving.inference.variants import Lineup
from everfit.serving.protocols.json import Request, Row

if TYPE_CHECKING:
    from everfit.core.clock import Clock
    from everfit.serving.inference.shadow import Shadow
    from everfit.serving.prediction_logger import Recorder
    from everfit.store.journal_records import Route
    from everfit.store.online import OnlineReader


DEPLOYMENT = "deployment"
"""Under this name the deployment record itself is refused."""


class _Due(NamedTuple):
    """Rows and whom they are due to."""

    model: ServedModel
    route: Route
    places: list[int]


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller gets."""

    predictions: list[Value]
    """One for each row: the chance of the positive class, the number, or each class's chance by its name."""
    ids: list[str]
    version: int
    """Who answered the first row."""
    versions: list[int] = []
    """Who answered each row, where they were not all answered by one."""
    missing: dict[str, list[int]] = {}
    """The views that held no usable row, with the places of the rows that lacked them; their features were null."""


class Plane:
    """The models that are served. It may be called from several threads at once.

    Args:
        online: Where features are looked up.
        recorder: Keeps what was answered.
        shadow: Asks the shadows, later.
        clock: The moment of asking.
    """

    def __init__(self, *, online: OnlineReader, recorder: Recorder, shadow: Shadow, clock: Clock) -> None:
        self.lineups: Mapping[str, Lineup] = {}
        """Who answers for each model; replaced as a whole when the deployment changes."""
        self.refused: Mapping[str, str] = {}
        """Why a version that was deployed is not loaded, by ``model version N``."""
        self._online = online
        self._recorder = recorder
        self._shadow = shadow
        self.now_us = clock.now_us
        self.flush = recorder.flush
        self._ids = IdMaker()

    def lineup(self, model: str) -> Lineup:
        """Who answers for a model.

        Raises:
            UnknownModelError: If it is not served.
            NotReadyError: If it is deployed, and could not be loaded.
        """
        found = self.lineups.get(model)
        if found is not None:
            return found
        problem = next((text for name, text in self.refused.items() if name.startswith(f"{model} ")), None)
        if problem is not None:
            raise NotReadyError(f"{model} must have been loaded: {problem}")
        known = ", ".join(self.lineups) or "none"
        raise UnknownModelError(
            "this service must serve the model that is asked", value=model[:200], remedy=f"Served are: {known}."
        )

    def make_ids(self, count: int, now_us: int | None = None) -> list[str]:
        """Ids for rows whose caller gave none."""
        now_us = self.now_us() if now_us is None else now_us
        return [self._ids.make(now_us)] if count == 1 else self._ids.make_many(count, now_us)

    def predict(self, lineup: Lineup, request: Request, *, began_s: float, version: int | None = None) -> Answer:
        """Answer a request, and record the answer; ``flush`` writes the record, before the answer may be sent.

        Args:
            lineup: Who answers.
            request: What is asked.
            began_s: When it arrived, by ``perf_counter``.
            version: The one that the caller asks for; ``None`` leaves it to the deployment.

        Raises:
            InvalidRequestError: If the model takes no missing values and one is missing.
            UnknownModelError: If the version that is asked for is not loaded.
            StoreError: If the online store cannot be read, or the answer not be recorded as durably as it must.
        """
        now_us = self.now_us()
        rows = request.rows
        ids = request.ids or self.make_ids(len(rows), now_us)
        if version is None and lineup.canary is None:
            model = lineup.champion
            try:
                predicted = model.predict(rows, now_us=now_us)
            except EverfitError:  # the caller's fault, or the store's
                raise
            except Exception:  # noqa: BLE001 - whatever a model raises: found again, row by row
                return self._predict_apart(lineup, rows, ids, now_us, began_s, version)
            else:
                self._record(model, "champion", now_us, began_s, ids, rows, predicted)
                answer = Answer(
                    predictions=model.show(predicted.values), ids=ids, version=model.version, missing=predicted.missing
                )
                if lineup.shadow is not None:
                    seen = [Seen(model, used) for used in predicted.used]
                    self._shadow.ask(lineup.shadow, rows, ids, now_us, seen)
                return answer
        return self._predict_apart(lineup, rows, ids, now_us, began_s, version)

    def _predict_apart(
        self,
        lineup: Lineup,
        rows: Sequence[tuple[Any, ...]],
        ids: list[str],
        now_us: int,
        began_s: float,
        version: int | None,
    ) -> Answer:
        """Each row by whom it is due to, or by who stands in for that."""
        answers: list[tuple[Value, int]] = [(0.0, 0)] * len(ids)
        missing: dict[str, list[int]] = {}
        parts = []
        for route, model, places in lineup.allot(ids, version):
            # Who asks for a version wants no other.
            other = None if version is not None else lineup.stand_in_for(model)
            for part in self._ask(_Due(model, route, places), other, rows, ids, now_us):
                parts.append(part)
                (by, _, own), predicted = part
                for place, value in zip(own, by.show(predicted.values), strict=True):
                    answers[place] = value, by.version
                for view, lacking in predicted.missing.items():
                    missing.setdefault(view, []).extend(own[place] for place in lacking)
        # Only once nothing can fail any more: what is recorded is what was answered.
        for (model, route, places), predicted in parts:
            own_ids, own_rows = [ids[place] for place in places], [rows[place] for place in places]
            self._record(model, route, now_us, began_s, own_ids, own_rows, predicted)
        if lineup.shadow is not None:
            by_place = {
                place: Seen(model, used)
                for (model, _, places), predicted in parts
                for place, used in zip(places, predicted.used, strict=True)
            }
            self._shadow.ask(lineup.shadow, rows, ids, now_us, [by_place[place] for place in range(len(rows))])
        versions = [number for _, number in answers]
        return Answer(
            predictions=[value for value, _ in answers],
            ids=ids,
            version=versions[0],
            versions=versions if len(set(versions)) > 1 else [],
            missing={view: sorted(places) for view, places in missing.items()},
        )

    def _ask(
        self, due: _Due, other: ServedModel | None, rows: Sequence[Row], ids: Sequence[str], now_us: int
    ) -> list[tuple[_Due, Predicted]]:
        """Ask whom rows are due to; those that it fails on are answered in the same request by who stands in for it.

        A canary is not to blame for what the champion cannot answer either; a champion is to blame at any rate.
        """
        model, route, places = due
        tried = attempt(model, [rows[place] for place in places], now_us=now_us)
        parts = [(_Due(model, route, [places[each] for each in own]), predicted) for own, predicted in tried.answered]
        if not tried.failed:
            return parts
        lost = {places[each]: error for each, error in tried.failed.items()}
        error = next(iter(lost.values()))
        if route == "champion":
            if isinstance(error, EverfitError):
                raise error
            self._fail(model, route, now_us, ids, lost)
        if other is None:
            raise error
        predicted = other.predict([rows[place] for place in lost], now_us=now_us)
        if route != "champion":
            self._fail(model, route, now_us, ids, lost)
        return [*parts, (_Due(other, "stand_in", list(lost)), predicted)]

    def _fail(
        self, model: ServedModel, route: Route, now_us: int, ids: Sequence[str], lost: Mapping[int, Exception]
    ) -> None:
        """Record failures; those of the online store are not the version's."""
        own = {ids[place]: error for place, error in lost.items() if not isinstance(error, StoreError)}
        if own:
            self._recorder.failed(model, route, now_us=now_us, ids=list(own), error=next(iter(own.values())))

    def _record(
        self,
        model: ServedModel,
        route: Route,
        now_us: int,
        began_s: float,
        ids: list[str],
        rows: Sequence[tuple[Any, ...]],
        predicted: Predicted,
    ) -> None:
        latency_us = int((perf_counter() - began_s) * 1e6)
        self._recorder.predictions(
            model, route, now_us=now_us, latency_us=latency_us, ids=ids, rows=rows, predicted=predicted
        )

    def require_ready(self) -> None:
        """Make sure that every model that is deployed has a version that answers, and that features can be looked up.

        A version that cannot be loaded while another one answers is only reported: in the log and by the metric
        ``everfit_version_refused``. Callers lose nothing by it, so no balancer must take the service out.

        Raises:
            NotReadyError: If not, with the reason.
        """
        for name, problem in self.refused.items():
            if name.partition(" ")[0] not in self.lineups and not (name == DEPLOYMENT and self.lineups):
                raise NotReadyError(f"everything that is deployed must be loaded: {problem}", place=name)
        if not self.lineups:
            raise NotReadyError("there must be a model to serve", remedy="Promote one: everfit promote MODEL VERSION.")
        for lineup in self.lineups.values():
            self.require_readable(lineup)

    def require_readable(self, lineup: Lineup) -> None:
        """Make sure that a model's features can be looked up.

        Raises:
            NotReadyError: If not, with the reason.
        """
        for lookup in lineup.champion.schema.lookups:
            try:
                self._online.state(lookup.view)
            except StoreError as problem:
                raise NotReadyError(f"features must be readable: {problem}", place=lookup.view) from problem

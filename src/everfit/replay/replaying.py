"""Replay of a time range against a running system."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl
from msgspec import Struct

from everfit.artifact.package import open_package
from everfit.client.client import Client
from everfit.client.records import Prediction, Value
from everfit.core.class_names import class_name
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import EmptyWindowError, NotReadyError, SettingsError, StoreError
from everfit.core.evidence import ID
from everfit.core.progress import SILENT, Progress
from everfit.definitions.model import Model
from everfit.definitions.view import FeatureView
from everfit.features.history import features_of
from everfit.journal.tables import scan_predictions
from everfit.loop.online_generations import materialize_active
from everfit.replay.history import History
from everfit.replay.pacing import ControllerBarrier, Pace, Stop
from everfit.replay.result import AGAINST, PREDICTION, VERSION, Period, ReplayReport, figures
from everfit.replay.schedule import Slice, due_by, outcomes_of, slices
from everfit.replay.sender import ReplaySender
from everfit.serving.worker_report import read_reports
from everfit.store.controller_report import is_alive
from everfit.store.replay_clock import CLOCK_FILE, FollowedClock, LeadingClock
from everfit.store.replay_spans import ReplaySpan, keep_span
from everfit.system import System

_CHUNK = timedelta(days=7)
"""Range of history that is read at once."""
_COMPARED_AT_ONCE = timedelta(days=30)
_MOST_ROWS = 2_000
"""Largest number of rows in a request, even if the service accepts more."""
_TASK = "Replay"
_SHOWN_S = 1.0
"""A wait for the controller is shown after this long; most are shorter."""


class ReplayPlan(Struct, frozen=True, kw_only=True):
    """Range, pace and figures of a replay."""

    start: datetime
    """The first event time, inclusive; feature rows known by then are in the online store at once."""
    end: datetime
    """The last event time, exclusive."""
    step: timedelta = timedelta(minutes=30)
    """Length of a slice; see :mod:`everfit.replay.schedule`."""
    speed: float | None = None
    """Event time per wall-clock time; ``None`` as fast as possible."""
    watch_every: timedelta | None = timedelta(days=1)
    """Event time between two instants at which the replay waits for the controller; ``None``: it never waits."""
    patience_s: float = 3600.0
    """Longest time to wait for the controller at one instant, in seconds of this machine."""
    against: int | None = None
    """The version to compare with."""
    by: Period = "month"
    """Period of one line of figures."""

    def require_sound(self) -> None:
        """Make sure that the plan is consistent. Raises :class:`SettingsError` if it is not."""
        if self.start >= self.end:
            raise SettingsError("a replay must begin before it ends", value=f"{self.start} to {self.end}")
        if self.speed is not None and self.speed <= 0:
            raise SettingsError("--speed must be max or a positive factor such as x60", value=self.speed)
        if self.watch_every is not None and self.watch_every % self.step:
            found = f"{self.watch_every} and {self.step}"
            raise SettingsError("--watch-every must be a multiple of --step", value=found)


def replay(
    system: System,
    client: Client,
    model: str | None,
    plan: ReplayPlan,
    *,
    stop: Stop = lambda: False,
    progress: Progress = SILENT,
) -> ReplayReport:
    """Replay history against a running system.

    The online store is first filled with what was known at the plan's start, and nothing else. Then requests, outcomes
    and feature rows are sent as :mod:`everfit.replay.schedule` defines, and the system's clock follows.

    Of ``system``, the same project, only the online store and the clock are written. ``client`` must retry while a
    worker restarts. The replay ends after the slice at which ``stop`` returns ``True``.

    Raises :class:`NotReadyError` if the service or the controller does not run, or does not take its time from the
    replay; :class:`StoreError` if the journal has predictions later than the plan's start, or another replay runs;
    :class:`EmptyWindowError` if there are no events in the range; :class:`RequestError` if the service does not know
    the model, or refuses rows of a view.
    """
    plan.require_sound()
    definition = system.project.model(model)
    described = client.model(definition.name)
    _require_followers(system)
    controller = None
    if plan.watch_every is not None:
        controller = ControllerBarrier(
            system.state, system.deployment, every=plan.watch_every, start=plan.start, patience_s=plan.patience_s
        )
        controller.require_alive()
    earlier = _earlier_events(system, definition, plan)
    with LeadingClock(system.state / CLOCK_FILE) as clock:
        history = History(definition, system.reader)
        names = [view.name for view in definition.views]
        materialize_active(system, names, until=plan.start, full=True, progress=progress)
        clock.begin(plan.start)
        keep_span(system.state, ReplaySpan(start=plan.start, end=plan.end, slice_s=plan.step.total_seconds()))
        most_rows = min(_MOST_ROWS, system.project.settings.serving.max_rows)
        with ReplaySender(client, definition.name, most_rows=most_rows, by_instant=not described.event_time) as sender:
            views = [view for view in definition.views if view.name in described.views]
            run = _Run(definition, views, history, plan, clock, sender, controller, progress)
            reached = run.run(earlier, stop)
            seconds = time.monotonic() - run.began_s
    predicted = run.predicted()
    if plan.against is not None:
        other = _predictions_of_version(
            system, definition, history, plan, plan.against, until=reached, progress=progress
        )
        predicted = predicted.join(other, on=ID, maintain_order="left")
    overall, months = figures(definition, predicted, by=plan.by)
    counts = sender.counts
    return ReplayReport(
        model=definition.name,
        start=plan.start,
        end=reached,
        finished=reached == plan.end,
        asked=counts.requested,
        answered=counts.predicted,
        failed=counts.requested - counts.predicted,
        outcomes=counts.outcomes,
        refused_outcomes=counts.refused_outcomes,
        pushed=counts.pushed,
        refusals=tuple(counts.refusals),
        seconds=seconds,
        against=plan.against,
        overall=overall,
        months=months,
    )


@dataclass
class _Run:
    """The slices of a replay, one after the other."""

    model: Model
    views: Sequence[FeatureView]
    """Views of the model that the service takes rows of."""
    history: History
    plan: ReplayPlan
    clock: LeadingClock
    sender: ReplaySender
    controller: ControllerBarrier | None
    progress: Progress
    events: list[pl.DataFrame] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def run(self, earlier: pl.DataFrame, stop: Stop) -> datetime:
        """Send every slice until the end or until ``stop`` returns ``True``; return the event time that was reached."""
        plan, pace = self.plan, Pace(self.plan.speed, self.plan.start)
        self.progress.start(_TASK, -((plan.start - plan.end) // plan.step))
        reached = plan.start
        self._announce_wait()
        for part in self._slices(earlier):
            if stop():
                break
            pace.wait_for(part.end, stop)
            self.predictions += self.sender.predict(part.requests, at=self.clock.advance)
            self.clock.advance(part.end)
            self.sender.report(part.outcomes, part.arrived)
            reached = part.end
            if self.controller is not None:
                self.controller.wait_at(reached, self._reporting(reached, stop))
                self._announce_wait()
            self.progress.advance(_TASK, note=self._note(reached))
        self.progress.finish(_TASK, note=self._note(reached))
        return reached

    def _reporting(self, reached: datetime, stop: Stop) -> Stop:
        """Return ``stop`` such that a long wait is shown."""
        began_s = time.monotonic()

        def report() -> bool:
            if time.monotonic() - began_s >= _SHOWN_S:
                self.progress.advance(_TASK, 0, note=f"{self._note(reached)}, waits for service and controller")
            return stop()

        return report

    def _announce_wait(self) -> None:
        # At a limited speed the controller makes its rounds in between, too.
        if self.controller is not None and self.plan.speed is None:
            self.clock.announce_wait(self.controller.next)

    def predicted(self) -> pl.DataFrame:
        """Return all predictions with version and final label. Raises :class:`EmptyWindowError` if there are none."""
        if not self.predictions:
            raise EmptyWindowError(
                "the range must have events that the service predicts",
                value=f"{self.plan.start} to {self.plan.end}",
                remedy=" ".join(self.sender.counts.refusals),
            )
        predictions = pl.DataFrame(
            {
                ID: [one.id for one in self.predictions],
                VERSION: [one.version for one in self.predictions],
                PREDICTION: _predictions([one.value for one in self.predictions]),
            }
        )
        return predictions.join(pl.concat(self.events), on=ID, maintain_order="left")

    def _slices(self, earlier: pl.DataFrame) -> Iterator[Slice]:
        plan, waiting = self.plan, outcomes_of(earlier)
        chunk = max(_CHUNK // plan.step, 1) * plan.step
        for number in range(-((plan.start - plan.end) // chunk)):
            start = plan.start + number * chunk
            end = min(start + chunk, plan.end)
            events = self.history.events(start, end)
            self.events.append(events.select(ID, TIME, LABEL))
            due, waiting = due_by(pl.concat([waiting, outcomes_of(events)]), end)
            arrived = {view.name: (view.keys, self.history.arrived(view, start, end)) for view in self.views}
            yield from slices(events, due, arrived, fields=self.model.request, start=start, end=end, length=plan.step)

    def _note(self, reached: datetime) -> str:
        rows = self.sender.counts.predicted
        rate = rows / max(time.monotonic() - self.began_s, 1e-9)
        return f"{reached:%Y-%m-%d %H:%M}  {rows:,} predictions  {rate:,.0f}/s"


def _predictions(values: Sequence[Value]) -> pl.Series:
    """Return predictions as a column: numbers, or the probability of each class by its name, null if unknown."""
    names = dict.fromkeys(name for value in values if isinstance(value, dict) for name in value)
    return pl.Series(PREDICTION, values, dtype=pl.Struct(dict.fromkeys(names, pl.Float64)) if names else pl.Float64())


def _require_followers(system: System) -> None:
    """Make sure that the service runs here and takes its time from the replay, so that no live service is changed."""
    alive = [worker for worker in read_reports(system.state / "workers").values() if is_alive(worker.pid)]
    if not alive or not all(worker.follows_replay for worker in alive):
        raise NotReadyError(
            "the project's service must run on this machine and take its time from the replay",
            place=str(system.state),
            remedy="Start it with 'everfit up --replay' or 'everfit serve --replay'.",
        )


def _earlier_events(system: System, model: Model, plan: ReplayPlan) -> pl.DataFrame:
    """Return the events of earlier replays whose labels were not known at the start of this one.

    Predictions that were recorded later than every replay ends are ignored: they are those of a service that ran by
    this machine's clock, such as a first try with curl. The journal must have none from the range of this replay.
    """
    clock = FollowedClock(system.state / CLOCK_FILE)
    until = max(plan.end, clock.now()) if clock.has_begun else plan.end
    recorded = pl.col("recorded_at")
    predictions = scan_predictions(system.lake, system.journal, model.name).filter(recorded <= until)
    newest = predictions.select(recorded.max()).collect().item()
    if newest is not None and newest > plan.start:
        raise StoreError(
            "a replay must begin after all predictions in the journal",
            value=f"{plan.start.isoformat()}, and a prediction of {newest.isoformat()}",
            remedy="Continue where the last replay ended, with --from; or replay in a copy of the project without "
            "journal, lake and clock in its folder .everfit.",
        )
    history = History(model, system.reader)
    if newest is None:
        return history.events(plan.start, plan.start)
    ids = predictions.select(pl.col("id").alias(ID)).unique().collect()
    return history.events(None, plan.start).filter(pl.col(KNOWN_AT) > plan.start).join(ids, on=ID, how="semi")


def _predictions_of_version(
    system: System,
    model: Model,
    history: History,
    plan: ReplayPlan,
    version: int,
    until: datetime,
    progress: Progress,
) -> pl.DataFrame:
    """Predict the events of the replay until an instant with one version, as if the model had never been retrained.

    Its features are those that were known at the beginning of each event's slice, as in the online store during the
    replay: a version that predicted all events is compared with itself. Columns: :data:`ID` and :data:`AGAINST`, in the
    service's form.
    """
    package = open_package(system.registry.fetch(system.registry.version(model.name, version)), trust=system.trust)
    count = -((plan.start - until) // _COMPARED_AT_ONCE)
    progress.start("Comparing", count)
    parts = []
    for number in range(count):
        first = plan.start + number * _COMPARED_AT_ONCE
        events = history.events(first, min(first + _COMPARED_AT_ONCE, until))
        if not events.is_empty():
            into = (pl.col(TIME) - plan.start).dt.total_microseconds() % (plan.step // timedelta(microseconds=1))
            known = (pl.col(TIME) - pl.duration(microseconds=into)).alias(TIME)
            request = events.select(known, *(name for name in model.request if name != TIME))
            features = features_of(model, history.reader, request, as_of=until)
            matrix = package.transform(pl.concat([events, features], how="horizontal"))
            predicted = package.predictor().predict(matrix)
            if predicted.ndim == 1:
                column = pl.Series(AGAINST, predicted)
            else:
                classes = [class_name(value) for value in package.schema.classes]
                column = pl.DataFrame(predicted, schema=classes).to_struct(AGAINST)
            parts.append(pl.DataFrame([events[ID], column]))
        progress.advance("Comparing")
    progress.finish("Comparing", note=f"with version {version}")
    return pl.concat(parts) if parts else pl.DataFrame(schema={ID: pl.String, AGAINST: pl.Float64})

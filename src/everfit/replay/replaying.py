"""A replay from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import EmptyWindowError, NotReadyError, SettingsError, StoreError
from everfit.core.evidence import ID
from everfit.core.progress import SILENT, Progress
from everfit.journal.tables import scan_predictions
from everfit.loop.materialize_job import materialize
from everfit.replay.comparison import answers_of_version
from everfit.replay.history import History
from everfit.replay.pacing import Controller, Pace, Stop
from everfit.replay.result import PREDICTION, VERSION, Period, ReplayReport, figures
from everfit.replay.schedule import Step, due_by, outcomes_of, steps
from everfit.replay.sender import Teller
from everfit.serving.worker_report import read_reports
from everfit.store.controller_report import is_alive
from everfit.store.replay_clock import CLOCK_FILE, FollowedClock, LeadingClock
from everfit.store.replay_spans import ReplaySpan, keep_span

if TYPE_CHECKING:
    from everfit.client.client import Client
    from everfit.client.records import ModelDescription, Prediction, Value
    from everfit.definitions.model import Model
    from everfit.system import System

_STRETCH = timedelta(days=7)
"""How much history is read at once."""
_MOST_ROWS = 2_000
"""In one request, whatever the service takes."""
_TASK = "Replay"


class ReplayPlan(Struct, frozen=True, kw_only=True):
    """What is to be replayed, and how."""

    start: datetime
    """The first event time, inclusive; what was known by then is there from the beginning."""
    end: datetime
    """The last event time, exclusive."""
    step: timedelta = timedelta(minutes=30)
    """How far the replay may lag behind life; see :mod:`everfit.replay.schedule`."""
    speed: float | None = None
    """Event time in wall-clock time; ``None`` as fast as the system keeps up."""
    watch_every: timedelta | None = timedelta(days=1)
    """The event time after which the controller must have looked; ``None`` drives the service alone."""
    patience_s: float = 3600.0
    """How long the controller may take each time, in seconds of this machine."""
    against: int | None = None
    """The version to compare the answers with."""
    by: Period = "month"
    """How the figures are broken down."""

    def require_sound(self) -> None:
        """Make sure that it can be followed.

        Raises:
            SettingsError: If it cannot.
        """
        if self.start >= self.end:
            raise SettingsError("a replay must begin before it ends", value=f"{self.start} to {self.end}")
        if self.speed is not None and self.speed <= 0:
            raise SettingsError("--speed must be max or a positive factor such as x60", value=self.speed)
        if self.watch_every is not None and self.watch_every % self.step:
            raise SettingsError(
                "--watch-every must be a multiple of --step", value=f"{self.watch_every} and {self.step}"
            )


def replay(
    system: System,
    client: Client,
    model: str | None,
    plan: ReplayPlan,
    *,
    stop: Stop = lambda: False,
    progress: Progress = SILENT,
) -> ReplayReport:
    """Let a running system live through history.

    What was known before the plan's start is brought online first, and nothing else is left there. From then on the
    system hears of history from outside alone, as :mod:`everfit.replay.schedule` says, and its clock follows.

    Args:
        system: The parts of the same project; only read, but for the online store and the clock.
        client: The service; it must be patient while a worker starts again.
        model: Its name; may be left out where there is only one.
        plan: What, and how.
        stop: Asked after every step; once it says yes, the replay ends there.
        progress: Hears of every step.

    Raises:
        SettingsError: If the plan cannot be followed.
        NotReadyError: If the service or the controller is not there, or does not take its time from the replay.
        StoreError: If the journal holds answers from after the plan's start, or another replay is under way.
        EmptyWindowError: If nothing was asked in that time.
        RequestError: If the service does not know the model, or refuses rows of a view.
        EverfitError: Where history cannot be read.
    """
    plan.require_sound()
    definition = system.project.model(model)
    described = client.model(definition.name)
    _require_followers(system)
    controller = _controller(system, plan)
    asked_before = _asked_before(system, definition, plan)
    with LeadingClock(system.state / CLOCK_FILE) as clock:
        history = History(definition, system.reader)
        materialize(system, [view.name for view in definition.views], until=plan.start, full=True, progress=progress)
        clock.begin(plan.start)
        keep_span(system.state, ReplaySpan(start=plan.start, end=plan.end, slice_s=plan.step.total_seconds()))
        most_rows = min(_MOST_ROWS, system.project.settings.serving.max_rows)
        teller = Teller(client, definition.name, most_rows=most_rows, by_instant=not described.event_time)
        with teller:
            played = _Play(definition, described, history, plan, clock, teller, controller, progress)
            reached = played.run(asked_before, stop)
    seconds = played.seconds
    answered = _with_against(system, definition, history, plan, played.answered(), reached, progress)
    overall, months = figures(definition, answered, by=plan.by)
    told = teller.told
    return ReplayReport(
        model=definition.name,
        start=plan.start,
        end=reached,
        finished=reached == plan.end,
        asked=told.asked,
        answered=told.answered,
        failed=told.asked - told.answered,
        outcomes=told.outcomes,
        refused_outcomes=told.refused_outcomes,
        pushed=told.pushed,
        refusals=tuple(told.refusals),
        seconds=seconds,
        against=plan.against,
        overall=overall,
        months=months,
    )


class _Play:
    """The steps, one after the other."""

    def __init__(
        self,
        model: Model,
        described: ModelDescription,
        history: History,
        plan: ReplayPlan,
        clock: LeadingClock,
        teller: Teller,
        controller: Controller | None,
        progress: Progress,
    ) -> None:
        self._model = model
        self._views = [view for view in model.views if view.name in described.views]
        self._history = history
        self._plan = plan
        self._clock = clock
        self._teller = teller
        self._controller = controller
        self._progress = progress
        self._asked: list[pl.DataFrame] = []
        self._answers: list[Prediction] = []
        self._began_s = time.monotonic()
        self.seconds = 0.0

    def run(self, asked_before: pl.DataFrame, stop: Stop) -> datetime:
        """Play until the end, or until asked to stop; how far it came."""
        plan, pace = self._plan, Pace(self._plan.speed, self._plan.start)
        self._progress.start(_TASK, -((plan.start - plan.end) // plan.step))
        reached = plan.start
        for step in self._script(asked_before):
            if stop():
                break
            pace.wait_for(step.end, stop)
            self._play(step)
            reached = step.end
            if self._controller is not None:
                self._controller.wait_at(reached, stop)
            self._progress.advance(_TASK, note=self._note(reached))
        self.seconds = time.monotonic() - self._began_s
        self._progress.finish(_TASK, note=self._note(reached))
        return reached

    def answered(self) -> pl.DataFrame:
        """Every question that was answered, with the answer, who gave it, and the final label."""
        if not self._answers:
            raise EmptyWindowError(
                "something must have been asked in that time, and answered",
                value=f"{self._plan.start} to {self._plan.end}",
                remedy=" ".join(self._teller.told.refusals),
            )
        answers = pl.DataFrame(
            {
                ID: [answer.id for answer in self._answers],
                VERSION: [answer.version for answer in self._answers],
                PREDICTION: _predictions(answer.value for answer in self._answers),
            }
        )
        return answers.join(pl.concat(self._asked), on=ID, maintain_order="left")

    def _script(self, asked_before: pl.DataFrame) -> Iterator[Step]:
        plan, waiting = self._plan, outcomes_of(asked_before)
        stretch = max(_STRETCH // plan.step, 1) * plan.step
        for number in range(-((plan.start - plan.end) // stretch)):
            start = plan.start + number * stretch
            end = min(start + stretch, plan.end)
            asked = self._history.asked(start, end)
            self._asked.append(asked.select(ID, TIME, LABEL))
            due, waiting = due_by(pl.concat([waiting, outcomes_of(asked)]), end)
            arrived = {view.name: (view.keys, self._history.arrived(view, start, end)) for view in self._views}
            yield from steps(asked, due, arrived, fields=self._model.request, start=start, end=end, length=plan.step)

    def _play(self, step: Step) -> None:
        self._answers += self._teller.ask(step.asked, at=self._clock.advance)
        self._clock.advance(step.end)
        self._teller.tell(step.outcomes, step.arrived)

    def _note(self, reached: datetime) -> str:
        answered = self._teller.told.answered
        rate = answered / max(time.monotonic() - self._began_s, 1e-9)
        return f"{reached:%Y-%m-%d %H:%M}  {answered:,} rows  {rate:,.0f} rows/s"


def _predictions(values: Iterable[Value]) -> pl.Series:
    """Predictions as a column: numbers, or each class's chance by its name, null where a version did not know it."""
    listed = list(values)
    names = dict.fromkeys(name for value in listed if isinstance(value, dict) for name in value)
    dtype = pl.Struct(dict.fromkeys(names, pl.Float64)) if names else pl.Float64()
    return pl.Series(PREDICTION, listed, dtype=dtype)


def _require_followers(system: System) -> None:
    """Make sure that the service runs here and takes its time from the replay: a real one must not be led astray."""
    alive = [each for each in read_reports(system.state / "workers").values() if is_alive(each.pid)]
    if not alive or not all(each.follows_replay for each in alive):
        raise NotReadyError(
            "the project's service must run on this machine and take its time from the replay",
            place=str(system.state),
            remedy="Start it with 'everfit up --replay' or 'everfit serve --replay'.",
        )


def _controller(system: System, plan: ReplayPlan) -> Controller | None:
    if plan.watch_every is None:
        return None
    controller = Controller(system.state, every=plan.watch_every, start=plan.start, patience_s=plan.patience_s)
    controller.require_alive()
    return controller


def _asked_before(system: System, model: Model, plan: ReplayPlan) -> pl.DataFrame:
    """Predictions of an earlier replay, with labels that had not become known by this one's start.

    Predictions that are recorded later than every replay ends are those of a service that ran by this machine's clock,
    such as a first try with curl. In the replay's time they have not happened, and nothing in it sees them.

    Raises:
        StoreError: If the journal holds a prediction from the time of this replay: the past cannot be changed.
    """
    clock = FollowedClock(system.state / CLOCK_FILE)
    until = max(plan.end, clock.now()) if clock.has_begun else plan.end
    recorded = pl.col("recorded_at")
    answers = scan_predictions(system.lake, system.journal, model.name).filter(recorded <= until)
    newest = answers.select(recorded.max()).collect().item()
    if newest is not None and newest > plan.start:
        raise StoreError(
            "a replay must begin after everything that the journal holds of its time",
            value=f"{plan.start.isoformat()}, and a prediction of {newest.isoformat()}",
            remedy="Go on where the last replay ended, with --from; or replay in a copy of the project whose state, "
            "the folder .everfit, lacks journal, lake and clock.",
        )
    history = History(model, system.reader)
    if newest is None:
        return history.asked(plan.start, plan.start)
    ids = answers.select(pl.col("id").alias(ID)).unique().collect()
    return history.asked(None, plan.start).filter(pl.col(KNOWN_AT) > plan.start).join(ids, on=ID, how="semi")


def _with_against(
    system: System,
    model: Model,
    history: History,
    plan: ReplayPlan,
    answered: pl.DataFrame,
    reached: datetime,
    progress: Progress,
) -> pl.DataFrame:
    if plan.against is None:
        return answered
    other = answers_of_version(system, model, plan.against, history, start=plan.start, end=reached, progress=progress)
    return answered.join(other, on=ID, maintain_order="left")

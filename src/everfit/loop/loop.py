"""The loop of one project, read first: what happens by itself, in which order.

One controller leads (:mod:`everfit.runtime.controller`) and calls :meth:`Loop.round` whenever the log of predictions
has grown, a workflow has ended, or a minute is over. **A round** reads, decides, and starts what takes time:

1. the log is shipped to tables, the online store is brought up to date, and the loop's own health is checked;
2. each model has its share (:class:`ModelLoop`):
   *monitor*    findings are computed from predictions and labels; they open, update and resolve incidents;
   *reconcile*  a champion alias that was moved in the registry itself is judged and delivered, or moved back;
   *roll out*   the newest rollout's evidence is collected, a pure function decides the next transition;
   *decide*     the policy, a pure function of facts, orders a training or says why not;
3. open orders are started, as many as ``[loop] trainings`` allows.

Nothing is remembered between rounds that the ledger, the log or the deployment record does not hold, so that a round
that never came is made up for by the next one. What takes time, or must be done whole, is **a durable workflow** with a
key of its own, whose steps each have their effect once however often a crash makes them run:

* *retrain* (``order/7``): begin, train in a child process, record run and version, deliver: that begins a rollout;
* *transition* (``rollout/3/2/0``): one transition of a rollout: ledger, alias, deployment record.

The ring closes through stored records: a new champion's predictions are in the log that the next round reads.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct, field

from everfit.core.clock import from_us, to_us
from everfit.core.errors import EverfitError, NotReadyError
from everfit.core.event_log import log_event
from everfit.core.finding import Finding
from everfit.core.rollout import Rollout, Transition, last_transition
from everfit.journal.ship import ship
from everfit.loop.alias_reconciler import reconcile
from everfit.loop.audit_log import ManualStepLog
from everfit.loop.health import FOUND_BY_MONITORING, ClockCheck, HealthCheck, describe, health_finding
from everfit.loop.materialize_job import OnlineRefresh
from everfit.loop.monitoring_run import MonitoringCache, watch
from everfit.loop.policy_inputs import PolicyInputs, decide_on, order_findings
from everfit.loop.retrain_job import RecordedTraining, begin, delete_packages, order_folder, record, train
from everfit.loop.rollout_executor import begin_rollout, execute_transition, next_transition
from everfit.loop.training_record import TrainingOutcome, TrainingRequest
from everfit.runtime.launcher import Launcher
from everfit.runtime.workflows import Engine, Workflow, WorkflowState, step
from everfit.store.controller_report import ControllerReport, write_controller_report
from everfit.system import System

_CANCEL_CHECK_S = 1.0
_RECONCILE_S = 5.0
"""Shortest time between two questions to the registry: each takes tens of milliseconds."""
_PRUNE_S = 3600.0

_log = logging.getLogger(__name__)


class RetrainArgument(Struct, frozen=True, kw_only=True):
    """Argument of the retrain workflow."""

    order: int


class TransitionArgument(Struct, frozen=True, kw_only=True):
    """Argument of the transition workflow."""

    rollout: int
    transition: Transition = field(name="step")
    at_us: int


class Loop:
    """Rounds and workflows of one project.

    Args:
        open_engine: Opens the durable workflows, once this process leads.
        in_replay: The time is a replay's.
    """

    def __init__(
        self,
        system: System,
        launcher: Launcher,
        *,
        open_engine: Callable[[Sequence[Workflow[RetrainArgument] | Workflow[TransitionArgument]]], Engine],
        in_replay: bool = False,
    ) -> None:
        self._system = system
        self._launcher = launcher
        self._open_engine = open_engine
        self._in_replay = in_replay
        # The names are stored with what is under way.
        self._retraining = Workflow(name="learn", argument=RetrainArgument, run=self.retrain)
        self._transition = Workflow(name="move", argument=TransitionArgument, run=self.transition)
        self._models = {name: ModelLoop(system, name, self._transition) for name in system.project.models}
        self._health = HealthCheck(system)
        # A replay pushes every row when it became known.
        self._online = OnlineRefresh(system, 0.0 if in_replay else system.project.settings.loop.materialize_seconds)
        self._failure = ""
        """The reason why the last round could not be finished."""
        self._done_until_us = 0
        self._prune_at_s = 0.0
        self._ended = threading.Event()
        """A workflow has ended since the last round, so that more may be due."""

    def begin(self) -> None:
        """Open the workflows; those that another leader left under way go on. Raises :class:`LoopError`."""
        self._engine = self._open_engine([self._retraining, self._transition])
        self._manual_steps = ManualStepLog(self._system.audit)
        self._report()
        for key in self._engine.stranded():
            message = f"{key} was started by another version of Everfit and waits for it"
            log_event(_log, "workflow_stranded", message, level=logging.ERROR, workflow=key)

    def signs(self) -> tuple[object, ...] | None:
        """Return what differs whenever a round may find something new: sizes of the log's files, the replay's time."""
        try:
            now = self._system.clock.now() if self._in_replay else None
        except NotReadyError:
            return None  # the replay whose time this is has not begun
        return (now, *_sizes(self._system.journal))

    def wants_round(self) -> bool:
        """Return true if a workflow has ended since the last round."""
        return self._ended.is_set()

    def round(self) -> None:
        """Make one round; what a database or a disk refuses now is tried again in the next one."""
        self._ended.clear()
        try:
            self._round()
        except Exception as error:  # noqa: BLE001 - whatever a database, a disk or a library raises
            _log.exception("a round could not be finished")
            self._failure = f"A round of the loop could not be finished: {describe(error)}"
        else:
            self._failure = ""

    def _round(self) -> None:
        now = self._system.clock.now()
        health, online = self._health, self._online
        found = (health.stores(), self._ship(), health.service(), online.refresh_if_due(), self._failure)
        problem = " ".join(filter(None, found))
        whole = [model.round(self._engine, now, problem) for model in self._models.values()]
        self._manual_steps.write()
        self._start_orders()
        self._done_until_us = to_us(now)
        self._report()
        if all(whole) and time.monotonic() >= self._prune_at_s:
            # Not where a share failed: it may have yet to read that a workflow failed.
            self._engine.prune()
            self._prune_at_s = time.monotonic() + _PRUNE_S

    def _ship(self) -> str:
        """Move what the service has finished writing into tables; what cannot be moved waits for the next round."""
        try:
            ship(self._system.journal, self._system.lake)
        except EverfitError as error:
            _log.error("the log could not be shipped: %s", error)
            return f"The log could not be shipped: {error}"
        return ""

    def _start_orders(self) -> None:
        orders = self._system.orders
        unfinished = [record.number for record in orders.open() if record.state != "delivering"]
        states = {number: self._engine.state(f"order/{number}") for number in unfinished}
        for number, state in states.items():
            if state == "failed":
                # Not even the failure could be recorded; the log has the reason.
                sentence = "It could not be carried out; see the controller's log."
                orders.finish(number, state="failed", sentence=sentence, now=self._system.clock.now())
        free = self._system.project.settings.loop.trainings - sum(state == "running" for state in states.values())
        for number in [number for number, state in states.items() if state is None][: max(free, 0)]:
            self._engine.start(self._retraining, f"order/{number}", RetrainArgument(order=number))

    # The two workflows. Names and results of their steps are stored with what is under way.

    def retrain(self, argument: RetrainArgument) -> None:
        """Carry out an order: begin, train, record, deliver."""
        system = self._system
        request = step("begin", lambda: begin(system, argument.order), TrainingRequest)
        outcome = step("train", lambda: self._train(request, argument.order), TrainingOutcome, attempts=1)
        recorded = step("file", lambda: record(system, request, outcome), RecordedTraining)
        step("deliver", lambda: self._deliver(recorded), type(None))
        self._ended.set()

    def _train(self, request: TrainingRequest, number: int) -> TrainingOutcome:
        checked_s = 0.0

        def cancelled() -> str:
            nonlocal checked_s
            if time.monotonic() - checked_s < _CANCEL_CHECK_S:
                return ""
            checked_s = time.monotonic()
            order = self._system.orders.one(number)
            return order.sentence if order.state == "cancelled" else ""

        folder = order_folder(self._system, number)
        return train(self._system, self._launcher, request, folder=folder, cancelled=cancelled)

    def _deliver(self, recorded: RecordedTraining) -> None:
        order, version, now = recorded.order, recorded.version, self._system.clock.now()
        if version is not None and order.state == "delivering":
            cause, actor = order.order.reason, order.order.actor
            begin_rollout(self._system, version, cause=cause, now=now, order=order.number, actor=actor)
        delete_packages(order_folder(self._system, order.number))

    def transition(self, argument: TransitionArgument) -> None:
        """Carry out one transition of a rollout."""
        system, now = self._system, from_us(argument.at_us)
        step("move", lambda: execute_transition(system, argument.rollout, argument.transition, now=now).state, str)

    def _report(self) -> None:
        busy = any(order.state in {"open", "running"} for order in self._system.orders.open())
        says = {name: model.says for name, model in self._models.items()}
        report = ControllerReport(watched_until_us=self._done_until_us, busy=busy, pid=os.getpid(), says=says)
        write_controller_report(self._system.state, report)


class ModelLoop:
    """One model's share of a round, and what its rounds share; ``transition`` applies a rollout's transitions."""

    def __init__(self, system: System, model: str, transition: Workflow[TransitionArgument]) -> None:
        self.name = model
        self.says = ""
        """The policy's last decision, as a sentence."""
        self._system = system
        self._definition = system.project.model(model)
        self._transition = transition
        self._cache = MonitoringCache()
        self._inputs = PolicyInputs(system, self._definition)
        self._reconcile_at_s = 0.0
        self._clock = ClockCheck(model)
        self._unrecorded: list[Finding] = []
        """Findings on the loop itself that could not be recorded yet."""

    def round(self, engine: Engine, now: datetime, problem: str) -> bool:
        """Monitor the model, advance its rollout, ask its policy; return false if something failed.

        A failure must not keep the other models waiting: it becomes a finding, as does ``problem``, which is what is
        wrong whatever the model, or empty.
        """
        clock = self._clock.findings(now)
        try:
            self._round(engine, now, [*clock, *([health_finding(self.name, problem, now)] if problem else [])])
        except Exception as error:  # noqa: BLE001 - whatever a source, a database or a library raises
            _log.exception("the round of %s failed", self.name)
            sentence = f"{problem} The loop could not attend to {self.name}: {describe(error)}".strip()
            self._record_failure([*clock, health_finding(self.name, sentence, now)], now)
            return False
        self._unrecorded = []
        return True

    def _round(self, engine: Engine, now: datetime, own: Sequence[Finding]) -> None:
        history = self._system.orders.of(self.name)
        also = (*order_findings(self.name, history), *self._unrecorded, *own)
        try:
            watched = watch(self._system, self.name, self._cache, as_of=now, also=also)
        finally:
            # Taking a version back must work, whatever else does not.
            if time.monotonic() >= self._reconcile_at_s:
                reconcile(self._system, self.name, now)
                self._reconcile_at_s = time.monotonic() + _RECONCILE_S
            for rollout in self._system.rollouts.of(self.name)[-1:]:
                self._advance(engine, rollout, now)
        if self._system.project.settings.loop.level != "manual":
            decision = decide_on(self._definition, self._inputs.facts(watched, now), history, now)
            if decision.order is not None:
                self._system.orders.ask(decision.order)
            self.says = decision.sentence

    def _advance(self, engine: Engine, rollout: Rollout, now: datetime) -> None:
        """Decide the newest rollout's next transition, and start it if there is one."""
        last = last_transition(rollout)
        state, _ = _newest_attempt(engine, rollout, last.place)
        if state == "failed":
            # It is in the ledger, but alias or deployment record could not follow.
            self._start(engine, rollout, last, now)
        elif state != "running" and not rollout.ended:
            history = self._cache.history(self._system, self._definition)
            following = next_transition(self._system, self._definition, rollout, history, now)
            if following.changes:
                self._start(engine, rollout, following, now)

    def _start(self, engine: Engine, rollout: Rollout, following: Transition, now: datetime) -> None:
        """Start a transition, unless it is under way or done; a failed one is tried again."""
        state, attempt = _newest_attempt(engine, rollout, following.place)
        if state in {None, "failed"}:
            argument = TransitionArgument(rollout=rollout.number, transition=following, at_us=to_us(now))
            engine.start(self._transition, f"rollout/{rollout.number}/{following.place}/{attempt + 1}", argument)

    def _record_failure(self, findings: list[Finding], now: datetime) -> None:
        """Record what is wrong although monitoring was not possible; what cannot be recorded now is kept."""
        self._unrecorded = findings
        try:
            found = (*findings, *order_findings(self.name, self._system.orders.of(self.name)))
            self._system.incidents.record(self.name, found, now=now, not_evaluated=FOUND_BY_MONITORING)
        except Exception as error:  # noqa: BLE001 - the ledger may be what failed
            _log.error("nor could the failure be recorded: %s", describe(error))
        else:
            self._unrecorded = []


def _newest_attempt(engine: Engine, rollout: Rollout, place: int) -> tuple[WorkflowState | None, int]:
    """Return state and number of the newest attempt at a transition; ``None`` and -1 if there was none."""
    prefix = f"rollout/{rollout.number}/{place}/"
    attempts = {int(key.removeprefix(prefix)): state for key, state in engine.states(prefix).items()}
    newest = max(attempts, default=-1)
    return attempts.get(newest), newest


def _sizes(journal: Path) -> list[tuple[str, int]]:
    """Return the log's files with their sizes; cheap enough to be called many times a second."""
    try:
        return [
            (file.name, file.stat().st_size)
            for folder in os.scandir(journal)
            if folder.is_dir()
            for file in os.scandir(folder.path)
        ]
    except FileNotFoundError:
        return []  # a segment was shipped, or nothing was ever written; the next call sees it

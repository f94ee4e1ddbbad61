"""Leads the loop: looks, decides, and begins what is to be done. Durable workflows do it.

One controller leads at a time; another one stands by until it is gone. Whatever a round needs is read from the ledger,
the log and the deployment record, so that a round that never came is made up for by the next one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from everfit.core.clock import from_us, to_us
from everfit.core.errors import EverfitError, NotReadyError
from everfit.core.event_log import log_event
from everfit.core.rollout import Transition
from everfit.delivery.state_machine import POLICY
from everfit.loop.health import short_of_disk, unwritable
from everfit.loop.materialize_job import OnlineRefresh
from everfit.loop.monitoring_run import ship
from everfit.loop.retrain_job import Assignment, Filed, Result, begin, clear_away, file, train
from everfit.loop.rollout_executor import apply_transition, begin_rollout
from everfit.runtime.workflows import Engine, Plain, step
from everfit.serving.worker_report import read_reports
from everfit.store.controller_report import ControllerReport, is_alive, write_controller_report

if TYPE_CHECKING:
    from everfit.loop.model_loop import ModelLoop
    from everfit.runtime.launcher import Launcher
    from everfit.store.leadership import Leadership
    from everfit.system import System

_POLL_S = 0.05
_STANDBY_S = 1.0
_AT_MOST_S = 60.0
"""A round is due after this long, whatever happened or not: time itself is a cause."""
_SHARE = 0.1
"""Of one processor, that looking may take."""
_CANCEL_LOOK_S = 1.0

_log = logging.getLogger(__name__)


class Controller:
    """The loop of one project.

    Args:
        system: The parts.
        launcher: How its processes are started.
        loops: What is done for each model.
        leadership: Who leads.
        open_engine: Opens the durable workflows, given by name, once this process leads.
        in_replay: Take a round whenever the replay's clock stands still, and none while it runs.
    """

    def __init__(
        self,
        system: System,
        launcher: Launcher,
        loops: Mapping[str, ModelLoop],
        *,
        leadership: Leadership,
        open_engine: Callable[[dict[str, Callable[[Any], Plain]]], Engine],
        in_replay: bool = False,
    ) -> None:
        self._system = system
        self._launcher = launcher
        self._loops = loops
        self._leadership = leadership
        self._open_engine = open_engine
        self._in_replay = in_replay
        self._watched_until_us = 0
        self._lost_rows = 0
        # A replay pushes every row when it became known.
        seconds = 0.0 if in_replay else system.project.settings.loop.materialize_seconds
        self._refresh = OnlineRefresh(system, seconds).refresh_if_due
        self._audited = 0
        """The newest line of the audit that is logged."""
        self._trouble = ""
        """Why the last round could not be finished."""
        self._stopping = False
        """No event: a signal's handler that sets one would wait for ever if it interrupted whoever asks it."""
        self._woken = threading.Event()
        """Something was done, so that more may be due."""

    def stop(self) -> None:
        """End :meth:`run`; may be called from a signal handler."""
        self._stopping = True

    def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Stand by until nobody else leads, then lead until stopped.

        What is under way then goes on when a controller next leads: steps that have not ended are begun anew.

        Args:
            ready: Called once, when it leads or stands by.

        Raises:
            LoopError: If the loop's database cannot be used.
        """
        standing_by = not self._leadership.win()
        if standing_by:
            ready()
        while not self._leadership.win():
            if self._stopping:
                return
            time.sleep(_STANDBY_S)
        engine = self._open_engine({"learn": self._learn, "move": self._move})
        log_event(_log, "controller_leads", "this controller leads")
        self._audited = self._system.audit.last()
        self._report()
        if not standing_by:
            ready()
        for key in engine.stranded():
            _log.error("%s was begun by another version of Everfit and waits for it", key)
        self._lead(engine)

    def _lead(self, engine: Engine) -> None:
        seen: tuple[object, ...] | None = None
        done: tuple[object, ...] | None = None
        ended_s, next_s, took_s = -_AT_MOST_S, 0.0, 0.0
        while not self._stopping:
            time.sleep(_POLL_S)
            if not self._leadership.holds():
                _log.error("somebody else leads now; this controller ends")
                return
            signs, now_s = self._signs(), time.monotonic()
            if signs is None:
                continue
            # In a replay time runs fast: what is asked meanwhile is looked at when it rests.
            ready = signs == seen if self._in_replay else now_s >= next_s
            seen = signs
            if (ready and signs != done) or now_s - ended_s >= _AT_MOST_S or self._woken.is_set():
                self._woken.clear()
                self._try_round(engine)
                done, ended_s = signs, time.monotonic()
                # What a round costs once, such as loading a library, must not put off the next.
                before_s, took_s = took_s, ended_s - now_s
                pause_s = min(before_s, took_s) / _SHARE
                next_s = ended_s + max(self._system.project.settings.loop.watch_seconds, pause_s)

    def _try_round(self, engine: Engine) -> None:
        """What a database or a disk refuses now may go well in the next round."""
        try:
            self.round(engine)
        except Exception as error:  # noqa: BLE001 - whatever they raise
            _log.exception("a round could not be finished")
            self._trouble = f"A round of the loop could not be finished: {type(error).__name__}: {error}"
        else:
            self._trouble = ""

    def round(self, engine: Engine) -> None:
        """Look at everything once, and begin what is due."""
        now = self._system.clock.now()
        disk, ledger = short_of_disk(self._system.state), unwritable(self._system.ledger)
        found = disk, ledger, self._ship(), self._lost(), self._refused(), self._refresh(), self._trouble
        trouble = " ".join(each for each in found if each)
        for loop in self._loops.values():
            loop.attend(engine, now, trouble)
        self._log_manual_steps()
        self._begin_orders(engine)
        self._watched_until_us = to_us(now)
        self._report()

    def _log_manual_steps(self) -> None:
        """Log what people did by commands: their processes have logs of their own, if any."""
        audit = self._system.audit
        newest = audit.last()
        for line in audit.between(self._audited, newest):
            if line.actor != POLICY:
                version = "" if line.version is None else f" version {line.version}"
                message = f"{line.model}: {line.actor}: {line.action.replace('_', ' ')}{version}: {line.reason}"
                log_event(
                    _log,
                    "manual_step",
                    message,
                    model=line.model,
                    version=line.version,
                    action=line.action,
                    actor=line.actor,
                )
        self._audited = newest

    def _ship(self) -> str:
        """Move what the service has finished writing into tables; what cannot be moved now waits for the next round."""
        try:
            ship(self._system)
        except EverfitError as error:
            _log.error("the log could not be shipped: %s", error)
            return f"The log could not be shipped: {error}"
        return ""

    def _lost(self) -> str:
        """What the workers answered since the last round and could not record."""
        lost = sum(each.lost_rows for each in read_reports(self._system.state / "workers").values())
        fresh, self._lost_rows = lost - self._lost_rows, lost
        # A worker that begins anew counts anew.
        return f"{fresh:,} answers could not be recorded: the disk of the log refused." if fresh > 0 else ""

    def _refused(self) -> str:
        """The versions that are deployed and that running workers could not load, and why."""
        reports = read_reports(self._system.state / "workers").values()
        refused = {name: why for report in reports if is_alive(report.pid) for name, why in report.refused.items()}
        return " ".join(
            f"{name} could not be loaded by the service: {why.rstrip('.')}." for name, why in refused.items()
        )

    def _begin_orders(self, engine: Engine) -> None:
        orders = self._system.orders
        unfinished = [each for each in orders.open() if each.state != "delivering"]
        states = {each.number: engine.state(_order_key(each.number)) for each in unfinished}
        for number, state in states.items():
            if state == "failed":
                # Not even the failure could be filed; the log has what went wrong.
                sentence = "It could not be carried out; see the controller's log."
                orders.finish(number, state="failed", sentence=sentence, now=self._system.clock.now())
        free = self._system.project.settings.loop.trainings - sum(state == "running" for state in states.values())
        for number in [number for number, state in states.items() if state is None][: max(free, 0)]:
            engine.start("learn", _order_key(number), {"order": number})

    def _learn(self, argument: Any) -> Plain:
        """An order is carried out: a durable workflow."""
        system, orders = self._system, self._system.orders
        number = int(argument["order"])
        begun = step("begin", lambda: msgspec.to_builtins(begin(system, orders, number)))
        assignment = msgspec.convert(begun, Assignment)
        trained = step("train", lambda: msgspec.to_builtins(self._train(assignment)), attempts=1)
        result = msgspec.convert(trained, Result)
        filed = step("file", lambda: msgspec.to_builtins(file(system, orders, assignment, result)))
        step("deliver", lambda: self._deliver(msgspec.convert(filed, Filed)))
        self._woken.set()
        return number

    def _train(self, assignment: Assignment) -> Result:
        orders, looked_s = self._system.orders, 0.0

        def cancelled() -> str:
            nonlocal looked_s
            if time.monotonic() - looked_s < _CANCEL_LOOK_S:
                return ""
            looked_s = time.monotonic()
            record = next((each for each in orders.of(assignment.model) if each.number == assignment.order), None)
            return record.sentence if record is not None and record.state == "cancelled" else ""

        return train(self._system, self._launcher, assignment, cancelled=cancelled)

    def _deliver(self, filed: Filed) -> Plain:
        system, record = self._system, filed.order
        if filed.version is not None and record.state == "delivering":
            begin_rollout(
                system, filed.version, cause=record.order.reason, now=system.clock.now(), order=record.number,
                actor=record.order.actor,
            )  # fmt: skip
        clear_away(system, record.number)
        return None

    def _move(self, argument: Any) -> Plain:
        """A rollout goes on: a durable workflow."""
        now = from_us(int(argument["at_us"]))
        moved = step(
            "move",
            lambda: (
                apply_transition(
                    self._system, argument["rollout"], msgspec.convert(argument["step"], Transition), now=now
                ).state
            ),
        )
        return str(moved)

    def _signs(self) -> tuple[object, ...] | None:
        """Differs whenever there may be something new to look at; ``None`` before time begins."""
        try:
            now = self._system.clock.now() if self._in_replay else None
        except NotReadyError:
            return None  # the replay whose time this is has not begun
        return (now, *_sizes(self._system.journal))

    def _report(self) -> None:
        busy = any(each.state in {"open", "running"} for each in self._system.orders.open())
        says = {name: loop.says for name, loop in self._loops.items()}
        report = ControllerReport(watched_until_us=self._watched_until_us, busy=busy, pid=os.getpid(), says=says)
        write_controller_report(self._system.state, report)


def _order_key(number: int) -> str:
    return f"order/{number}"


def _sizes(journal: Path) -> list[tuple[str, int]]:
    """The log's files with their sizes; cheap enough to ask many times a second."""
    try:
        return [
            (each.name, each.stat().st_size)
            for log in os.scandir(journal)
            if log.is_dir()
            for each in os.scandir(log.path)
        ]
    except FileNotFoundError:
        return []  # a segment was shipped, or nothing was ever written; the next look will tell

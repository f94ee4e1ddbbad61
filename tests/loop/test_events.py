"""A whole life, in this process: every transition is one log line with its ids as fields."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.acceptance.shop import make_project

from everfit.commands.orders import cancel_order, give_order
from everfit.commands.rollouts import change_rollout, promote, roll_back, roll_out
from everfit.core.clock import FixedClock
from everfit.core.event_log import EVENTS, event_fields
from everfit.core.finding import Finding, Severity
from everfit.loop.loop import Loop
from everfit.runtime.controller import Controller
from everfit.runtime.launcher import Launcher
from everfit.runtime.workflows import Engine
from everfit.store.leadership import FileLeadership
from everfit.system import System
from everfit.wiring import open_system

MODEL, WHO, WHY = "late", "a person", "a test"
NOW = datetime(2026, 1, 21, 20, tzinfo=UTC)


class Lead(FileLeadership):
    """A leadership that others have for the first call, and that is lost after so many questions."""

    def __init__(self, holds: int) -> None:
        self._wins = iter((False, True))
        self._holds = iter([True] * holds)

    def win(self) -> bool:
        return next(self._wins, True)

    def holds(self) -> bool:
        return next(self._holds, False)


class Rounds:
    """Rounds that do nothing."""

    def begin(self) -> None:
        """Do nothing."""

    def signs(self) -> tuple[object, ...] | None:
        return None

    def is_awaited(self) -> bool | None:
        return None

    def wants_round(self) -> bool:
        return False

    def round(self) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""

    def makes_way(self) -> bool:
        return False


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """The fields of all transitions that were logged, each held against its description."""
    found = [fields for record in caplog.records if (fields := event_fields(record))]
    for fields in found:
        assert set(fields) - {"event"} <= set(EVENTS[str(fields["event"])].fields)
    return found


def test_a_controller_logs_that_it_leads_and_that_it_does_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Controller(Lead(holds=1), Rounds(), pause_s=0.1).run()
    stopped = Controller(Lead(holds=9), Rounds(), pause_s=0.1)
    stopped.stop()
    stopped.run()
    begin = ["controller_stands_by", "controller_leads"]
    assert [fields["event"] for fields in lines(caplog)] == [*begin, "leadership_lost", *begin, "controller_stopped"]


@contextmanager
def loop_of(system: System) -> Iterator[Loop]:
    engines = []

    def opened(workflows: object) -> Engine:
        engines.append(Engine(f"sqlite:///{system.state}/loop.db", workflows))  # type: ignore[arg-type]
        return engines[0]

    loop = Loop(system, lambda release: Launcher(root=system.project.root), open_engine=opened)
    loop.begin()
    with closing(engines[0]):
        yield loop


def rounds_until(loop: Loop, holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 240
    while not holds():
        assert time.monotonic() < deadline_s
        loop.round()
        time.sleep(0.2)


@pytest.mark.slow
def test_a_life(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    system = open_system(make_project(tmp_path / "shop"), clock=FixedClock(NOW))
    order = partial(give_order, system, MODEL, actor=WHO, reason=WHY)
    with loop_of(system) as loop:
        rounds_until(loop, lambda: [record.state for record in system.orders.of(MODEL)] == ["shipped"])
        asked = order()
        # An order is delivering a moment before its rollout begins.
        rounds_until(loop, lambda: system.rollouts.running(MODEL) is not None or system.orders.one(asked.number).ended)
        assert system.orders.one(asked.number).state == "delivering", system.orders.one(asked.number).sentence
        change_rollout(system, MODEL, "pause", actor=WHO, reason=WHY)
        change_rollout(system, MODEL, "resume", actor=WHO, reason=WHY)
        roll_out(system, MODEL, 2, actor=WHO, reason=WHY)
        promote(system, MODEL, 2, actor=WHO, reason=WHY)
        roll_back(system, MODEL, actor=WHO, reason=WHY)
        rounds_until(loop, lambda: system.orders.one(asked.number).state == "taken_back")
        cancel_order(system, order().number, actor=WHO, reason=WHY)
        code = system.project.root / "shop.py"
        code.write_text(code.read_text().replace("max_iter=40", "max_iter=-1"))
        failed = order()
        rounds_until(loop, lambda: system.orders.one(failed.number).ended)
        loop.round()
    severities: tuple[Severity, ...] = ("warning", "critical")
    for hours, severity in enumerate(severities):
        found = Finding(kind="performance_drop", model=MODEL, severity=severity, sentence="It is worse.")
        system.incidents.record(MODEL, [found], now=NOW + timedelta(hours=hours))
    system.incidents.record(MODEL, [], now=NOW + timedelta(hours=3))

    found_lines = lines(caplog)
    first = next(fields for fields in found_lines if fields["event"] == "order_open")
    assert (first["model"], first["order"]) == (MODEL, 1)
    expected: dict[str, dict[str, object]] = {
        "order_open": {"order": 1},
        "order_running": {"order": 1},
        "training_started": {"order": 1, "attempt": 1},
        "training_ended": {"order": 1},
        "gates_passed": {"order": 1},
        "version_registered": {"order": 1, "version": 1},
        "order_delivering": {"order": 1, "version": 1},
        "alias_moved": {"version": 1, "alias": "champion"},
        "deployment_changed": {"version": 1},
        "order_shipped": {"order": 1, "version": 1},
        "rollout_begin": {"rollout": 1, "version": 2, "order": asked.number},
        "rollout_pause": {"rollout": 1, "actor": WHO},
        "rollout_resume": {"rollout": 1, "actor": WHO},
        "rollout_promote": {"rollout": 1, "version": 2},
        "rollout_roll_back": {"rollout": 1, "version": 2},
        "order_taken_back": {"order": asked.number, "version": 2},
        "order_cancelled": {"order": asked.number + 1},
        "training_failed": {"order": failed.number},
        "order_failed": {"order": failed.number},
        "manual_step": {"action": "cancel", "actor": WHO},
        # Those before it are of orders that brought nothing.
        "incident_opened": {"incident": 3, "kind": "performance_drop", "severity": "warning"},
        "incident_worsened": {"incident": 3, "severity": "critical"},
        "incident_ended": {"incident": 3},
    }
    for event, ids in expected.items():
        wanted: dict[str, object] = {"event": event, "model": MODEL} | ids
        assert any(wanted.items() <= fields.items() for fields in found_lines), f"{wanted} in {found_lines}"
    log = (system.state / "orders" / "1" / "log.txt").read_text()
    assert "gate beats_baseline passed" in log

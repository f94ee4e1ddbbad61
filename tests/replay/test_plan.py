from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everfit.core.clock import to_us
from everfit.core.errors import NotReadyError, SettingsError
from everfit.replay.pacing import ControllerBarrier, Pace
from everfit.replay.replaying import ReplayPlan
from everfit.store.controller_report import ControllerReport, read_controller_report, write_controller_report

START = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("plan", "rule"),
    [
        (ReplayPlan(start=START, end=START), "before it ends"),
        (ReplayPlan(start=START, end=START + DAY, speed=0.0), "positive factor"),
        (ReplayPlan(start=START, end=START + DAY, watch_every=timedelta(minutes=45)), "multiple of --step"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(plan: ReplayPlan, rule: str) -> None:
    with pytest.raises(SettingsError, match=rule):
        plan.require_sound()


def test_a_plan_without_a_controller_needs_no_such_instants() -> None:
    ReplayPlan(start=START, end=START + DAY, step=timedelta(minutes=7), watch_every=None).require_sound()


def test_whoever_is_asked_to_stop_waits_for_nothing(tmp_path: Path) -> None:
    Pace(1.0, START).wait_for(START + DAY, lambda: True)
    ControllerBarrier(tmp_path, every=DAY, start=START, patience_s=3600.0).wait_at(START + DAY, lambda: True)


def test_between_two_of_its_instants_the_controller_is_not_waited_for(tmp_path: Path) -> None:
    controller = ControllerBarrier(tmp_path, every=DAY, start=START, patience_s=0.05)
    controller.wait_at(START + DAY / 2, lambda: False)
    with pytest.raises(NotReadyError, match="evaluate the model as of 2013-03-02"):
        controller.wait_at(START + DAY, lambda: False)


def test_a_report_that_is_torn_is_none(tmp_path: Path) -> None:
    assert read_controller_report(tmp_path) is None
    report = ControllerReport(watched_until_us=to_us(START), busy=False, pid=1)
    write_controller_report(tmp_path, report)
    assert read_controller_report(tmp_path) == report
    (tmp_path / "controller.json").write_text('{"watched')
    assert read_controller_report(tmp_path) is None

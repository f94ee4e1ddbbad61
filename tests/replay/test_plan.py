from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from everfit.core.clock import to_us
from everfit.core.errors import NotReadyError, SettingsError
from everfit.replay.pacing import ControllerBarrier, Pace
from everfit.replay.replaying import ReplayPlan
from everfit.serving.worker_report import LoadedVersion, WorkerReport, write_report
from everfit.store.controller_report import ControllerReport, read_controller_report, write_controller_report
from everfit.store.deployment import Deployed, DeploymentRecord, ModelDeployment

START = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def barrier(folder: Path, *, patience_s: float) -> ControllerBarrier:
    deployment = DeploymentRecord(folder / "deployment.json")
    return ControllerBarrier(folder, deployment, every=DAY, start=START, patience_s=patience_s)


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
    barrier(tmp_path, patience_s=3600.0).wait_at(START + DAY, lambda: True)


def test_between_two_of_its_instants_the_controller_is_not_waited_for(tmp_path: Path) -> None:
    controller = barrier(tmp_path, patience_s=0.05)
    controller.wait_at(START + DAY / 2, lambda: False)
    with pytest.raises(NotReadyError, match="evaluate the model as of 2013-03-02"):
        controller.wait_at(START + DAY, lambda: False)


def worker(folder: Path, **more: Any) -> None:
    """Write the report of this process, as if it were a worker."""
    present: dict[str, Any] = {"slot": 0, "pid": os.getpid(), "deployment": 1, "loaded": (), "refused": {}} | more
    fixed: dict[str, Any] = {"counters_by_model": {}, "lost_rows": 0, "dropped_rows": 0, "memory_bytes": 0}
    (folder / "workers").mkdir(exist_ok=True)
    write_report(folder / "workers", WorkerReport(**present, **fixed))


def deploy(folder: Path, version: int) -> None:
    champion = Deployed(version=version, digest="", folder=f"v{version}")
    record = DeploymentRecord(folder / "deployment.json")
    record.change("late", lambda _: ModelDeployment(model="late", champion=champion), changed_at=START)


def test_time_goes_on_once_the_service_has_loaded_what_is_deployed(tmp_path: Path) -> None:
    """A promotion at an instant is served to the first request after it."""
    report = ControllerReport(watched_until_us=to_us(START + DAY), busy=False, pid=os.getpid())
    write_controller_report(tmp_path, report)
    deploy(tmp_path, 1)
    deploy(tmp_path, 2)
    worker(tmp_path, deployment=1)
    with pytest.raises(NotReadyError, match="must load deployment 2"):
        barrier(tmp_path, patience_s=0.1).wait_at(START + DAY, lambda: False)
    worker(tmp_path, deployment=2)
    barrier(tmp_path, patience_s=0.1).wait_at(START + DAY, lambda: False)
    # A worker that has ended is waited for by the requests that follow.
    worker(tmp_path, deployment=1, pid=2**22 + 1)
    barrier(tmp_path, patience_s=0.1).wait_at(START + DAY, lambda: False)


def test_the_controller_is_waited_for_once_the_shadow_predictions_are_logged(tmp_path: Path) -> None:
    write_controller_report(
        tmp_path, ControllerReport(watched_until_us=to_us(START + DAY), busy=False, pid=os.getpid())
    )
    deploy(tmp_path, 1)
    shadow = LoadedVersion(model="late", version=2, digest="", form="native", route="shadow")
    for at, waiting in ((START + DAY / 2, 0), (START + DAY, 3)):
        worker(tmp_path, loaded=(shadow,), reported_us=to_us(at), shadow_waiting=waiting)
        with pytest.raises(NotReadyError, match="log its shadow predictions"):
            barrier(tmp_path, patience_s=0.1).wait_at(START + DAY, lambda: False)
    worker(tmp_path, loaded=(shadow,), reported_us=to_us(START + DAY))
    barrier(tmp_path, patience_s=0.1).wait_at(START + DAY, lambda: False)


def test_a_report_of_an_earlier_replay_that_went_further_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    write_controller_report(tmp_path, ControllerReport(watched_until_us=to_us(START + 9 * DAY), busy=False, pid=1))
    with pytest.raises(NotReadyError, match="evaluate the model as of 2013-03-02"):
        barrier(tmp_path, patience_s=0.05).wait_at(START + DAY, lambda: False)


def test_a_report_that_is_torn_is_none(tmp_path: Path) -> None:
    assert read_controller_report(tmp_path) is None
    report = ControllerReport(watched_until_us=to_us(START), busy=False, pid=1)
    write_controller_report(tmp_path, report)
    assert read_controller_report(tmp_path) == report
    (tmp_path / "controller.json").write_text('{"watched')
    assert read_controller_report(tmp_path) is None

"""Policies walk through a history whose world breaks, in real processes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.acceptance.shop import DEFINITIONS, everfit, make_project, orders

from everfit.backtest.backtest import BacktestPlan, backtest
from everfit.backtest.contender import parse_contenders
from everfit.backtest.result import BacktestReport
from everfit.core.errors import EmptyWindowError, MisuseError, TrainingError
from everfit.wiring import open_system

FIRST = orders(1)["ordered_at"][0]
DAY = timedelta(days=1)
BREAK = 12
"""The day from which on labels are the opposite."""
POLICY = """
late.retrain_when(ef.PerformanceDrop(), cooldown="1d", least_labels=50)
late.roll_out(ef.Shadow(requests=100), ef.Canary(0.5, requests=50), watch="2d")
"""
MODEL = (
    DEFINITIONS.replace("learning_rate=ef.Float(0.02, 0.3, log=True)", "")
    .replace("X, y, learning_rate, seed", "X, y, seed")
    .replace("learning_rate=learning_rate, max_iter=40, random_state=seed", "max_iter=40, random_state=seed")
)
NAMES = ("project", "never", "refit 4d")


def data(rows: int = 3_000) -> pl.DataFrame:
    broken = pl.col("ordered_at") >= FIRST + BREAK * DAY
    return orders(rows).with_columns((pl.col("late") ^ broken).alias("late"))


def plan(**changes: Any) -> BacktestPlan:
    given: dict[str, Any] = {
        "start": FIRST + 8 * DAY,
        "end": FIRST + 20 * DAY,
        "step": DAY,
        "contenders": parse_contenders(", ".join(NAMES)),
        "jobs": 1,
    }
    return BacktestPlan(**given | changes)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("backtest") / "shop", definitions=MODEL + POLICY, data=data())


@pytest.fixture(scope="module")
def report(project: Path) -> BacktestReport:
    return backtest(open_system(project), "late", plan())


def test_a_break_is_noticed_and_cured(report: BacktestReport) -> None:
    project, never, refit = report.policies
    course = project.course
    assert course.alarms >= 1
    assert course.promotions >= 1
    assert all(record.order.asked_at >= FIRST + BREAK * DAY for record in course.orders)
    assert project.metric < never.metric
    assert never.course.trainings == 0
    assert never.course.alarms == 1
    assert refit.course.trainings == 2
    assert project.difference is None
    assert never.difference is not None
    assert never.difference.value > 0


def test_every_event_is_predicted_once(report: BacktestReport) -> None:
    expected = data().filter(pl.col("ordered_at").is_between(FIRST + 8 * DAY, FIRST + 20 * DAY, closed="left"))
    assert report.events == expected.height
    assert {result.rows for result in report.policies} == {expected.height}
    assert sum(month.rows for month in report.policies[0].months) == expected.height


def test_what_is_done_is_not_done_again(project: Path, report: BacktestReport) -> None:
    def written() -> dict[Path, int]:
        results = (project / ".everfit" / "backtests").glob("late/*/*/**/*.json")
        return {path: path.stat().st_mtime_ns for path in results}

    before = written()
    assert len(before) >= 6
    again = backtest(open_system(project), "late", plan())
    assert again.policies == report.policies
    assert written() == before


def test_the_future_changes_no_decision(project: Path, report: BacktestReport, tmp_path: Path) -> None:
    """Labels of events after an instant, dealt anew, change nothing that happened up to then."""
    until = FIRST + 15 * DAY
    later = pl.col("ordered_at") >= until
    dealt = data().with_columns(pl.when(later).then(pl.col("late").shuffle(seed=3)).otherwise("late").alias("late"))
    other = make_project(tmp_path / "shop", definitions=MODEL + POLICY, data=dealt)
    changed = backtest(open_system(other), "late", plan(contenders=parse_contenders("project")))

    def before(found: BacktestReport) -> list[tuple[object, ...]]:
        course = found.policies[0].course
        orders_then = [(one.order.asked_at, one.order.reason) for one in course.orders if one.order.asked_at <= until]
        reigns = [(one.version, one.since, one.sentence) for one in course.reigns if one.since <= until]
        return [*orders_then, *reigns]

    assert len(before(report)) >= 2
    assert before(changed) == before(report)


def test_a_first_version_that_is_refused_ends_it(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "shop", definitions=MODEL + POLICY, data=data(300))
    with pytest.raises(TrainingError, match="Begin later"):
        backtest(open_system(folder), "late", plan(start=FIRST + timedelta(hours=8), end=FIRST + 2 * DAY))
    with pytest.raises(EmptyWindowError, match="100 events"):
        backtest(open_system(folder), "late", plan(start=FIRST + 5 * DAY, end=FIRST + 6 * DAY))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"end": FIRST}, "--to"),
        ({"step": 30 * DAY}, "--step"),
        ({"jobs": 0}, "--jobs"),
        ({"contenders": parse_contenders("refit 12h")}, "--step"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(MisuseError, match=rule):
        plan(**changes)


def test_the_command_prints_what_it_found(project: Path) -> None:
    days = [f"{FIRST + number * DAY:%Y-%m-%d}" for number in (8, 20)]
    words = ("backtest", "--from", days[0], "--to", days[1], "--jobs", "2", "--policies", ",".join(NAMES))
    # Its child processes are no forks.
    answer = everfit(project, *words, fresh=True)
    assert answer.code == 0, answer.err + answer.out
    assert "refit 4d" in answer.out
    assert "has become worse" in answer.out
    printed = everfit(project, *words, "--json").json
    assert [result["policy"] for result in printed["policies"]] == list(NAMES)
    assert everfit(project, *words[:-1], "sometimes").code == 2


def test_a_schedule_chooses_its_window(tmp_path: Path) -> None:
    """The world broke in the first days; all history remembers it, three days do not."""
    was_other = pl.col("ordered_at") < FIRST + 5 * DAY
    old = orders(3_000).with_columns((pl.col("late") ^ was_other).alias("late"))
    root = make_project(tmp_path / "shop", definitions=MODEL + POLICY, data=old)
    contenders = parse_contenders("refit 4d/all, refit 4d/all|4d")
    found = backtest(open_system(root), "late", plan(start=FIRST + 12 * DAY, contenders=contenders))
    everything, chosen = found.policies
    assert chosen.metric < everything.metric

"""``everfit backtest``: policies are compared on history."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from everfit.backtest import backtest as engine
from everfit.backtest.backtest import BacktestPlan
from everfit.backtest.contender import DEFAULT, parse_contenders
from everfit.backtest.course import Course
from everfit.backtest.result import BacktestReport, PolicyResult
from everfit.cli.options import ModelName, ProjectFolder, instant
from everfit.cli.output import OK, Item, Output, Table, minute, spoken
from everfit.cli.printing import printed
from everfit.cli.release_process import open_in_release
from everfit.core.duration import parse_duration
from everfit.core.progress import Progress

_MOST_JOBS = os.cpu_count() or 1
_POLICIES = "Policies, separated by commas; the first one is compared with the others."
_STEP = "Time between two rounds: monitoring, rollout and decision."


@printed
def backtest(
    progress: Progress,
    start: Annotated[datetime, instant("--from", help="The first version is trained then, such as 2013-03-01.")],
    end: Annotated[datetime, instant("--to", help="Last event time, exclusive.")],
    model: ModelName = None,
    step: Annotated[str, typer.Option("--step", help=_STEP)] = "1d",
    policies: Annotated[str, typer.Option("--policies", help=_POLICIES)] = ", ".join(DEFAULT),
    jobs: Annotated[int, typer.Option("--jobs", help="Processes at the same time.")] = _MOST_JOBS,
    project: ProjectFolder = None,
) -> Output:
    """Compare retraining policies on history.

    It calls the code that runs live. Policies are project (the model's own), never, drop, 'every 30d', 'stale 30d', and
    'refit 30d', which fits and replaces as a cron job does; with a training window after a slash: 'refit 7d/120d', or
    several to choose from: 'project/all|60d'. Ctrl-C stops it; the same command goes on.
    """
    plan = BacktestPlan(
        start=start,
        end=end,
        step=parse_duration(step, name="--step"),
        contenders=parse_contenders(policies),
        jobs=jobs,
    )
    system = open_in_release(project)
    report = engine.backtest(system, model, plan, progress=progress)
    return Output(report, _text(report))


def _text(report: BacktestReport) -> Iterator[Item]:
    yield report.first_version
    metric = spoken(report.metric)
    columns = ["policy", metric, "worst month", "trainings", "refused", "promoted", "taken back", "alarms"]
    is_compared = any(result.difference is not None for result in report.policies)
    columns += [f"against {report.policies[0].policy}"] if is_compared else []
    title = f"{report.model} from {report.start:%Y-%m-%d} to {report.end:%Y-%m-%d}: {report.events:,} events"
    yield Table(columns, (_row(result, is_compared) for result in report.policies), title)
    yield from (f"{sentence}" for sentence in report.summary)
    for result in report.policies[:1]:
        yield from _course(result.course)
    yield OK, f"{len(report.policies)} policies in {report.seconds:,.0f} s."


def _row(result: PolicyResult, is_compared: bool) -> tuple[object, ...]:
    course, worst, difference = result.course, result.worst_month, result.difference
    cells: list[object] = [
        result.policy,
        f"{result.metric:.4f}",
        "" if worst is None else f"{worst.value:.4f} in {worst.month}",
        course.trainings,
        course.refused + course.failed,
        course.promotions,
        course.taken_back,
        course.alarms,
    ]
    if is_compared:
        shown = ""
        if difference is not None:
            shown = f"{difference.value:+.4f}"
            shown += "" if difference.low is None else f" ({difference.low:+.4f} to {difference.high:+.4f})"
        cells.append(shown)
    return tuple(cells)


def _course(course: Course) -> Iterator[Item]:
    """Yield what the policy did, order by order."""
    if not course.orders:
        yield f"The policy {course.policy} ordered no training."
        return
    rows = (
        (minute(record.order.asked_at), record.order.reason, record.state.replace("_", " "), record.sentence)
        for record in course.orders
    )
    yield Table(["ordered", "because", "result", ""], rows, f"Trainings that the policy {course.policy} ordered")

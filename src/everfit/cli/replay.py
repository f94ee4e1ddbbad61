"""``everfit replay``: let the running system live through history."""

from __future__ import annotations

import re
import signal
import threading
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from everfit.cli.options import AsJson, ModelName, ProjectFolder
from everfit.cli.output import CAUTION, OK, bold, print_json, print_line, print_rows
from everfit.cli.service_options import ServiceUrl
from everfit.core.errors import SettingsError

if TYPE_CHECKING:
    from types import FrameType

    from everfit.replay.result import Figures, ReplayReport

_INTERRUPTED = 130


def replay(
    start: Annotated[str, typer.Option("--from", help="First event time, inclusive, e.g. 2013-03-01.")],
    end: Annotated[str, typer.Option("--to", help="Last event time, exclusive.")],
    model: ModelName = None,
    speed: Annotated[
        str, typer.Option("--speed", help="How fast time passes: max, or a factor such as x3600.")
    ] = "max",
    step: Annotated[str, typer.Option("--step", help="How far the replay may lag behind life.")] = "30m",
    watch_every: Annotated[
        str, typer.Option("--watch-every", help="Wait for the controller to look after so much event time.")
    ] = "1d",
    controller: Annotated[
        bool,
        typer.Option("--controller/--no-controller", help="Keep pace with the controller, or drive the service alone."),
    ] = True,
    patience: Annotated[
        str, typer.Option("--patience", help="How long the controller may take each time, trainings included.")
    ] = "1h",
    against: Annotated[
        int | None, typer.Option("--against", help="Compare with what this version would have answered.")
    ] = None,
    by: Annotated[
        Literal["month", "week", "day"], typer.Option("--by", help="How the figures are broken down.")
    ] = "month",
    url: ServiceUrl = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Drive the running system with history: questions, features and labels at the time when they were known.

    The system must have been started with --replay. Ctrl-C ends after the present step; --from goes on from there.
    """
    from everfit.cli.instants import read_instant
    from everfit.cli.progress_bars import Bars
    from everfit.cli.service_options import open_client
    from everfit.core.duration import parse_duration
    from everfit.replay.replaying import ReplayPlan
    from everfit.replay.replaying import replay as run
    from everfit.wiring import open_system

    first, last = read_instant(start, name="--from"), read_instant(end, name="--to")
    assert first is not None
    assert last is not None
    plan = ReplayPlan(
        start=first,
        end=last,
        step=parse_duration(step, name="--step"),
        speed=_speed(speed),
        watch_every=parse_duration(watch_every, name="--watch-every") if controller else None,
        patience_s=parse_duration(patience, name="--patience").total_seconds(),
        against=against,
        by=by,
    )
    system = open_system(project)
    stopping = threading.Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: _stop(stopping, frame))  # noqa: ARG005
    try:
        with open_client(url, system.project.root, retries=_RETRIES) as client, Bars(quiet=as_json) as progress:
            report = run(system, client, model, plan, stop=stopping.is_set, progress=progress)
    finally:
        signal.signal(signal.SIGINT, before)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report.finished:
        raise typer.Exit(_INTERRUPTED)


_RETRIES = 12
"""Half a minute: a worker that was killed is there again by then."""


def _stop(stopping: threading.Event, frame: FrameType | None) -> None:  # noqa: ARG001
    if stopping.is_set():  # a second time: at once
        raise KeyboardInterrupt
    stopping.set()


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    found = re.fullmatch(r"[x×]?(\d+(?:\.\d+)?)", text)
    if found is None:
        raise SettingsError("--speed must be max or a factor such as x3600", value=text)
    return float(found[1])


def _print(report: ReplayReport) -> None:
    rows = [_row(each) for each in (*report.months, *([report.overall] if report.overall else []))]
    names = list(report.overall.live) if report.overall else []
    columns = ["", "rows", "versions", *(name.replace("_", " ") for name in names)]
    if report.against is not None:
        columns += [f"{name.replace('_', ' ')}, version {report.against}" for name in names]
    print_rows(f"Answers of {report.model} by their final labels", columns, rows)
    print_line(
        CAUTION if report.failed else OK,
        f"{report.answered:,} of {report.asked:,} questions answered, {report.outcomes:,} outcomes and "
        f"{report.pushed:,} feature rows told in {report.seconds:,.1f} s ({report.rows_per_second:,.0f} questions/s).",
    )
    if report.refused_outcomes:
        print_line(CAUTION, f"{report.refused_outcomes:,} outcomes were refused.")
    for each in report.refusals:
        print_line(CAUTION, each)
    if not report.finished:
        print_line(CAUTION, f"Stopped. Go on with --from {report.end:%Y-%m-%dT%H:%M:%SZ}.")


def _row(each: Figures) -> tuple[object, ...]:
    numbers = [*each.live.values(), *(each.against or {}).values()]
    versions = ", ".join(map(str, each.versions))
    return (each.month or bold("all"), f"{each.rows:,}", versions, *(f"{number:.4f}" for number in numbers))

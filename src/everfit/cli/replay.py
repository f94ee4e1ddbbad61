"""``everfit replay``: history is replayed against the running system."""

from __future__ import annotations

import re
import signal
import threading
from types import FrameType
from typing import Annotated, Literal

import typer

from everfit.cli.instants import read_instant
from everfit.cli.options import AsJson, ModelName, ProjectFolder
from everfit.cli.output import CAUTION, OK, bold, print_json, print_line, print_rows, spoken
from everfit.cli.progress_bars import Bars
from everfit.cli.service_options import ServiceUrl, open_client
from everfit.core.duration import parse_duration
from everfit.core.errors import SettingsError
from everfit.replay import replaying
from everfit.replay.replaying import ReplayPlan
from everfit.replay.result import Figures, ReplayReport
from everfit.wiring import open_system

_INTERRUPTED = 130


def replay(
    start: Annotated[str, typer.Option("--from", help="First event time, inclusive, such as 2013-03-01.")],
    end: Annotated[str, typer.Option("--to", help="Last event time, exclusive.")],
    model: ModelName = None,
    speed: Annotated[str, typer.Option("--speed", help="Speed of event time: max, or a factor such as x3600.")] = "max",
    step: Annotated[
        str, typer.Option("--step", help="Length of a slice: the most that features and outcomes may be late.")
    ] = "30m",
    watch_every: Annotated[
        str,
        typer.Option(
            "--watch-every", help="Event time between two instants at which the replay waits for the controller."
        ),
    ] = "1d",
    controller: Annotated[
        bool,
        typer.Option("--controller/--no-controller", help="Wait for the controller, or use only the service."),
    ] = True,
    patience: Annotated[
        str,
        typer.Option("--patience", help="Longest time to wait for the controller at one instant, trainings included."),
    ] = "1h",
    against: Annotated[
        int | None, typer.Option("--against", help="Compare with the predictions that this version would have made.")
    ] = None,
    by: Annotated[
        Literal["month", "week", "day"], typer.Option("--by", help="Period of one line of figures.")
    ] = "month",
    url: ServiceUrl = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Replay history against the running system.

    Requests, features and outcomes are sent at the times of history. The system must have been started with --replay.
    Ctrl-C ends the replay after the present slice; --from continues from there.
    """
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
            report = replaying.replay(system, client, model, plan, stop=stopping.is_set, progress=progress)
    finally:
        signal.signal(signal.SIGINT, before)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report.finished:
        raise typer.Exit(_INTERRUPTED)


_RETRIES = 12
"""Half a minute: the supervisor has restarted a killed worker by then."""


def _stop(stopping: threading.Event, frame: FrameType | None) -> None:  # noqa: ARG001
    if stopping.is_set():  # the second Ctrl-C ends it at once
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
    rows = map(_row, (*report.months, *([report.overall] if report.overall else [])))
    names = list(report.overall.live) if report.overall else []
    columns = ["", "rows", "versions", *map(spoken, names)]
    if report.against is not None:
        columns += [f"{spoken(name)}, version {report.against}" for name in names]
    print_rows(f"Predictions of {report.model} by their final labels", columns, rows)
    print_line(
        CAUTION if report.failed else OK,
        f"{report.answered:,} of {report.asked:,} rows predicted, {report.outcomes:,} outcomes and "
        f"{report.pushed:,} feature rows sent in {report.seconds:,.1f} s ({report.rows_per_second:,.0f} rows/s).",
    )
    if report.refused_outcomes:
        print_line(CAUTION, f"{report.refused_outcomes:,} outcomes were refused.")
    for refusal in report.refusals:
        print_line(CAUTION, refusal)
    if not report.finished:
        print_line(CAUTION, f"Stopped. Continue with --from {report.end:%Y-%m-%dT%H:%M:%SZ}.")


def _row(figures: Figures) -> tuple[object, ...]:
    numbers = [*figures.live.values(), *(figures.against or {}).values()]
    versions = ", ".join(map(str, figures.versions))
    return (figures.month or bold("all"), f"{figures.rows:,}", versions, *(f"{number:.4f}" for number in numbers))

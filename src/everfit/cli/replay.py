"""``everfit replay``: history is replayed against the running system."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from everfit.cli.options import ModelName, ProjectFolder, instant
from everfit.cli.output import CAUTION, OK, Item, Output, Table, bold, spoken
from everfit.cli.printing import printed
from everfit.cli.release_process import open_in_release
from everfit.cli.service_options import ServiceUrl, open_client
from everfit.core.duration import parse_duration
from everfit.core.errors import SettingsError
from everfit.core.progress import Progress
from everfit.replay import replaying
from everfit.replay.replaying import ReplayPlan
from everfit.replay.result import Figures, Period, ReplayReport

_INTERRUPTED = 130
_RETRIES = 12
"""Half a minute: the supervisor has restarted a killed worker by then."""
_STEP = "Length of a slice: the most that features and outcomes may be late."
_WATCH_EVERY = "Event time between two instants at which the replay waits for the controller."
_CONTROLLER = "Wait for the controller, or use only the service."
_PATIENCE = "Longest time to wait for the controller at one instant, trainings included."
_AGAINST = "Compare with the predictions that this version would have made."


@printed
def replay(
    progress: Progress,
    start: Annotated[datetime, instant("--from", help="First event time, inclusive, such as 2013-03-01.")],
    end: Annotated[datetime, instant("--to", help="Last event time, exclusive.")],
    model: ModelName = None,
    speed: Annotated[str, typer.Option("--speed", help="Speed of event time: max, or a factor such as x3600.")] = "max",
    step: Annotated[str, typer.Option("--step", help=_STEP)] = "30m",
    watch_every: Annotated[str, typer.Option("--watch-every", help=_WATCH_EVERY)] = "1d",
    controller: Annotated[bool, typer.Option("--controller/--no-controller", help=_CONTROLLER)] = True,
    patience: Annotated[str, typer.Option("--patience", help=_PATIENCE)] = "1h",
    against: Annotated[int | None, typer.Option("--against", help=_AGAINST)] = None,
    by: Annotated[Period, typer.Option("--by", help="Period of one line of figures.")] = "month",
    url: ServiceUrl = None,
    project: ProjectFolder = None,
) -> Output:
    """Replay history against the running system.

    Requests, features and outcomes are sent at the times of history. The system must have been started with --replay.
    Ctrl-C ends the replay after the present slice; --from continues from there.
    """
    plan = ReplayPlan(
        start=start,
        end=end,
        step=parse_duration(step, name="--step"),
        speed=_speed(speed),
        watch_every=parse_duration(watch_every, name="--watch-every") if controller else None,
        patience_s=parse_duration(patience, name="--patience").total_seconds(),
        against=against,
        by=by,
    )
    system = open_in_release(project)
    stopping = threading.Event()

    def stop(*_: object) -> None:
        if stopping.is_set():  # the second Ctrl-C ends it at once
            raise KeyboardInterrupt
        stopping.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        with open_client(url, system.project.root, retries=_RETRIES) as client:
            report = replaying.replay(system, client, model, plan, stop=stopping.is_set, progress=progress)
    finally:
        signal.signal(signal.SIGINT, before)
    return Output(report, _text(report), code=0 if report.finished else _INTERRUPTED)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    found = re.fullmatch(r"[x×]?(\d+(?:\.\d+)?)", text)
    if found is None:
        raise SettingsError("--speed must be max or a factor such as x3600", value=text)
    return float(found[1])


def _text(report: ReplayReport) -> Iterator[Item]:
    rows = map(_row, (*report.months, *([report.overall] if report.overall else [])))
    names = list(report.overall.live) if report.overall else []
    columns = ["", "rows", "versions", *map(spoken, names)]
    if report.against is not None:
        columns += [f"{spoken(name)}, version {report.against}" for name in names]
    yield Table(columns, rows, f"Predictions of {report.model} by their final labels")
    predicted = f"{report.answered:,} of {report.asked:,} rows predicted"
    sent = f"{report.outcomes:,} outcomes and {report.pushed:,} feature rows sent in {report.seconds:,.1f} s"
    rate = f"{report.answered / report.seconds:,.0f} rows/s"
    yield CAUTION if report.failed else OK, f"{predicted}, {sent} ({rate})."
    if report.refused_outcomes:
        yield CAUTION, f"{report.refused_outcomes:,} outcomes were refused."
    yield from ((CAUTION, refusal) for refusal in report.refusals)
    if not report.finished:
        yield CAUTION, f"Stopped. Continue with --from {report.end:%Y-%m-%dT%H:%M:%SZ}."


def _row(figures: Figures) -> tuple[object, ...]:
    numbers = [*figures.live.values(), *(figures.against or {}).values()]
    versions = ", ".join(map(str, figures.versions))
    return (figures.month or bold("all"), f"{figures.rows:,}", versions, *(f"{number:.4f}" for number in numbers))

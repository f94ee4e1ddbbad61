"""``everfit demo``: the model of a simulated company recovers from a change, road works; then new code is pushed.

The company is simulated. The loop is the real one, in its own processes; the timeline is read from its ledger.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.demo_project import Started, copy_of, running
from everfit.cli.demo_pushes import DemoPushes, PushesReport
from everfit.cli.demo_replay import MODEL, DemoReplay
from everfit.cli.demo_repository import WorkingCopy, missing_tool
from everfit.cli.options import AsJson
from everfit.cli.output import print_json
from everfit.cli.timeline import Event, Page
from everfit.cli.tour import tour
from everfit.commands.rollouts import promote
from everfit.commands.train import train
from everfit.core.errors import ProjectError
from everfit.replay.replaying import ReplayPlan
from everfit.replay.result import ReplayReport
from everfit.wiring import actor, open_system

_FROM = datetime(2026, 1, 22, 0, 6, tzinfo=UTC)
"""Shops report on the half hour, within six minutes; slices of the replay begin after all reports."""
_PLAN = ReplayPlan(start=_FROM, end=_FROM + timedelta(days=12), watch_every=timedelta(hours=6), against=1, by="day")
_REASON = "the first one"
_INTRODUCTION = (
    "A company delivers food; a model predicts which orders will be late. Road works will slow down long distances, "
    "and the system is not informed. The company is simulated, all else is real."
)
_FIGURES = "By the orders' final outcomes; version 1 predicts all orders, as if it had never been replaced:"
_ONE_ACT = "The second act, a push that is refused and one that is delivered, needs {tool}, which is not installed."
_END = "The whole policy is four lines of examples/deliveries/deliveries.py. Next: everfit init shop"
_STAYS = (
    "The system keeps running. Try: everfit status --project {root}; also everfit orders list, everfit rollouts list, "
    "everfit releases list, everfit audit, everfit monitor. Ctrl-C ends it."
)
_DATA = "Folder with flights.parquet: show the way to a first prediction on real flights."
_IN = typer.Option("--in", help="Folder to create the project in.", show_default="a temporary folder")


def demo(
    data: Annotated[Path | None, typer.Option("--data", help=_DATA)] = None,
    folder: Annotated[Path | None, _IN] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Keep the system running at the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the loop at work on an example.

    Two weeks of a simulated delivery company pass in about a minute: a change, the finding, the training order,
    training, gates, rollout and recovery. Then new code is pushed, twice: one push is refused by a test, the other
    is tested, trained and rolled out. Nothing in the loop is scripted. The pushes need git and pytest.
    """
    if data is not None:
        tour(data=data, folder=folder, as_json=as_json)
        return
    with copy_of("deliveries", folder) as root:
        missing = missing_tool()
        _Demo(root, None if missing else WorkingCopy(root), as_json=as_json).run(stay=stay, missing=missing)


class _Demo:
    """Run of the demo, from an empty project to the end of the last replay."""

    def __init__(self, root: Path, copy: WorkingCopy | None, *, as_json: bool) -> None:
        self._system = open_system(root)
        self._copy = copy
        self._page = Page(quiet=as_json)
        self._as_json = as_json
        self._began_s = time.monotonic()

    def run(self, *, stay: bool, missing: str) -> None:
        system, page = self._system, self._page
        page.line(_INTRODUCTION)
        page.line()
        with page.busy("opening the ledger and the registry"):
            system.registry.versions(MODEL)
        # It starts while the first version is trained, and waits for it.
        with running(system.project.root, "up", "--replay", "--port", "0", log=system.state / "up.log") as service:
            self._first_model()
            playing = self._up(service)
            first = playing.play(_PLAN)
            timeline = playing.shown
            self._show_figures(first)
            pushes: PushesReport | None = None
            if self._copy is None:
                page.show(["", _ONE_ACT.format(tool=missing)])
            else:
                pushes = DemoPushes(system, page, playing, self._copy).run(_PLAN.end)
                self._show_pushed(pushes.replay)
            self._conclude(timeline, first, pushes)
            if stay:
                page.show(["", _STAYS.format(root=system.project.root)])
                try:
                    service.process.wait()
                except KeyboardInterrupt:
                    page.line("Stopping.")

    def _first_model(self) -> None:
        """Train and promote the first version, as a user does by hand."""
        with self._page.busy("training on three weeks of orders"):
            learnt = train(self._system, MODEL, as_of=_FROM, reason=_REASON, actor=actor())
        if learnt.version is None:
            reasons = "; ".join(verdict.sentence for verdict in learnt.report.failures)
            raise ProjectError("the first model must pass its gates", value=reasons)
        promote(self._system, MODEL, learnt.version.version, actor=actor(), reason=_REASON)
        loss = learnt.scores[0]
        passed = sum(verdict.outcome == "passed" for verdict in learnt.report.verdicts)
        self._page.step(
            f"everfit train --as-of {_FROM:%Y-%m-%dT%H:%MZ} && everfit promote",
            f"Version 1 is trained on {learnt.manifest.labelled:,} orders and passed {passed} gates; its log loss on "
            f"the newest {loss.rows:,} is {loss.value:.3f} ({self._seconds()}).",
        )

    def _up(self, service: Started) -> DemoReplay:
        with self._page.busy("starting the service and the controller"):
            url = service.url()
            playing = DemoReplay(self._system, self._page, url)
            playing.wait_until_served()
        self._page.step("everfit up --replay", f"{self._system.project.name} is up at {url} ({self._seconds()}).")
        return playing

    def _show_figures(self, report: ReplayReport) -> None:
        self._page.show(["", _FIGURES])
        self._page.figures(report.months, against=1)
        self._page.show(["", f"{_verdict(report, 'done')} All of it took {self._seconds()}."])

    def _show_pushed(self, report: ReplayReport) -> None:
        answered = f"{report.answered:,} of {report.asked:,} orders of these days were predicted."
        self._page.show(["", f"{_verdict(report, 'pushed')} {answered}"])

    def _conclude(self, timeline: tuple[Event, ...], first: ReplayReport, pushes: PushesReport | None) -> None:
        if self._as_json:
            seconds = time.monotonic() - self._began_s
            print_json({"timeline": timeline, "replay": first, "pushes": pushes, "seconds": seconds})
            return
        self._page.show(["", *([f"Both acts took {self._seconds()}."] if pushes else []), _END])

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began_s:.0f} s"


def _verdict(report: ReplayReport, done: str) -> str:
    """Return a sentence that compares the loss after the last prediction of a version with that of this version."""
    against = report.against
    last = max((place for place, day in enumerate(report.months) if against in day.versions), default=-1)
    days = report.months[last + 1 :]
    if not days:
        return f"Version {against} was not replaced: no version was shown to be better."
    rows = sum(day.rows for day in days)
    live, alone = (
        sum(day.rows * getattr(day, side)["log_loss"] for day in days) / rows for side in ("live", "against")
    )
    return f"Since {days[0].month} the log loss is {live:.3f}; it would be {alone:.3f} had nothing been {done}."

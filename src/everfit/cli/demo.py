"""``everfit demo``: the model of a simulated company recovers from a change, road works.

The company is simulated. The loop is the real one, in its own processes; the timeline is read from its ledger.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.demo_project import Started, copy_of, running
from everfit.cli.options import AsJson
from everfit.cli.output import print_json
from everfit.cli.timeline import Event, Page, timeline
from everfit.cli.tour import tour
from everfit.client.client import Client
from everfit.commands.rollouts import promote
from everfit.commands.train import train
from everfit.core.errors import NotReadyError, ProjectError
from everfit.loop.retrain_job import order_folder, read_outcome
from everfit.replay.replaying import ReplayPlan, replay
from everfit.replay.result import ReplayReport
from everfit.store.controller_report import read_controller_report
from everfit.store.replay_clock import CLOCK_FILE, FollowedClock
from everfit.system import System
from everfit.wiring import actor, open_system

_MODEL = "late_delivery"
_FROM = datetime(2026, 1, 22, 0, 6, tzinfo=UTC)
"""Shops report on the half hour, within six minutes; slices of the replay begin after all reports."""
_PLAN = ReplayPlan(start=_FROM, end=_FROM + timedelta(days=12), watch_every=timedelta(hours=6), against=1, by="day")
_POLL_S = 0.25
_SERVED_TIMEOUT_S = 60.0
_REASON = "the first one"
_INTRODUCTION = (
    "A company delivers food; a model predicts which orders will be late. Road works will slow down long distances, "
    "and the system is not informed. The company is simulated, all else is real."
)
_FIGURES = "By the orders' final outcomes; version 1 predicts all orders, as if it had never been replaced:"
_END = "The whole policy is four lines of examples/deliveries/deliveries.py. Next: everfit init shop"
_STAYS = (
    "The system keeps running. Try: everfit status --project {root}; also everfit orders list, everfit rollouts list, "
    "everfit audit, everfit monitor. Ctrl-C ends it."
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

    Two weeks of a simulated delivery company pass in about two minutes: a change, the finding, the training order,
    training, gates, rollout and recovery. Nothing in the loop is scripted.
    """
    if data is not None:
        tour(data=data, folder=folder, as_json=as_json)
        return
    with copy_of("deliveries", folder) as root:
        _Demo(root, as_json=as_json).run(stay=stay)


class _Demo:
    """Run of the demo, from an empty project to the end of the replay."""

    def __init__(self, root: Path, *, as_json: bool) -> None:
        self._system = open_system(root)
        self._page = Page(quiet=as_json)
        self._as_json = as_json
        self._began_s = time.monotonic()
        self._shown: dict[str, Event] = {}

    def run(self, *, stay: bool) -> None:
        system, page = self._system, self._page
        page.line(_INTRODUCTION)
        page.line()
        with page.busy("opening the ledger and the registry"):
            system.registry.versions(_MODEL)
        # It starts while the first version is trained, and waits for it.
        with running(system.project.root, "up", "--replay", "--port", "0", log=system.state / "up.log") as service:
            self._first_model()
            self._conclude(self._live(service))
            if stay:
                page.show(["", _STAYS.format(root=system.project.root)])
                try:
                    service.process.wait()
                except KeyboardInterrupt:
                    page.line("Stopping.")

    def _first_model(self) -> None:
        """Train and promote the first version, as a user does by hand."""
        with self._page.busy("training on three weeks of orders"):
            learnt = train(self._system, _MODEL, as_of=_FROM, reason=_REASON, actor=actor())
        if learnt.version is None:
            reasons = "; ".join(verdict.sentence for verdict in learnt.report.failures)
            raise ProjectError("the first model must pass its gates", value=reasons)
        promote(self._system, _MODEL, learnt.version.version, actor=actor(), reason=_REASON)
        loss = learnt.scores[0]
        passed = sum(verdict.outcome == "passed" for verdict in learnt.report.verdicts)
        self._page.step(
            f"everfit train --as-of {_FROM:%Y-%m-%dT%H:%MZ} && everfit promote",
            f"Version 1 is trained on {learnt.manifest.labelled:,} orders and passed {passed} gates; its log loss on "
            f"the newest {loss.rows:,} is {loss.value:.3f} ({self._seconds()}).",
        )

    def _live(self, service: Started) -> ReplayReport:
        """Replay two weeks, and print the events."""
        with self._page.busy("starting the service and the controller"):
            url = service.url()
            _wait_until_served(url)
        self._page.step("everfit up --replay", f"{self._system.project.name} is up at {url} ({self._seconds()}).")
        self._page.step(
            f"everfit replay --from {_FROM:%Y-%m-%dT%H:%MZ} --to {_PLAN.end:%Y-%m-%dT%H:%MZ} --against 1 --by day",
            "Every order is a request at its own time; every outcome is reported when it was known.",
        )
        stopping = threading.Event()

        def play() -> ReplayReport:
            with _client(url) as client:
                return replay(self._system, client, _MODEL, _PLAN, stop=stopping.is_set)

        # In a thread, so that this one can print events and be interrupted.
        with ThreadPoolExecutor(1, thread_name_prefix="replay") as threads:
            playing = threads.submit(play)
            try:
                with self._page.busy("replaying") as update:
                    while not playing.done():
                        update(self._activity())
                        self._print_new_events()
                        time.sleep(_POLL_S)
            finally:
                stopping.set()
        self._print_new_events()
        return playing.result()

    def _print_new_events(self) -> None:
        for event in self._events():
            if event.key not in self._shown:
                self._shown[event.key] = event
                self._page.event(event)

    def _events(self) -> list[Event]:
        """Return the events of the ledger so far, and the company's own incidents, which the system does not know."""
        system, now = self._system, _now(self._system)
        orders = system.orders.of(_MODEL)
        outcomes = ((record.number, read_outcome(order_folder(system, record.number))) for record in orders)
        made = {number: outcome.candidate for number, outcome in outcomes if outcome and outcome.candidate}
        plan = system.project.model(_MODEL).rollout_plan
        found = timeline(system.incidents.of(_MODEL), orders, system.rollouts.of(_MODEL), made=made, plan=plan)
        truth = (
            Event(key=f"truth/{place}", at=incident.start, what="truth", sentence=incident.description)
            for place, incident in enumerate(sys.modules["company"].simulate().incidents)
            if now is not None and incident.start <= now
        )
        return sorted((*truth, *found), key=lambda event: event.at)

    def _activity(self) -> str:
        now, report = _now(self._system), read_controller_report(self._system.state)
        doing = "training" if report is not None and report.busy else "orders come in"
        return "bringing features online" if now is None else f"{now:%b %d %H:%M}  {doing}"

    def _conclude(self, report: ReplayReport) -> None:
        if self._as_json:
            seconds = time.monotonic() - self._began_s
            print_json({"timeline": list(self._shown.values()), "replay": report, "seconds": seconds})
            return
        self._page.show(["", _FIGURES])
        self._page.figures(report.months, against=1)
        self._page.show(["", f"{_verdict(report)} All of it took {self._seconds()}.", _END])

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began_s:.0f} s"


def _client(url: str) -> Client:
    return Client(url, timeout_s=30.0, retries=12)


def _wait_until_served(url: str) -> None:
    """Wait until a worker has loaded the promoted version."""
    deadline = time.monotonic() + _SERVED_TIMEOUT_S
    with _client(url) as client:
        while _MODEL not in client.models():
            if time.monotonic() > deadline:
                raise ProjectError("the service must serve the model that was promoted", value=_MODEL)
            time.sleep(_POLL_S)


def _now(system: System) -> datetime | None:
    try:
        return FollowedClock(system.state / CLOCK_FILE).now()
    except NotReadyError:
        return None


def _verdict(report: ReplayReport) -> str:
    """Return a sentence that compares the loss after the last prediction of version 1 with that of version 1."""
    last = max((place for place, day in enumerate(report.months) if 1 in day.versions), default=-1)
    days = report.months[last + 1 :]
    if not days:
        return "Version 1 was not replaced: no version was shown to be better."
    rows = sum(day.rows for day in days)
    live, alone = (
        sum(day.rows * getattr(day, side)["log_loss"] for day in days) / rows for side in ("live", "against")
    )
    return f"Since {days[0].month} the log loss is {live:.3f}; it would be {alone:.3f} had nothing been done."

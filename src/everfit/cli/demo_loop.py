"""Demo of the loop: the model of a simulated company recovers from a change, road works.

The company is simulated. The loop is the real one, in its own processes; the timeline is read from its ledger.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from everfit.cli.demo_page import Page
from everfit.cli.demo_project import Started, copy_of, running
from everfit.cli.output import print_json
from everfit.cli.timeline import Event, timeline
from everfit.client.client import Client
from everfit.commands.promote import promote
from everfit.commands.train import train
from everfit.core.errors import NotReadyError, ProjectError
from everfit.loop.retrain_job import order_folder, read_outcome
from everfit.replay.replaying import ReplayPlan, replay
from everfit.replay.result import Figures, ReplayReport
from everfit.store.controller_report import read_controller_report
from everfit.store.replay_clock import CLOCK_FILE, FollowedClock
from everfit.system import System
from everfit.wiring import actor, open_system

_MODEL = "late_delivery"
_FROM = datetime(2026, 1, 22, 0, 6, tzinfo=UTC)
"""Shops report on the half hour, within six minutes; slices of the replay begin after all reports."""
_DAYS = 12
_LOOK = timedelta(hours=6)
_POLL_S = 0.25
_SERVED_TIMEOUT_S = 60.0
_REASON = "the first one"


def show(*, folder: Path | None, stay: bool, as_json: bool) -> None:
    """Run the demo.

    Args:
        folder: Parent folder of the project; by default the project is removed at the end.
        stay: Keep the system running until Ctrl-C.
        as_json: Print one JSON document at the end instead of text.

    Raises:
        ProjectError: If the first model is refused, or the system does not start.
        EverfitError: If a part of the loop fails.
    """
    page = Page(quiet=as_json)
    with copy_of("deliveries", folder) as root:
        _Demo(root, page).run(stay=stay, as_json=as_json)


class _Demo:
    """Run of the demo, from an empty project to the end of the replay."""

    def __init__(self, root: Path, page: Page) -> None:
        self._root = root
        self._page = page
        self._began_s = time.monotonic()
        self._events: dict[str, Event] = {}

    def run(self, *, stay: bool, as_json: bool) -> None:
        """Run all of it."""
        system = open_system(self._root)
        self._page.say(
            "A company delivers food; a model predicts which orders will be late. Road works will slow down long "
            "distances, and the system is not informed. The company is simulated, all else is real."
        )
        self._page.say()
        with self._page.busy("opening the ledger and the registry"):
            system.registry.versions(_MODEL)
        log = system.state / "up.log"
        # It starts while the first version is trained, and waits for it.
        with running(self._root, "up", "--replay", "--port", "0", log=log) as service:
            self._first_model(system)
            report = self._live(system, service)
            self._conclude(report, as_json=as_json)
            if stay:
                self._stay(service)

    def _first_model(self, system: System) -> None:
        """Train and promote the first version, as a user does by hand."""
        with self._page.busy("training on three weeks of orders"):
            learnt = train(system, _MODEL, as_of=_FROM, reason=_REASON, actor=actor())
        if learnt.version is None:
            reasons = "; ".join(verdict.sentence for verdict in learnt.report.failures)
            raise ProjectError("the first model must pass its gates", value=reasons)
        promote(system, _MODEL, learnt.version.version, actor=actor(), reason=_REASON)
        loss = learnt.scores[0]
        passed = sum(verdict.outcome == "passed" for verdict in learnt.report.verdicts)
        self._page.step(
            f"everfit train --as-of {_FROM:%Y-%m-%dT%H:%MZ} && everfit promote",
            f"Version 1 is trained on {learnt.manifest.labelled:,} orders and passed {passed} gates; its log loss on "
            f"the newest {loss.rows:,} is {loss.value:.3f} ({self._seconds()}).",
        )

    def _live(self, system: System, service: Started) -> ReplayReport:
        """Replay two weeks, and print the events."""
        with self._page.busy("starting the service and the controller"):
            url = service.url()
            _wait_until_served(url)
        self._page.step("everfit up --replay", f"{system.project.name} is up at {url} ({self._seconds()}).")
        plan = _plan()
        self._page.step(
            f"everfit replay --from {plan.start:%Y-%m-%dT%H:%MZ} --to {plan.end:%Y-%m-%dT%H:%MZ} --against 1 --by day",
            "Every order is a request at its own time; every outcome is reported when it was known.",
        )
        stopping = threading.Event()
        playing = _in_thread(lambda: _replay(system, url, plan, stopping))
        try:
            with self._page.busy("replaying") as update:
                while not playing.done():
                    update(_activity(system))
                    self._print_new_events(system)
                    time.sleep(_POLL_S)
        finally:
            stopping.set()
        self._print_new_events(system)
        return playing.result()

    def _print_new_events(self, system: System) -> None:
        new = {event.key: event for event in _events(system) if event.key not in self._events}
        self._events |= new
        self._page.events(tuple(new.values()))

    def _conclude(self, report: ReplayReport, *, as_json: bool) -> None:
        if as_json:
            print_json(
                {"timeline": list(self._events.values()), "replay": report, "seconds": time.monotonic() - self._began_s}
            )
            return
        self._page.say()
        self._page.say(
            "By the orders' final outcomes; version 1 predicts all orders, as if it had never been replaced:"
        )
        self._page.figures(report.months, against=1)
        self._page.say()
        self._page.say(f"{_verdict(report)} All of it took {self._seconds()}.")
        self._page.say("The whole policy is four lines of examples/deliveries/deliveries.py. Next: everfit init shop")

    def _stay(self, service: Started) -> None:
        self._page.say()
        self._page.say(
            f"The system keeps running. Try: everfit status --project {self._root}; also everfit orders list, "
            "everfit rollouts list, everfit audit, everfit monitor. Ctrl-C ends it."
        )
        try:
            service.wait()
        except KeyboardInterrupt:
            self._page.say("Stopping.")

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began_s:.0f} s"


def _plan() -> ReplayPlan:

    return ReplayPlan(start=_FROM, end=_FROM + timedelta(days=_DAYS), watch_every=_LOOK, against=1, by="day")


def _replay(system: System, url: str, plan: ReplayPlan, stopping: threading.Event) -> ReplayReport:

    with Client(url, timeout_s=30.0, retries=12) as client:
        return replay(system, client, _MODEL, plan, stop=stopping.is_set)


def _wait_until_served(url: str) -> None:
    """Wait until a worker has loaded the promoted version."""
    deadline = time.monotonic() + _SERVED_TIMEOUT_S
    with Client(url, timeout_s=30.0, retries=12) as client:
        while _MODEL not in client.models():
            if time.monotonic() > deadline:
                raise ProjectError("the service must serve the model that was promoted", value=_MODEL)
            time.sleep(_POLL_S)


def _in_thread(work: Any) -> Future[ReplayReport]:
    """Run in a thread, so that the main thread can print events and be interrupted."""
    future: Future[ReplayReport] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is read
            future.set_exception(error)

    threading.Thread(target=run, name="replay", daemon=True).start()
    return future


def _events(system: System) -> tuple[Event, ...]:
    """Return the events of the ledger so far, and those of the simulated company."""
    orders = system.orders.of(_MODEL)
    outcomes = ((record.number, read_outcome(order_folder(system, record.number))) for record in orders)
    made = {number: outcome.candidate for number, outcome in outcomes if outcome and outcome.candidate}
    plan = system.project.model(_MODEL).rollout_plan
    found = timeline(system.incidents.of(_MODEL), orders, system.rollouts.of(_MODEL), made=made, plan=plan)
    return tuple(sorted((*_truth(system), *found), key=lambda event: event.at))


def _truth(system: System) -> list[Event]:
    """Return the company's own incidents that have begun, which the system does not know."""
    now = _now(system)
    incidents = sys.modules["company"].simulate().incidents
    return [
        Event(key=f"truth/{place}", at=incident.start, what="truth", sentence=incident.description)
        for place, incident in enumerate(incidents)
        if now is not None and incident.start <= now
    ]


def _now(system: System) -> datetime | None:
    try:
        return FollowedClock(system.state / CLOCK_FILE).now()
    except NotReadyError:
        return None


def _activity(system: System) -> str:
    now, report = _now(system), read_controller_report(system.state)
    doing = "training" if report is not None and report.busy else "orders come in"
    return "bringing features online" if now is None else f"{now:%b %d %H:%M}  {doing}"


def _verdict(report: ReplayReport) -> str:
    """Return a sentence that compares the loss since the last replacement of version 1 with that of version 1."""
    days = _since_recovery(report.months)
    if not days:
        return "Version 1 was not replaced: no version was shown to be better."
    rows = sum(day.rows for day in days)
    live, alone = (
        sum(day.rows * getattr(day, side)["log_loss"] for day in days) / rows for side in ("live", "against")
    )
    return f"Since {days[0].month} the log loss is {live:.3f}; it would be {alone:.3f} had nothing been done."


def _since_recovery(days: tuple[Figures, ...]) -> tuple[Figures, ...]:
    """Return the days after the last prediction of version 1."""
    last = max((place for place, day in enumerate(days) if 1 in day.versions), default=-1)
    return days[last + 1 :]

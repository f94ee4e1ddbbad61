"""The demo of the loop: a company that does not exist meets road works, and its model gets over them.

What is scripted is the company. The loop is the real one, in its own processes; the timeline is read from its ledger.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from everfit.store.controller_report import read_controller_report
from everfit.store.replay_clock import CLOCK_FILE, FollowedClock
from everfit.wiring import actor, open_system

if TYPE_CHECKING:
    from everfit.loop.training_record import JudgedCandidate
    from everfit.replay.replaying import ReplayPlan
    from everfit.replay.result import Figures, ReplayReport
    from everfit.system import System

_MODEL = "late_delivery"
_FROM = datetime(2026, 1, 22, 0, 6, tzinfo=UTC)
"""Shops report on the half hour, and it takes up to six minutes: so the replay's steps begin when all is there."""
_DAYS = 12
_LOOK = timedelta(hours=6)
_POLL_S = 0.25
_SERVED_TIMEOUT_S = 60.0
_REASON = "the first one"


def show(*, folder: Path | None, stay: bool, as_json: bool) -> None:
    """Run the demo.

    Args:
        folder: Where to keep the project; by default it is removed at the end.
        stay: Leave the system up until Ctrl-C.
        as_json: Print one JSON document at the end instead of a tale.

    Raises:
        ProjectError: If the first model is refused, or the system does not start.
        EverfitError: Whatever the loop refuses.
    """
    page = Page(quiet=as_json)
    with copy_of("deliveries", folder) as root:
        _Demo(root, page).run(stay=stay, as_json=as_json)


class _Demo:
    """From an empty project to the end of the replay."""

    def __init__(self, root: Path, page: Page) -> None:
        self._root = root
        self._page = page
        self._began_s = time.monotonic()
        self._events: dict[str, Event] = {}

    def run(self, *, stay: bool, as_json: bool) -> None:
        """All of it."""
        system = open_system(self._root)
        self._page.say(
            "A company delivers food; a model says which orders will be late. Road works are about to slow long ways "
            "down. Nobody will tell the system. The company is simulated, all else is real."
        )
        self._page.say()
        with self._page.busy("opening the ledger and the registry"):
            system.registry.versions(_MODEL)
        log = system.state / "up.log"
        # It starts while the first model learns, and waits for it.
        with running(self._root, "up", "--replay", "--port", "0", log=log) as service:
            self._first_model(system)
            report = self._live(system, service)
            self._conclude(report, as_json=as_json)
            if stay:
                self._stay(service)

    def _first_model(self, system: System) -> None:
        """What a user does once, by hand."""
        with self._page.busy("learning from three weeks of orders"):
            learnt = train(system, _MODEL, as_of=_FROM, reason=_REASON, actor=actor())
        if learnt.version is None:
            reasons = "; ".join(each.sentence for each in learnt.report.failures)
            raise ProjectError("the first model must pass its gates", value=reasons)
        promote(system, _MODEL, learnt.version.version, actor=actor(), reason=_REASON)
        loss = learnt.scores[0]
        passed = sum(each.outcome == "passed" for each in learnt.report.verdicts)
        self._page.step(
            f"everfit train --as-of {_FROM:%Y-%m-%dT%H:%MZ} && everfit promote",
            f"Version 1 learnt from {learnt.manifest.labelled:,} orders and passed {passed} gates; its log loss on the "
            f"newest {loss.rows:,} is {loss.value:.3f} ({self._seconds()}).",
        )

    def _live(self, system: System, service: Started) -> ReplayReport:
        """Let two weeks pass, and tell what happens."""
        with self._page.busy("starting the service and the controller"):
            url = service.url()
            _wait_until_served(url)
        self._page.step("everfit up --replay", f"{system.project.name} is up at {url} ({self._seconds()}).")
        plan = _plan()
        self._page.step(
            f"everfit replay --from {plan.start:%Y-%m-%dT%H:%MZ} --to {plan.end:%Y-%m-%dT%H:%MZ} --against 1 --by day",
            "Every order asks when it was placed, every outcome is told when it was known.",
        )
        stopping = threading.Event()
        playing = _in_thread(lambda: _replay(system, url, plan, stopping))
        try:
            with self._page.busy("replaying") as tell:
                while not playing.done():
                    tell(_said(system))
                    self._tell_news(system)
                    time.sleep(_POLL_S)
        finally:
            stopping.set()
        self._tell_news(system)
        return playing.result()

    def _tell_news(self, system: System) -> None:
        news = [each for each in _events(system) if each.key not in self._events]
        self._events |= {each.key: each for each in news}
        self._page.events(news)

    def _conclude(self, report: ReplayReport, *, as_json: bool) -> None:
        if as_json:
            print_json(
                {"timeline": list(self._events.values()), "replay": report, "seconds": time.monotonic() - self._began_s}
            )
            return
        self._page.say()
        self._page.say("By the orders' final outcomes; version 1 is what had never been retrained:")
        self._page.worth(report.months, against=1)
        self._page.say()
        self._page.say(f"{_verdict(report)} All of it took {self._seconds()}.")
        self._page.say("The whole policy is four lines of examples/deliveries/deliveries.py. Next: everfit init shop")

    def _stay(self, service: Started) -> None:
        self._page.say()
        self._page.say(
            f"The system stays up. Look at it: everfit status --project {self._root}; likewise everfit orders list, "
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
    """A worker loads what was promoted within a moment, but not at once."""
    deadline = time.monotonic() + _SERVED_TIMEOUT_S
    with Client(url, timeout_s=30.0, retries=12) as client:
        while _MODEL not in client.models():
            if time.monotonic() > deadline:
                raise ProjectError("the service must serve the model that was promoted", value=_MODEL)
            time.sleep(_POLL_S)


def _in_thread(work: Any) -> Future[ReplayReport]:
    """The main thread stays free to tell what happens, and to be interrupted."""
    future: Future[ReplayReport] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="replay", daemon=True).start()
    return future


def _events(system: System) -> tuple[Event, ...]:
    """What the ledger says by now, and what truly happened to the company."""
    orders = system.orders.of(_MODEL)
    made = {each.number: one for each in orders if (one := _made(system, each.number)) is not None}
    found = timeline(
        system.incidents.of(_MODEL), orders, system.rollouts.of(_MODEL), made=made,
        plan=system.project.model(_MODEL).rollout_plan,
    )  # fmt: skip
    return tuple(sorted((*_truth(system), *found), key=lambda each: each.at))


def _truth(system: System) -> list[Event]:
    """The incidents of the script, as far as they have begun; the system cannot know of them."""
    now = _now(system)
    incidents = sys.modules["company"].simulate().incidents
    return [
        Event(key=f"truth/{place}", at=each.start, what="truth", sentence=each.description)
        for place, each in enumerate(incidents)
        if now is not None and each.start <= now
    ]


def _made(system: System, order: int) -> JudgedCandidate | None:

    outcome = read_outcome(order_folder(system, order))
    return None if outcome is None else outcome.candidate


def _now(system: System) -> datetime | None:

    try:
        return FollowedClock(system.state / CLOCK_FILE).now()
    except NotReadyError:
        return None


def _said(system: System) -> str:

    now, report = _now(system), read_controller_report(system.state)
    doing = "training" if report is not None and report.busy else "orders come in"
    return "bringing features online" if now is None else f"{now:%b %d %H:%M}  {doing}"


def _verdict(report: ReplayReport) -> str:
    """What the loop was worth since a new version answered everybody."""
    days = _since_recovery(report.months)
    if not days:
        return "No version took the first one's place: nothing was shown to be better."
    rows = sum(day.rows for day in days)
    live, alone = (
        sum(day.rows * (each or {})["log_loss"] for day, each in ((day, getattr(day, side)) for day in days)) / rows
        for side in ("live", "against")
    )
    return f"Since {days[0].month} the log loss is {live:.3f}; it would be {alone:.3f} had nothing been done."


def _since_recovery(days: tuple[Figures, ...]) -> tuple[Figures, ...]:
    """The days after the last on which version 1 answered anybody."""
    last = max((place for place, day in enumerate(days) if 1 in day.versions), default=-1)
    return days[last + 1 :]

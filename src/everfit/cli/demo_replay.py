"""Replay of the demo's simulated company, with the events of its loop printed as they come."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from everfit.cli.timeline import Event, Page, timeline
from everfit.client.client import Client
from everfit.core.errors import NotReadyError, ProjectError
from everfit.loop.retrain_job import order_folder, read_outcome
from everfit.replay.replaying import ReplayPlan, replay
from everfit.replay.result import ReplayReport
from everfit.store.controller_report import read_controller_report
from everfit.store.replay_clock import CLOCK_FILE, FollowedClock
from everfit.system import System

MODEL = "late_delivery"
POLL_S = 0.25
_SERVED_TIMEOUT_S = 60.0


class DemoReplay:
    """Replays against one running service; events of the ledger are printed once.

    Args:
        url: Of the service.
    """

    def __init__(self, system: System, page: Page, url: str) -> None:
        self._system = system
        self._page = page
        self._url = url
        self._shown: dict[str, Event] = {}

    @property
    def shown(self) -> tuple[Event, ...]:
        """Return the events that were printed, in that order."""
        return tuple(self._shown.values())

    def wait_until_served(self) -> None:
        """Wait until a worker has loaded the promoted version. Raises :class:`ProjectError` if none does."""
        deadline_s = time.monotonic() + _SERVED_TIMEOUT_S
        with self.client() as client:
            while MODEL not in client.models():
                if time.monotonic() > deadline_s:
                    raise ProjectError("the service must serve the model that was promoted", value=MODEL)
                time.sleep(POLL_S)

    def play(self, plan: ReplayPlan) -> ReplayReport:
        """Replay a time range, and print the events."""
        day = "%Y-%m-%dT%H:%MZ"
        self._page.step(
            f"everfit replay --from {plan.start:{day}} --to {plan.end:{day}} --against {plan.against} --by day",
            "Every order is a request at its own time; every outcome is reported when it was known.",
        )
        stopping = threading.Event()

        def run() -> ReplayReport:
            with self.client() as client:
                return replay(self._system, client, MODEL, plan, stop=stopping.is_set)

        # In a thread, so that this one can print events and be interrupted.
        with ThreadPoolExecutor(1, thread_name_prefix="replay") as threads:
            playing = threads.submit(run)
            try:
                with self._page.busy("replaying") as update:
                    while not playing.done():
                        update(self._activity())
                        self.print_new_events()
                        time.sleep(POLL_S)
            finally:
                stopping.set()
        self.print_new_events()
        return playing.result()

    def print_new_events(self) -> None:
        """Print the events that were not printed yet."""
        for event in self._events():
            if event.key not in self._shown:
                self._shown[event.key] = event
                self._page.event(event)

    def _events(self) -> list[Event]:
        """Return the events of the ledger so far, and the company's own incidents, which the system does not know."""
        system, now = self._system, self._now()
        orders = system.orders.of(MODEL)
        outcomes = ((record.number, read_outcome(order_folder(system, record.number))) for record in orders)
        made = {number: outcome.candidate for number, outcome in outcomes if outcome and outcome.candidate}
        plan = system.project.model(MODEL).rollout_plan
        found = timeline(system.incidents.of(MODEL), orders, system.rollouts.of(MODEL), made=made, plan=plan)
        truth = (
            Event(key=f"truth/{place}", at=incident.start, what="truth", sentence=incident.description)
            for place, incident in enumerate(sys.modules["company"].simulate().incidents)
            if now is not None and incident.start <= now
        )
        return sorted((*truth, *found), key=lambda event: event.at)

    def _activity(self) -> str:
        now, report = self._now(), read_controller_report(self._system.state)
        doing = "training" if report is not None and report.busy else "orders come in"
        return "bringing features online" if now is None else f"{now:%b %d %H:%M}  {doing}"

    def _now(self) -> datetime | None:
        try:
            return FollowedClock(self._system.state / CLOCK_FILE).now()
        except NotReadyError:
            return None

    def client(self) -> Client:
        """Return a client of the service."""
        return Client(self._url, timeout_s=30.0, retries=12)

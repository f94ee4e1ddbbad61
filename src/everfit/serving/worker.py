"""One process of the service: its own event loop and models, and a listening socket that it shares with the others."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.core.errors import EverfitError
from everfit.core.event_log import log_event
from everfit.serving.app import App
from everfit.serving.feedback import Intake
from everfit.serving.http.connection import Connection, Limits, sweep
from everfit.serving.http.response_queue import Outbox
from everfit.serving.http.responses import Reply
from everfit.serving.inference.data_plane import DEPLOYMENT, Plane
from everfit.serving.inference.model_loader import Loader, require_something
from everfit.serving.inference.shadow import Shadow
from everfit.serving.metrics import CONTENT_TYPE, render_metrics
from everfit.serving.prediction_logger import Recorder
from everfit.serving.protocols.open_inference.repository import Repository
from everfit.serving.worker_report import (
    LoadedVersion,
    WorkerReport,
    read_reports,
    resident_bytes,
    write_report,
)
from everfit.store.gauges import read_samples
from everfit.store.replay_clock import FollowedClock

if TYPE_CHECKING:
    import socket

    from everfit.core.clock import Clock
    from everfit.core.settings import ServingSettings
    from everfit.serving.inference.model_loader import Loaded
    from everfit.serving.inference.variants import Lineup
    from everfit.store.online import OnlineStore

_BACKLOG = 2048
_LOOK_S = 0.1
"""How often to look whether the deployment changed."""
_REPORT_S = 1.0
_LAST_ANSWERS_S = 30.0
"""How long requests that have begun may take once the worker is told to stop."""
_SWITCH_S = 0.001
"""A thread that loads a version lets the event loop go on after this long."""

_log = logging.getLogger(__name__)


class Worker:
    """Answers requests until it is told to stop.

    Args:
        loader: Loads what is deployed.
        online: Where features are looked up and pushed rows go.
        recorder: Keeps what is answered.
        settings: The limits.
        clock: The moment of asking.
        slot: Which of the service's workers this is.
        reports: The folder of the workers' reports.
        gauges: The folder of what monitoring last saw.
    """

    def __init__(
        self,
        loader: Loader,
        *,
        online: OnlineStore,
        recorder: Recorder,
        settings: ServingSettings,
        clock: Clock,
        slot: int,
        reports: Path,
        gauges: Path | None = None,
    ) -> None:
        self._loader = loader
        self._recorder = recorder
        self._settings = settings
        self._slot = slot
        self._reports = reports
        self._clock = clock
        self._gauges = gauges
        self._deployment = 0
        self._shadow = Shadow(recorder)
        self.plane = Plane(online=online, recorder=recorder, shadow=self._shadow, clock=clock)
        self.app = App(
            self.plane,
            recorder=recorder,
            intake=Intake(self.plane, recorder=recorder, online=online, max_rows=settings.max_rows),
            repository=Repository(loader.deployment, self.plane, clock),
            metrics=self._metrics,
            settings=settings,
        )
        self._connections: set[Connection] = set()
        self._stop = asyncio.Event()
        reports.mkdir(parents=True, exist_ok=True)
        before = read_reports(reports).get(slot)
        if before is not None:
            # Counters go on where the last worker of this slot ended.
            self.app.tallies.update(before.tallies)
            recorder.lost_rows = before.lost_rows
            self._shadow.dropped_rows = before.dropped_rows

    def load(self, *, wait: bool = False) -> None:
        """Load what is deployed, before anything is answered.

        Args:
            wait: Whether something may as well be deployed later; until then nobody is answered.

        Raises:
            NotReadyError: If nothing was ever deployed.
            PackageError: If nothing of it can be loaded.
            StoreError: If the deployment record cannot be understood.
        """
        self._stamp = self._loader.stamp()
        loaded = self._loader.load({})
        if not wait:
            require_something(loaded)
        self._take(loaded)

    def _take(self, loaded: Loaded) -> None:
        """Serve what was loaded from now on, and log which versions are new."""
        before = {(entry.model, entry.version, entry.route) for entry in self.report().loaded}
        self.plane.lineups, self.plane.refused, self._deployment = loaded.lineups, loaded.refused, loaded.number
        for entry in self.report().loaded:
            if (entry.model, entry.version, entry.route) not in before:
                log_event(
                    _log,
                    "version_loaded",
                    f"{entry.model}: this worker serves version {entry.version} as {entry.route} "
                    f"({entry.form} runtime)",
                    model=entry.model,
                    version=entry.version,
                    route=entry.route,
                    runtime=entry.form,
                    deployment=self._deployment,
                )

    def run(self, listener: socket.socket, *, announce: Callable[[], object], parent: int | None = None) -> None:
        """Answer until SIGTERM or SIGINT; requests that have begun are answered first.

        Args:
            listener: Listens already.
            announce: Called once requests are answered.
            parent: The process without which this one must not go on.
        """
        # What is loaded now stays for long: the garbage collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(_SWITCH_S)
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(self._run(listener, announce, parent))

    def stop(self) -> None:
        """End :meth:`run`, from the event loop's thread."""
        self._stop.set()

    async def _run(self, listener: socket.socket, announce: Callable[[], object], parent: int | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        limits = Limits(
            body_bytes=self._settings.max_body_bytes,
            receive_s=self._settings.receive_seconds,
            idle_s=self._settings.idle_seconds,
            connections=self._settings.max_connections,
        )
        outbox = Outbox(self._recorder)
        server = await loop.create_server(
            lambda: Connection(self.app.handle, limits, self._connections, outbox), sock=listener, backlog=_BACKLOG
        )
        tasks = [loop.create_task(self._follow()), loop.create_task(self._keep_house(parent))]
        self._write_report()
        announce()
        await self._stop.wait()
        server.close()
        for connection in tuple(self._connections):
            connection.drain()
        deadline_s = loop.time() + _LAST_ANSWERS_S
        while any(each.is_busy for each in self._connections) and loop.time() < deadline_s:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._close)
        self._write_report()

    def _close(self) -> None:
        self.app.close()
        self._shadow.close()
        self._recorder.close()

    async def _follow(self) -> None:
        """Swap versions whenever the deployment changes."""
        while True:
            await asyncio.sleep(_LOOK_S)
            stamp = self._loader.stamp()
            if stamp == self._stamp:
                continue
            self._stamp = stamp
            try:
                # In a thread: verifying, loading and warming take longer than callers should wait.
                loaded = await asyncio.to_thread(self._loader.load, self.plane.lineups)
            except EverfitError as error:
                _log.error("the deployment could not be followed: %s", error)
                self.plane.refused = {**self.plane.refused, DEPLOYMENT: str(error)}
                continue
            self._take(loaded)
            self._write_report()

    async def _keep_house(self, parent: int | None) -> None:
        while True:
            await asyncio.sleep(_REPORT_S)
            sweep(self._connections)
            self._write_report()
            if parent is not None and os.getppid() != parent:
                _log.error("the service's supervisor is gone; this worker ends")
                self._stop.set()

    def _write_report(self) -> None:
        try:
            write_report(self._reports, self.report())
        except OSError as error:
            _log.warning("the worker's report could not be written: %s", error)

    def report(self) -> WorkerReport:
        """What there is to say of this worker."""
        lineups = self.plane.lineups
        return WorkerReport(
            slot=self._slot,
            pid=os.getpid(),
            deployment=self._deployment,
            loaded=tuple(each for name in lineups for each in _loaded(lineups[name])),
            refused=self.plane.refused,
            tallies=self.app.tallies,
            lost_rows=self._recorder.lost_rows,
            dropped_rows=self._shadow.dropped_rows,
            memory_bytes=resident_bytes(),
            follows_replay=isinstance(self._clock, FollowedClock),
        )

    def _metrics(self) -> Reply:
        reports = read_reports(self._reports) | {self._slot: self.report()}
        samples = read_samples(self._gauges) if self._gauges else ()
        return Reply(200, render_metrics([reports[slot] for slot in sorted(reports)], samples), CONTENT_TYPE)


def _loaded(lineup: Lineup) -> list[LoadedVersion]:
    parts = {"champion": lineup.champion, "canary": lineup.canary, "shadow": lineup.shadow}
    return [
        LoadedVersion(model=each.name, version=each.version, digest=each.digest, form=each.form, route=route)
        for route, each in parts.items()
        if each is not None
    ]


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()

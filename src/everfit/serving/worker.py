"""One worker process of the service: its own event loop and models, and a listening socket shared with the others."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic

from prometheus_client.exposition import generate_latest

from everfit.core.clock import Clock
from everfit.core.errors import EverfitError, NotReadyError
from everfit.core.event_log import log_event
from everfit.core.settings import ServingSettings
from everfit.serving.app import App
from everfit.serving.feature_push import FeaturePush
from everfit.serving.feedback import Feedback
from everfit.serving.http.connection import Connection
from everfit.serving.http.listener import BACKLOG, url_of
from everfit.serving.http.response_queue import ResponseQueue
from everfit.serving.http.responses import Response
from everfit.serving.inference.data_plane import DEPLOYMENT, DataPlane
from everfit.serving.inference.model_loader import LoadedDeployment, ModelLoader, require_something
from everfit.serving.inference.shadow import ShadowRunner
from everfit.serving.metrics import CONTENT_TYPE, ServiceMetrics
from everfit.serving.prediction_logger import PredictionLogger
from everfit.serving.release_webhook import ReleaseWebhook
from everfit.serving.worker_report import LoadedVersion, WorkerReport, read_reports, resident_bytes, write_report
from everfit.store.gauges import read_samples
from everfit.store.replay_clock import FollowedClock
from everfit.store.sqlite_online import OnlineStore

_POLL_S = 0.1
"""Time between two looks for a change of the deployment."""
_REPLAY_POLL_S = 0.02
"""The same in a replay, which waits for the workers; also the shortest time between two reports."""
_REPORT_S = 1.0
_DRAIN_S = 30.0
"""Longest time for open requests once the worker is told to stop."""
_SWITCH_S = 0.001
"""Time after which a thread that loads a version lets the event loop run."""

_log = logging.getLogger(__name__)


class Worker:
    """Serves predictions until it is stopped.

    Args:
        clock: The time of a request.
        slot: The worker's number.
        reports: The folder of the workers' reports.
        gauges: The folder of monitoring's samples.
    """

    def __init__(
        self,
        model_loader: ModelLoader,
        *,
        online: OnlineStore,
        prediction_logger: PredictionLogger,
        settings: ServingSettings,
        clock: Clock,
        slot: int,
        reports: Path,
        webhook: ReleaseWebhook,
        gauges: Path | None = None,
    ) -> None:
        self._model_loader = model_loader
        self.prediction_logger = prediction_logger
        self.settings = settings
        self._slot = slot
        self._reports = reports
        self._clock = clock
        self._follows_replay = isinstance(clock, FollowedClock)
        self._shadow_reported = (0, False)
        self._gauges = gauges
        self._deployment = 0
        self._url, self._supervisor = "", 0
        self._shadow = ShadowRunner(prediction_logger)
        self.data_plane = DataPlane(online, prediction_logger, self._shadow, clock)
        self.app = App(
            self.data_plane,
            prediction_logger=prediction_logger,
            feedback=Feedback(self.data_plane, prediction_logger, settings.max_rows),
            feature_push=FeaturePush(self.data_plane, prediction_logger, online, settings.max_rows),
            deployment=model_loader.deployment,
            clock=clock,
            metrics=self._metrics,
            settings=settings,
            webhook=webhook,
        )
        self._connections: set[Connection] = set()
        self._stop = asyncio.Event()
        reports.mkdir(parents=True, exist_ok=True)
        before = read_reports(reports).get(slot)
        if before is not None:
            # Counters continue where the last worker of this slot ended.
            self.app.predictions.counters_by_model.update(before.counters_by_model)
            prediction_logger.lost_rows = before.lost_rows
            self._shadow.dropped_rows = before.dropped_rows

    def load(self, *, wait: bool = False) -> None:
        """Load what is deployed, before requests are accepted; with ``wait`` nothing need be deployed yet.

        Raises :class:`NotReadyError` if nothing was ever deployed, :class:`PackageError` if no version can be loaded,
        and :class:`StoreError` if the deployment record cannot be read.
        """
        self._stamp = self._model_loader.deployment.stamp()
        loaded = self._model_loader.load({})
        if not wait:
            require_something(loaded)
        self._apply(loaded)

    def _apply(self, loaded: LoadedDeployment) -> None:
        """Serve the loaded versions from now on, and log the new ones."""
        before = self._loaded()
        self.data_plane.models, self.data_plane.refused = loaded.models, loaded.refused
        self._deployment = loaded.number
        for entry in self._loaded():
            if entry in before:
                continue
            number, model, version, route, form = loaded.number, entry.model, entry.version, entry.route, entry.form
            text = f"{model}: this worker serves version {version} as {route} ({form} runtime)"
            log_event(
                _log, "version_loaded", text, model=model, version=version, route=route, runtime=form, deployment=number
            )

    def run(self, listener: socket.socket, *, announce: Callable[[], object], parent: int | None = None) -> None:
        """Serve until SIGTERM or SIGINT; open requests are finished first.

        Args:
            announce: Called once requests are accepted.
            parent: The supervisor's process; the worker ends with it.
        """
        import uvloop

        # The objects made so far stay: the garbage collector need not visit them again and again.
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(_SWITCH_S)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._run(listener, announce, parent))

    async def _run(self, listener: socket.socket, announce: Callable[[], object], parent: int | None) -> None:
        loop = asyncio.get_running_loop()
        self._url, self._supervisor = url_of(listener), parent or 0
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        response_queue = ResponseQueue(self.prediction_logger)
        connect = partial(Connection, self.app.handle, self.settings, self._connections, response_queue)
        server = await loop.create_server(connect, sock=listener, backlog=BACKLOG)
        async with self.background(parent):
            announce()
            await self._stop.wait()
            server.close()
            for connection in tuple(self._connections):
                connection.drain()
            deadline_s = loop.time() + _DRAIN_S
            while any(connection.is_busy for connection in self._connections) and loop.time() < deadline_s:
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def background(self, parent: int | None = None) -> AsyncIterator[None]:
        """Follow the deployment and write reports inside the context; on its exit write all records to the disk."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._follow_deployment()), loop.create_task(self._housekeeping(parent))]
        self._write_report()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self._close)
            self._write_report()

    def _close(self) -> None:
        self.app.predictions.close()
        self._shadow.close()
        self.prediction_logger.close()

    async def _follow_deployment(self) -> None:
        poll_s = _REPLAY_POLL_S if self._follows_replay else _POLL_S
        while True:
            await asyncio.sleep(poll_s)
            if self._follows_replay and self._has_shadow() and self._shadow_progress() != self._shadow_reported:
                self._write_report()
            stamp = self._model_loader.deployment.stamp()
            if stamp == self._stamp and not self._model_loader.can_retry():
                continue
            self._stamp = stamp
            try:
                # In a thread: verifying, loading and warming up would block requests.
                loaded = await asyncio.to_thread(self._model_loader.load, self.data_plane.models)
            except EverfitError as error:
                _log.error("the deployment could not be followed: %s", error)
                self.data_plane.refused = {**self.data_plane.refused, DEPLOYMENT: str(error)}
                continue
            self._apply(loaded)
            self._write_report()

    async def _housekeeping(self, parent: int | None) -> None:
        while True:
            await asyncio.sleep(_REPORT_S)
            for connection in tuple(self._connections):
                connection.sweep(monotonic())
            self._write_report()
            self.app.update_routes()
            if parent is not None and os.getppid() != parent:
                _log.error("the service's supervisor is gone; this worker ends")
                self._stop.set()

    def _has_shadow(self) -> bool:
        return any("shadow" in variants.by_route for variants in self.data_plane.models.values())

    def _shadow_progress(self) -> tuple[int, bool]:
        """Return what a replay waits for: the clock's time, and true while shadow predictions are not logged."""
        return self._now_us(), self._shadow.waiting > 0

    def _now_us(self) -> int:
        try:
            return self._clock.now_us()
        except NotReadyError:
            return 0

    def _write_report(self) -> None:
        self._shadow_reported = self._shadow_progress()
        try:
            write_report(self._reports, self.report())
        except OSError as error:
            _log.warning("the worker's report could not be written: %s", error)

    def report(self) -> WorkerReport:
        """Return the state of this worker."""
        # Before the number of waiting requests: those of before this instant are waiting by now, or done.
        reported_us = self._now_us()
        return WorkerReport(
            slot=self._slot,
            pid=os.getpid(),
            deployment=self._deployment,
            loaded=self._loaded(),
            refused=self.data_plane.refused,
            counters_by_model=self.app.predictions.counters_by_model,
            lost_rows=self.prediction_logger.lost_rows,
            dropped_rows=self._shadow.dropped_rows,
            shadow_waiting=self._shadow.waiting,
            reported_us=reported_us,
            memory_bytes=resident_bytes(),
            follows_replay=self._follows_replay,
            url=self._url,
            supervisor=self._supervisor,
        )

    def _metrics(self) -> Response:
        reports = read_reports(self._reports) | {self._slot: self.report()}
        samples = read_samples(self._gauges) if self._gauges else ()
        metrics = ServiceMetrics([reports[slot] for slot in sorted(reports)], samples)
        return Response(200, generate_latest(metrics), CONTENT_TYPE)

    def _loaded(self) -> tuple[LoadedVersion, ...]:
        return tuple(
            LoadedVersion(model=model.name, version=model.version, digest=model.digest, form=model.form, route=route)
            for variants in self.data_plane.models.values()
            for route, model in variants.by_route.items()
        )

"""Durable log of predictions, failures, outcomes and pushed feature rows."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from everfit.core.errors import StoreError
from everfit.serving.inference.served_model import RowPredictions, ServedModel
from everfit.serving.protocols.json import Row
from everfit.store.group_commit import GroupCommit
from everfit.store.journal_records import (
    FAILURES,
    OUTCOMES,
    PREDICTIONS,
    PUSHES,
    Failures,
    Outcomes,
    PredictionLayout,
    Predictions,
    PushedRows,
    Route,
)
from everfit.store.record_log import PredictionLog, RecordLog, encode_record

Durability = Literal["batch", "sync"]
_Callback = Callable[[StoreError | None], None]

_BATCH_S = 0.1
"""Longest time until the disk has a record with ``batch``."""
_LOG_EVERY_S = 10.0
_LONGEST_PROBLEM = 300
_log = logging.getLogger(__name__)


class _Unwritten(threading.local):
    """Records of one thread that are not written yet.

    Each thread writes its own, so that no response is sent whose record another thread has taken and not written.
    """

    def __init__(self) -> None:
        self.records: list[tuple[bytes, int]] = []


class PredictionLogger:
    """Writes predictions, outcomes and pushed rows before the response is sent. Any thread may call any method.

    Args:
        durability: ``batch``: the operating system has a prediction's record before the response is sent, and the disk
            at most 100 ms later; if it cannot be written, the response is sent nevertheless, and an error is logged.
            ``sync``: the disk has it before, or the response is an error. Outcomes and pushes are always ``sync``.
        seal_after_s: Age at which a segment is closed and may be shipped, in seconds.
        in_replay: With ``batch``, outcomes and pushes are ``batch``, too: their source has them.
    """

    def __init__(self, journal: Path, *, durability: Durability, seal_after_s: float, in_replay: bool = False) -> None:
        self.durability = durability
        self._forces = durability == "sync" or not in_replay
        self._synced_s = 0.0
        self.lost_rows = 0
        """Predicted rows whose record could not be written."""
        self._predictions = PredictionLog(journal / PREDICTIONS, seal_after_s=seal_after_s)
        self._outcomes = RecordLog[Outcomes](journal / OUTCOMES, seal_after_s=seal_after_s)
        self._pushes = RecordLog[PushedRows](journal / PUSHES, seal_after_s=seal_after_s)
        self._failures = RecordLog[Failures](journal / FAILURES, seal_after_s=seal_after_s)
        self._logs = (self._predictions, self._outcomes, self._pushes, self._failures)
        self._layouts: dict[str, int] = {}
        self._failing: set[str] = set()
        self._logged_s = -_LOG_EVERY_S
        self._unwritten = _Unwritten()
        self._commits = GroupCommit(self._sync, self._notify, idle=self._seal_if_old)
        self._loop: asyncio.AbstractEventLoop | None = None

    def log_predictions(
        self,
        model: ServedModel,
        route: Route,
        *,
        now_us: int,
        latency_us: int,
        ids: Sequence[str],
        rows: Sequence[Row],
        predicted: RowPredictions,
    ) -> None:
        """Record one version's predictions for one request; call :meth:`flush` in the same thread before the response.

        Raises :class:`StoreError` if the version's layout could not be written and ``durability`` is ``sync``.
        """
        layout = self._layouts.get(model.digest)
        if layout is None:
            try:
                layout = self._layouts[model.digest] = self._predictions.describe(_layout(model))
            except StoreError as error:
                self._count_lost(len(ids), error)
                return
        record = Predictions(
            layout=layout,
            route=route,
            recorded_us=now_us,
            latency_us=latency_us,
            ids=ids,
            rows=rows,
            features=predicted.used,
            values=predicted.values,
        )
        self._unwritten.records.append((encode_record(record), len(ids)))

    def flush(self) -> None:
        """Write all records of this thread at once.

        Raises :class:`StoreError` if they could not be written and ``durability`` is ``sync``.
        """
        records = self._unwritten.records
        if not records:
            return
        self._unwritten.records = []
        try:
            self._predictions.write([payload for payload, _ in records])
        except StoreError as error:
            self._count_lost(sum(rows for _, rows in records), error)

    def _count_lost(self, rows: int, error: StoreError) -> None:
        if self.durability == "sync":
            raise error
        self.lost_rows += rows
        self._log_lost(error)

    def log_failure(self, model: ServedModel, route: Route, *, now_us: int, ids: list[str], error: Exception) -> None:
        """Record rows on which a version failed; if that cannot be written, only log it."""
        name, version, problem = model.name, model.version, f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]
        failures = Failures(model=name, version=version, route=route, recorded_us=now_us, ids=ids, problem=problem)
        if model.digest not in self._failing:
            self._failing.add(model.digest)
            message = "%s version %s failed on route %s; later failures are only recorded"
            _log.error(message, name, version, route, exc_info=error)
        try:
            self._failures.append(failures)
        except StoreError as full:
            self._log_lost(full)

    def log_outcomes(self, outcomes: Outcomes) -> None:
        """Write outcomes; await :meth:`on_disk` before the response. Raises :class:`StoreError` if that failed."""
        self._outcomes.append(outcomes)

    def log_pushed_rows(self, rows: PushedRows) -> None:
        """Write pushed feature rows, and wait for the disk. Raises :class:`StoreError` if they could not be written."""
        self._pushes.append(rows)
        if self._forces:
            self._pushes.sync()

    def when_on_disk(self, callback: _Callback) -> None:
        """Call back in the event loop once all that is written now is on the disk, or with the error."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._commits.wait(callback)

    def on_disk(self) -> asyncio.Future[None]:
        """Return a future: done once all that is written now is on the disk; it fails with :class:`StoreError`."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def callback(error: StoreError | None) -> None:
            if waiting.done():  # the client closed the connection
                return
            if error is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(error)

        self.when_on_disk(callback)
        return waiting

    def close(self) -> None:
        """Write everything to the disk and close the segments."""
        self.flush()
        self._commits.close()
        for log in self._logs:
            log.close()

    def _sync(self) -> None:
        if not self._forces and time.monotonic() - self._synced_s < _BATCH_S:
            return
        self._synced_s = time.monotonic()
        for log in self._logs:
            log.sync()

    def _seal_if_old(self) -> None:
        for log in self._logs:
            log.seal_if_old()

    def _notify(self, waiting: Sequence[_Callback], error: StoreError | None) -> None:
        def call_all() -> None:
            for callback in waiting:
                callback(error)

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call_all)

    def _log_lost(self, error: StoreError) -> None:
        now_s = time.monotonic()
        if now_s - self._logged_s >= _LOG_EVERY_S:
            self._logged_s = now_s
            _log.error("predictions are sent that are not recorded, %s rows so far: %s", self.lost_rows, error)


def _layout(model: ServedModel) -> PredictionLayout:
    schema = model.schema
    return PredictionLayout(
        number=0,
        model=model.name,
        version=model.version,
        digest=model.digest,
        task=schema.task,
        request=tuple((field.name, field.type) for field in schema.request),
        features=model.features,
        classes=schema.classes,
        event_time=schema.event_time,
    )

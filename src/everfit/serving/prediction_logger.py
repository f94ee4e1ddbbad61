"""Sees to it that nothing that was answered is lost."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from everfit.core.errors import StoreError
from everfit.serving.inference.served_model import Predicted, ServedModel
from everfit.serving.protocols.json import Row
from everfit.store.group_commit import GroupCommit
from everfit.store.journal_records import (
    FAILURES,
    OUTCOMES,
    PUSHES,
    Failures,
    Outcomes,
    PredictionLayout,
    Predictions,
    PushedRows,
    Route,
)
from everfit.store.prediction_log import PredictionLog
from everfit.store.record_log import RecordLog, encode_record

Durability = Literal["batch", "sync"]
_Tell = Callable[[StoreError | None], None]

_ALARM_EVERY_S = 10.0
_LONGEST_PROBLEM = 300
_log = logging.getLogger(__name__)


class _Unwritten(threading.local):
    """What a thread has recorded and not written yet.

    Each thread writes its own, so that none can send an answer whose record another one has taken and not written.
    """

    def __init__(self) -> None:
        self.records: list[tuple[bytes, int]] = []


class Recorder:
    """Writes what was answered, reported and pushed, before the caller is told. Any thread may call any method.

    Args:
        journal: The journal's folder.
        durability: ``batch``: a prediction is with the operating system before its answer is sent, and at most 100 ms
            later on the disk; if it cannot be written, it is answered nevertheless, and an alarm is raised. ``sync``:
            it is on the disk before, or is not answered. Outcomes and pushes are always ``sync``.
        seal_after_s: How old a segment may get before it is handed on, in seconds.
    """

    def __init__(self, journal: Path, *, durability: Durability, seal_after_s: float) -> None:
        self.durability = durability
        self.lost_rows = 0
        """Rows that were answered and could not be written."""
        self._predictions = PredictionLog(journal, seal_after_s=seal_after_s)
        self._outcomes = RecordLog[Outcomes](journal / OUTCOMES, seal_after_s=seal_after_s)
        self._pushes = RecordLog[PushedRows](journal / PUSHES, seal_after_s=seal_after_s)
        self._failures = RecordLog[Failures](journal / FAILURES, seal_after_s=seal_after_s)
        self._logs = (self._predictions, self._outcomes, self._pushes, self._failures)
        self._layouts: dict[str, int] = {}
        self._complained: set[str] = set()
        self._alarmed_s = -_ALARM_EVERY_S
        self._unwritten = _Unwritten()
        self._commits = GroupCommit[_Tell](self._sync, self._settle, idle=self._seal_if_old)
        self._loop: asyncio.AbstractEventLoop | None = None

    def predictions(
        self,
        model: ServedModel,
        route: Route,
        *,
        now_us: int,
        latency_us: int,
        ids: Sequence[str],
        rows: Sequence[Row],
        predicted: Predicted,
    ) -> None:
        """Record the answers to one request by one version; :meth:`flush`, in the same thread, before they are sent.

        Raises:
            StoreError: If the version's layout could not be written and ``durability`` is ``sync``.
        """
        layout = self._layouts.get(model.digest)
        if layout is None:
            layout = self._describe(model, len(ids))
            if layout is None:
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
        """Hand everything that this thread recorded to the operating system, at once.

        Raises:
            StoreError: If it could not be written and ``durability`` is ``sync``.
        """
        records = self._unwritten.records
        if not records:
            return
        self._unwritten.records = []
        try:
            self._predictions.write([payload for payload, _ in records])
        except StoreError as error:
            self._lose(sum(rows for _, rows in records), error)

    def _describe(self, model: ServedModel, rows: int) -> int | None:
        try:
            layout = self._layouts[model.digest] = self._predictions.describe(_layout(model))
        except StoreError as error:
            self._lose(rows, error)
            return None
        return layout

    def _lose(self, rows: int, error: StoreError) -> None:
        if self.durability == "sync":
            raise error
        self.lost_rows += rows
        self._alarm(error)

    def failed(self, model: ServedModel, route: Route, *, now_us: int, ids: Sequence[str], error: Exception) -> None:
        """Record rows that a version could not answer; if that cannot be written, it is only logged."""
        problem = f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]
        failures = Failures(
            model=model.name, version=model.version, route=route, recorded_us=now_us, ids=list(ids), problem=problem
        )
        if model.digest not in self._complained:
            self._complained.add(model.digest)
            _log.error(
                "%s version %s cannot answer, by route %s; said once", model.name, model.version, route, exc_info=error
            )
        try:
            self._failures.append(failures)
        except StoreError as full:
            self._alarm(full)

    def outcomes(self, outcomes: Outcomes) -> None:
        """Write what became of predictions; await :meth:`on_disk` before saying so.

        Raises:
            StoreError: If it could not be written.
        """
        self._outcomes.append(outcomes)

    def pushed(self, rows: PushedRows) -> None:
        """Write pushed feature rows and return once they are on the disk.

        Raises:
            StoreError: If they could not be written.
        """
        self._pushes.append(rows)
        self._pushes.sync()

    def when_on_disk(self, tell: Callable[[StoreError | None], None]) -> None:
        """Call back, in the event loop, once all that is written now is on the disk, or with what prevents it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._commits.wait(tell)

    def on_disk(self) -> asyncio.Future[None]:
        """Done once everything written so far is on the disk; raises :class:`StoreError` if the disk refuses."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def tell(error: StoreError | None) -> None:
            if waiting.done():  # the caller hung up
                return
            if error is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(error)

        self.when_on_disk(tell)
        return waiting

    def close(self) -> None:
        """Put everything on the disk and seal the segments."""
        self.flush()
        self._commits.close()
        for log in self._logs:
            log.close()

    def _sync(self) -> None:
        for log in self._logs:
            log.sync()

    def _seal_if_old(self) -> None:
        for log in self._logs:
            log.seal_if_old()

    def _settle(self, waiting: Sequence[_Tell], error: StoreError | None) -> None:
        def tell_all() -> None:
            for tell in waiting:
                tell(error)

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell_all)

    def _alarm(self, error: StoreError) -> None:
        now_s = time.monotonic()
        if now_s - self._alarmed_s >= _ALARM_EVERY_S:
            self._alarmed_s = now_s
            _log.error("predictions are answered that are not recorded, %s rows so far: %s", self.lost_rows, error)


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

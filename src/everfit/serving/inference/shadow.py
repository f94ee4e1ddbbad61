"""Asks versions that nobody hears, after those who are heard have answered."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from everfit.core.errors import EverfitError, StoreError
from everfit.serving.inference.partial_failure import attempt

if TYPE_CHECKING:
    from everfit.serving.inference.served_model import Seen, ServedModel
    from everfit.serving.prediction_logger import Recorder
    from everfit.serving.protocols.json import Row

_SHARE = 0.25
"""Of a processor's time: shadows must never cost the callers theirs."""

_log = logging.getLogger(__name__)


class _Question(NamedTuple):
    model: ServedModel
    rows: Sequence[Row]
    ids: Sequence[str]
    now_us: int
    seen: Sequence[Seen]


class Shadow:
    """One thread that asks and records. What it cannot take in time is dropped and counted: it is the first to go.

    Args:
        recorder: Keeps what the shadows say.
        waiting: How many requests may wait.
    """

    def __init__(self, recorder: Recorder, *, waiting: int = 256) -> None:
        self.dropped_rows = 0
        self._recorder = recorder
        self._questions: queue.Queue[_Question | None] = queue.Queue(waiting)
        self._thread: threading.Thread | None = None

    def ask(
        self, model: ServedModel, rows: Sequence[Row], ids: Sequence[str], now_us: int, seen: Sequence[Seen]
    ) -> None:
        """Let a version answer soon, if there is time, from what was looked up for those who answered."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
            self._thread.start()
        try:
            self._questions.put_nowait(_Question(model, rows, ids, now_us, seen))
        except queue.Full:
            self.dropped_rows += len(rows)

    def close(self) -> None:
        """Answer what waits, then end."""
        if self._thread is not None:
            self._questions.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            began_s = perf_counter()
            try:
                self._answer(question, began_s)
            except EverfitError as error:
                self.dropped_rows += len(question.rows)
                _log.warning("%s version %s in shadow: %s", question.model.name, question.model.version, error)
            except Exception:  # noqa: BLE001 - whatever a model or a project's code raises; the callers were answered
                self.dropped_rows += len(question.rows)
                _log.exception("%s version %s failed in shadow", question.model.name, question.model.version)
            time.sleep((perf_counter() - began_s) * (1 / _SHARE - 1))

    def _answer(self, question: _Question, began_s: float) -> None:
        model, rows, ids, now_us, seen = question
        tried = attempt(model, rows, now_us=now_us, seen=seen)
        for places, predicted in tried.answered:
            self._recorder.predictions(
                model, "shadow", now_us=now_us, latency_us=int((perf_counter() - began_s) * 1e6),
                ids=[ids[place] for place in places], rows=[rows[place] for place in places], predicted=predicted,
            )  # fmt: skip
        lost = {place: error for place, error in tried.failed.items() if not isinstance(error, StoreError)}
        if lost:
            failed_ids, error = [ids[place] for place in lost], next(iter(lost.values()))
            self._recorder.failed(model, "shadow", now_us=now_us, ids=failed_ids, error=error)
        self.dropped_rows += len(tried.failed) - len(lost)
        self._recorder.flush()

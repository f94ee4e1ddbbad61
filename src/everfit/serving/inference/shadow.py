"""Shadow traffic: a background thread in which versions predict after the response was sent."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

from everfit.core.errors import EverfitError, StoreError
from everfit.serving.inference.served_model import ReusedFeatures, ServedModel
from everfit.serving.prediction_logger import PredictionLogger
from everfit.serving.protocols.json import Row

_CPU_SHARE = 0.25
"""Of one processor: shadow traffic must not slow down responses."""

_log = logging.getLogger(__name__)


class _ShadowRequest(NamedTuple):
    model: ServedModel
    rows: Sequence[Row]
    ids: Sequence[str]
    now_us: int
    reused: Sequence[ReusedFeatures]


class ShadowRunner:
    """Thread that predicts and records. Requests beyond its queue are dropped and counted: load sheds them first."""

    def __init__(self, prediction_logger: PredictionLogger) -> None:
        self.dropped_rows = 0
        self._prediction_logger = prediction_logger
        self._requests: queue.Queue[_ShadowRequest | None] = queue.Queue(maxsize=256)
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Number of submitted requests whose predictions are not logged yet."""
        return self._requests.unfinished_tasks

    def submit(
        self, model: ServedModel, rows: Sequence[Row], ids: Sequence[str], now_us: int, reused: Sequence[ReusedFeatures]
    ) -> None:
        """Queue rows for a version, with the features that were looked up for the response."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
            self._thread.start()
        try:
            self._requests.put_nowait(_ShadowRequest(model, rows, ids, now_us, reused))
        except queue.Full:
            self.dropped_rows += len(rows)

    def close(self) -> None:
        """Predict for the requests in the queue, then end the thread."""
        if self._thread is not None:
            self._requests.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while self._run_once():
            pass

    def _run_once(self) -> bool:
        """Predict for the next request; return false once the queue is closed.

        Between two calls nothing refers to a version, so that one that is no longer deployed can be given back.
        """
        request = self._requests.get()
        if request is None:
            return False
        began_s = perf_counter()
        try:
            self._predict(request, began_s)
        except EverfitError as error:
            self.dropped_rows += len(request.rows)
            _log.warning("%s version %s in shadow: %s", request.model.name, request.model.version, error)
        except Exception:  # noqa: BLE001 - whatever a model or a project's code raises; the response was sent
            self.dropped_rows += len(request.rows)
            _log.exception("%s version %s failed in shadow", request.model.name, request.model.version)
        finally:
            self._requests.task_done()
        time.sleep((perf_counter() - began_s) * (1 / _CPU_SHARE - 1))
        return True

    def _predict(self, request: _ShadowRequest, began_s: float) -> None:
        model, rows, ids, now_us, reused = request
        predictions, failures = model.predict_partially(rows, now_us=now_us, reused=reused)
        for places, predicted in predictions:
            self._prediction_logger.log_predictions(
                model,
                "shadow",
                now_us=now_us,
                latency_us=int((perf_counter() - began_s) * 1e6),
                ids=[ids[place] for place in places],
                rows=[rows[place] for place in places],
                predicted=predicted,
            )
        failed = {place: error for place, error in failures.items() if not isinstance(error, StoreError)}
        if failed:
            failed_ids, error = [ids[place] for place in failed], next(iter(failed.values()))
            self._prediction_logger.log_failure(model, "shadow", now_us=now_us, ids=failed_ids, error=error)
        self.dropped_rows += len(failures) - len(failed)
        self._prediction_logger.flush()

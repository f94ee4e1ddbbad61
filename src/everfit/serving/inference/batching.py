"""Choice between inline calls and batched calls in a thread, for one model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from everfit.serving.inference.data_plane import PredictionResponse, response
from everfit.serving.protocols.json import Request

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import DataPlane
    from everfit.serving.inference.variants import Variants
    from everfit.serving.protocols.codec import Codec

_SLOW_US = 250.0
"""A call to a thread and back costs about 100 µs, and saves only the calls that are batched."""
_OUTLIER_US = 1_000.0
_STALL_US = 20_000.0
"""One inline call of this length ends inline calls at once: it blocks every other request."""
_FIRST_TRIAL_S, _LAST_TRIAL_S = 1.0, 60.0
_TRIAL_SHARE = 100.0
"""Inline trials take at most a hundredth of the time."""
_MOST_ROWS = 256
"""Rows in one batch."""

_Result = tuple[Request, PredictionResponse]


class PendingRequest(NamedTuple):
    """A prediction request that is not decoded."""

    variants: Variants
    codec: Codec
    http: HttpRequest
    version: int | None
    began_s: float


class _Decoded(NamedTuple):
    pending: PendingRequest
    request: Request
    future: asyncio.Future[_Result]


class Batcher:
    """One model's calls.

    They begin inline. Once a call of one row is slow, because of the model or of the online store, requests go to a
    thread, which takes all that wait and predicts their rows together: there is no timer. After a pause some calls are
    tried inline again, and stay there if they are quick; in the thread their cost cannot be measured, since it
    includes waiting for the interpreter.
    """

    def __init__(self, data_plane: DataPlane) -> None:
        self._data_plane = data_plane
        self._cost_us = _SLOW_US / 2
        self._trial_s = 0.0
        self._pause_s = _FIRST_TRIAL_S
        self.is_quick = True
        """True if a small request may be handled in the event loop."""
        self._waiting: SimpleQueue[tuple[PendingRequest, asyncio.Future[_Result]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, pending: PendingRequest) -> asyncio.Future[_Result]:
        """Decode a request and predict in the batcher's thread; the future fails with the errors of both."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        if not self.is_quick and monotonic() >= self._trial_s:
            self._cost_us = _SLOW_US / 2
            self.is_quick = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
            self._thread.start()
        self._waiting.put((pending, future))
        return future

    def close(self) -> None:
        """Predict for the requests that wait, then end the thread."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def observe_latency(self, call_s: float) -> None:
        """Take the duration of an inline call of one row, in seconds, into the moving average."""
        call_us = call_s * 1e6
        # Bounded: a single pause of the process is not the model's.
        self._cost_us += 0.05 * (min(call_us, _OUTLIER_US) - self._cost_us)
        if self._cost_us > _SLOW_US or call_us > _STALL_US:
            self.is_quick = False
            self._trial_s = monotonic() + max(self._pause_s, _TRIAL_SHARE * call_s)
            self._pause_s = min(2 * self._pause_s, _LAST_TRIAL_S)

    def _run(self) -> None:
        while not self._run_once():
            pass

    def _run_once(self) -> bool:
        """Predict for the requests that wait, at least one; return true once the batcher is closed.

        Between two calls nothing refers to a version, so that one that is no longer deployed can be given back.
        """
        taken = [self._waiting.get() for _ in range(max(self._waiting.qsize(), 1))]
        batch: list[_Decoded] = []
        rows = 0
        for pending, future in filter(None, taken):
            if future.cancelled():  # the client closed the connection
                continue
            try:
                request = pending.codec.read(pending.variants.decoder, pending.http)
            except Exception as error:  # noqa: BLE001 - set on the future
                _resolve(future, error)
                continue
            if batch and (rows + len(request.rows) > _MOST_ROWS or not _is_alike(batch[0].pending, pending)):
                self._predict(batch)
                batch, rows = [], 0
            batch.append(_Decoded(pending, request, future))
            rows += len(request.rows)
        self._predict(batch)
        return None in taken

    def _predict(self, batch: Sequence[_Decoded]) -> None:
        if not batch:
            return
        first = batch[0].pending
        try:
            first.variants.wait()
            merged = self._merge([decoded.request for decoded in batch])
            predictions = self._data_plane.predict(first.variants, merged, began_s=first.began_s, version=first.version)
            self._data_plane.flush()
        except Exception as error:  # noqa: BLE001 - whatever a model raises: set on the future
            if len(batch) == 1:
                _resolve(batch[0].future, error)
            for decoded in batch if len(batch) > 1 else ():
                if not decoded.future.cancelled():  # it may have waited for too long
                    self._predict([decoded])  # only one of them may be at fault
            return
        place = 0
        for decoded in batch:
            size = len(decoded.request.rows)
            _resolve(decoded.future, (decoded.request, _part(predictions, place, size)))
            place += size

    def _merge(self, requests: Sequence[Request]) -> Request:
        if len(requests) == 1:
            return requests[0]
        make_ids = self._data_plane.make_ids
        ids = [row_id for request in requests for row_id in request.ids or make_ids(len(request.rows))]
        return Request(rows=[row for request in requests for row in request.rows], ids=ids)


def _is_alike(one: PendingRequest, other: PendingRequest) -> bool:
    return one.variants is other.variants and one.version == other.version


def _part(whole: PredictionResponse, start: int, size: int) -> PredictionResponse:
    """Return the predictions for one request of a batch."""
    if size == len(whole.ids):
        return whole
    end = start + size
    versions = whole.versions[start:end] or [whole.version]
    missing = {
        view: own
        for view, places in whole.missing.items()
        if (own := [place - start for place in places if start <= place < end])
    }
    return response(whole.predictions[start:end], whole.ids[start:end], versions, missing)


def _resolve(future: asyncio.Future[_Result], result: _Result | Exception) -> None:
    def set_result() -> None:
        if future.done():
            return
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    loop = future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(set_result)

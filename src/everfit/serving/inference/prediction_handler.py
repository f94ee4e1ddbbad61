"""Handling of prediction requests of every protocol: inline, or in a thread where calls are slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import perf_counter
from typing import TYPE_CHECKING

from everfit.core.errors import OverloadedError
from everfit.serving.counters import RequestCounters
from everfit.serving.http.responses import Response, error_info
from everfit.serving.inference.batching import Batcher, PendingRequest

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import DataPlane
    from everfit.serving.protocols.codec import Codec

_INLINE_BYTES = 16 * 1024
"""A larger body has many rows; it is handled in a thread, so that other requests need not wait for it."""
_RETRY = "Send the request again in a moment."


class Admission:
    """Bound on the number of requests that wait at once, as a context manager of each of them."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting = 0

    def __enter__(self) -> None:
        if self._waiting >= self._max_waiting:
            raise OverloadedError(f"at most {self._max_waiting} requests may wait at once", remedy=_RETRY)
        self._waiting += 1

    def __exit__(self, *error: object) -> None:
        self._waiting -= 1


class PredictionHandler:
    """Handles prediction requests. All its methods belong to the event loop's thread.

    Args:
        timeout_s: Longest time for a request, in seconds.
        syncs: A response is sent only once its record is on the disk.
    """

    def __init__(self, data_plane: DataPlane, *, admission: Admission, timeout_s: float, syncs: bool) -> None:
        self.counters_by_model: dict[str, RequestCounters] = {"": RequestCounters()}
        """Counters by model; requests for a model that is not served are counted under the empty name."""
        self._data_plane = data_plane
        self._admission = admission
        self._timeout_s = timeout_s
        self._syncs = syncs
        self._batchers: dict[str, Batcher] = {}

    def handle(
        self, codec: Codec, http: HttpRequest, model: str, version: int | None = None
    ) -> Response | Awaitable[Response]:
        """Return the response to a prediction request, or an awaitable of it; never raise.

        A ``version`` of ``None`` leaves it to the deployment.
        """
        began_s = perf_counter()
        counters = self.counters_by_model[""]
        try:
            variants = self._data_plane.variants(model)
            counters = self.counters_of(model)
            batcher = self._batchers.get(model) or self._batchers.setdefault(model, Batcher(self._data_plane))
            is_large = len(http.body) > _INLINE_BYTES
            if not batcher.is_quick or is_large or codec.is_slow or variants.is_remote:
                pending = PendingRequest(variants, codec, http, version, began_s)
                return self._respond_later(batcher, pending, counters)
            request = codec.read(variants.decoder, http)
            predictions = self._data_plane.predict(variants, request, began_s=began_s, version=version)
            response = codec.write(variants.champion, request, predictions)
            seconds = perf_counter() - began_s
            if len(predictions.ids) == 1:
                batcher.observe_latency(seconds)
            counters.count_prediction(len(predictions.ids), predictions.missing, seconds)
            return self._on_record(codec, response)
        except Exception as error:  # noqa: BLE001 - whatever a model or a project's code raises: logged, never shown
            return _error(codec, error, counters, began_s)

    async def _respond_later(self, batcher: Batcher, pending: PendingRequest, counters: RequestCounters) -> Response:
        codec = pending.codec
        try:
            with self._admission:
                async with asyncio.timeout(self._timeout_s):
                    request, predictions = await batcher.submit(pending)
                response = codec.write(pending.variants.champion, request, predictions)
            seconds = perf_counter() - pending.began_s
            counters.count_prediction(len(predictions.ids), predictions.missing, seconds)
            return self._on_record(codec, response)
        except TimeoutError:
            late = OverloadedError(f"a prediction must be ready within {self._timeout_s:g} seconds", remedy=_RETRY)
            return _error(codec, late, counters, pending.began_s)
        except Exception as error:  # noqa: BLE001 - as in handle
            return _error(codec, error, counters, pending.began_s)

    def close(self) -> None:
        """Respond to the requests that wait, then end the threads."""
        for batcher in self._batchers.values():
            batcher.close()

    def counters_of(self, model: str) -> RequestCounters:
        """Return the counters of a model that is served."""
        return self.counters_by_model.get(model) or self.counters_by_model.setdefault(model, RequestCounters())

    def _on_record(self, codec: Codec, response: Response) -> Response:
        if not self._syncs:
            return response
        return response._replace(on_write_error=lambda error: codec.write_error(error_info(error)))


def _error(codec: Codec, error: Exception, counters: RequestCounters, began_s: float) -> Response:
    info = error_info(error)
    counters.count_error(info.status, perf_counter() - began_s)
    return codec.write_error(info)

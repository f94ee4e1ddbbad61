"""Queue of responses: each is sent once the record of its predictions is as durable as the settings ask.

All responses of one turn of the event loop are sent together, after one ``write()`` of all their records; clients on
the same processor are woken once for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from everfit.core.errors import StoreError

if TYPE_CHECKING:
    from everfit.serving.http.connection import Connection
    from everfit.serving.http.responses import Response
    from everfit.serving.prediction_logger import PredictionLogger


class _Queued(NamedTuple):
    connection: Connection
    response: Response
    keep: bool
    head_only: bool


class ResponseQueue:
    """First-in, first-out queue of responses. It belongs to the event loop's thread."""

    def __init__(self, prediction_logger: PredictionLogger) -> None:
        self._prediction_logger = prediction_logger
        self._syncs = prediction_logger.durability == "sync"
        self._responses: list[_Queued] = []
        self._call_soon: Callable[..., object] | None = None

    def put(self, connection: Connection, response: Response, *, keep: bool, head_only: bool) -> None:
        """Send a response at the end of this turn of the event loop, or once its record is on the disk."""
        if not self._responses:
            if self._call_soon is None:
                self._call_soon = asyncio.get_running_loop().call_soon
            self._call_soon(self._flush)
        self._responses.append(_Queued(connection, response, keep, head_only))

    def _flush(self) -> None:
        responses, self._responses = self._responses, []
        try:
            self._prediction_logger.flush()
        except StoreError as error:
            _send(responses, error)
            return
        if not self._syncs:
            for connection, response, keep, head_only in responses:
                connection.send(response, keep=keep, head_only=head_only)
            return
        held: list[_Queued] = []
        for queued in responses:
            # Only predictions wait for the disk, and responses behind them on the same connection.
            if queued.response.on_write_error is None and queued.connection.held == 0:
                _send([queued], None)
            else:
                queued.connection.held += 1
                held.append(queued)
        if held:
            self._prediction_logger.when_on_disk(lambda error: _release(held, error))


def _release(responses: Sequence[_Queued], error: StoreError | None) -> None:
    for queued in responses:
        queued.connection.held -= 1
    _send(responses, error)


def _send(responses: Sequence[_Queued], error: StoreError | None) -> None:
    for connection, response, keep, head_only in responses:
        if error is not None and response.on_write_error is not None:
            response = response.on_write_error(error)  # noqa: PLW2901
        connection.send(response, keep=keep, head_only=head_only)

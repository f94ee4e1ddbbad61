"""Queue of responses: each is sent once the record of its predictions is as durable as the settings ask.

All responses of one turn of the event loop are sent together, after one ``write()`` of all their records; clients on
the same processor are woken once for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from everfit.core.errors import StoreError

if TYPE_CHECKING:
    from everfit.serving.http.connection import Connection
    from everfit.serving.http.responses import Response
    from everfit.serving.prediction_logger import PredictionLogger


class ResponseQueue:
    """First-in, first-out queue of responses. It belongs to the event loop's thread."""

    def __init__(self, prediction_logger: PredictionLogger) -> None:
        self._prediction_logger = prediction_logger
        self._syncs = prediction_logger.durability == "sync"
        self._responses: list[tuple[Connection, Response]] = []

    def put(self, connection: Connection, response: Response) -> None:
        """Send a response at the end of this turn of the event loop, or once its record is on the disk."""
        if not self._responses:
            asyncio.get_running_loop().call_soon(self._flush)
        self._responses.append((connection, response))

    def _flush(self) -> None:
        responses, self._responses = self._responses, []
        try:
            self._prediction_logger.flush()
        except StoreError as error:
            _send(responses, error)
            return
        if not self._syncs:
            _send(responses, None)
            return
        held = []
        for connection, response in responses:
            # Only predictions wait for the disk, and responses behind them on the same connection.
            if response.on_write_error is None and connection.held == 0:
                connection.send(response)
            else:
                connection.held += 1
                held.append((connection, response))
        if held:
            self._prediction_logger.when_on_disk(lambda error: _release(held, error))


def _release(responses: Sequence[tuple[Connection, Response]], error: StoreError | None) -> None:
    for connection, _ in responses:
        connection.held -= 1
    _send(responses, error)


def _send(responses: Sequence[tuple[Connection, Response]], error: StoreError | None) -> None:
    for connection, response in responses:
        if error is not None and response.on_write_error is not None:
            response = response.on_write_error(error)  # noqa: PLW2901
        connection.send(response)

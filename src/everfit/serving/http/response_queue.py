"""Answers on their way out: none leaves before its record is as safe as it must be.

All answers of one turn of the event loop go together: one ``write()`` for all their records, and callers that wait on
the same processor are woken once rather than one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from everfit.core.errors import StoreError

if TYPE_CHECKING:
    from everfit.serving.http.connection import Connection
    from everfit.serving.http.responses import Reply
    from everfit.serving.prediction_logger import Recorder


class _Letter(NamedTuple):
    connection: Connection
    reply: Reply
    keep: bool
    head_only: bool


class Outbox:
    """Sends replies in the order in which they were put in. It belongs to the event loop's thread.

    Args:
        recorder: Holds the records of what is answered.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._syncs = recorder.durability == "sync"
        self._letters: list[_Letter] = []
        self._call_soon: Callable[..., object] | None = None

    def put(self, connection: Connection, reply: Reply, *, keep: bool, head_only: bool) -> None:
        """Send a reply at the end of this turn, or once its record is on the disk."""
        if not self._letters:
            if self._call_soon is None:
                self._call_soon = asyncio.get_running_loop().call_soon
            self._call_soon(self._flush)
        self._letters.append(_Letter(connection, reply, keep, head_only))

    def _flush(self) -> None:
        letters, self._letters = self._letters, []
        try:
            self._recorder.flush()
        except StoreError as error:
            _send(letters, error)
            return
        if not self._syncs:
            for connection, reply, keep, head_only in letters:
                connection.send(reply, keep=keep, head_only=head_only)
            return
        held: list[_Letter] = []
        for letter in letters:
            # A page need not wait for the disk, unless an answer to the same caller does.
            if letter.reply.unless is None and letter.connection.held == 0:
                _send([letter], None)
            else:
                letter.connection.held += 1
                held.append(letter)
        if held:
            self._recorder.when_on_disk(lambda error: _release(held, error))


def _release(letters: Sequence[_Letter], error: StoreError | None) -> None:
    for letter in letters:
        letter.connection.held -= 1
    _send(letters, error)


def _send(letters: Sequence[_Letter], error: StoreError | None) -> None:
    for connection, reply, keep, head_only in letters:
        sent = reply if error is None or reply.unless is None else reply.unless(error)
        connection.send(sent, keep=keep, head_only=head_only)

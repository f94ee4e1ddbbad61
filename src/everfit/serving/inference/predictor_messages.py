"""Messages between a worker and a predictor process, over a pair of connected sockets.

A message is its length, 4 bytes in little-endian order, and MessagePack. Each request gets one reply before the next
one is sent.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct

from everfit.artifact.schema import RequestField
from everfit.core.errors import (
    CorruptPackageError,
    EverfitError,
    InvalidRequestError,
    PackageError,
    ProcessError,
    RemoteError,
    UntrustedPackageError,
)

_HEAD_BYTES = 4
_RECEIVED_BYTES = 1 << 16
"""A larger buffer comes from a system call of its own."""


class Start(Struct, frozen=True, array_like=True):
    """First message to the process."""

    digest: str
    """Of the package that it must execute."""
    keys: list[str]
    """The trusted keys."""


class Ready(Struct, frozen=True, array_like=True, tag="ready"):
    """Reply to :class:`Start`."""

    runtime: str
    features: tuple[str, ...]


class Predicted(Struct, frozen=True, array_like=True, tag="predicted"):
    """Reply to rows with their looked-up features."""

    values: list[Any]
    used: list[list[Any]]


class Raised(Struct, frozen=True, array_like=True, tag="raised"):
    """Reply to a request that raised an exception."""

    kind: str
    """Name of its class."""
    message: str
    """Of an error of Everfit, its rule."""
    value: Any
    remedy: str
    place: str
    traceback: str

    def exception(self) -> Exception:
        """Return the exception as the worker raises it."""
        for kind in (InvalidRequestError, PackageError, CorruptPackageError, UntrustedPackageError, ProcessError):
            if kind.__name__ == self.kind:
                return kind(self.message, value=self.value, remedy=self.remedy, place=self.place)
        error = RemoteError(f"{self.kind}: {self.message}")
        error.add_note(self.traceback)
        return error


Reply = Ready | Predicted | Raised

encode = msgspec.msgpack.Encoder(enc_hook=repr).encode
decode_start = msgspec.msgpack.Decoder(Start).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode


def rows_decoder(request: Sequence[RequestField]) -> msgspec.msgpack.Decoder[Any]:
    """Return a decoder of rows and looked-up features; MessagePack has every type of them but dates, which are text."""
    row: Any = tuple.__class_getitem__(tuple(date | None if field.type == "date" else Any for field in request))
    return msgspec.msgpack.Decoder(tuple.__class_getitem__((list.__class_getitem__(row), list[list[Any]])))


def raised(error: Exception) -> Raised:
    """Return the reply for an exception."""
    text = "".join(traceback.format_exception(error))
    if isinstance(error, EverfitError):
        return Raised(type(error).__name__, error.rule, error.value, error.remedy, error.place, text)
    return Raised(type(error).__name__, str(error), None, "", "", text)


def send(connection: socket.socket, message: bytes) -> None:
    """Send a message. Raises ``OSError``, of which ``TimeoutError`` is one."""
    connection.sendall(len(message).to_bytes(_HEAD_BYTES, "little") + message)


def receive(connection: socket.socket) -> bytes:
    """Return the next message. Raises ``EOFError`` if the other side has closed the connection, and ``OSError``."""
    received = connection.recv(_RECEIVED_BYTES)
    if len(received) < _HEAD_BYTES:
        received += _receive_exactly(connection, _HEAD_BYTES - len(received))
    size = int.from_bytes(received[:_HEAD_BYTES], "little")
    missing = _HEAD_BYTES + size - len(received)
    return received[_HEAD_BYTES:] + _receive_exactly(connection, missing) if missing else received[_HEAD_BYTES:]


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), _RECEIVED_BYTES))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)

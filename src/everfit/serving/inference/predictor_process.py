"""The process that executes one version in the environment of its release, for one worker."""

from __future__ import annotations

import ctypes
import gc
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from everfit.artifact.package import Package, open_package
from everfit.artifact.signing import Trust
from everfit.core.errors import CorruptPackageError
from everfit.serving.inference.execution import LocalExecution
from everfit.serving.inference.predictor_messages import (
    Predicted,
    Ready,
    Reply,
    Start,
    decode_start,
    encode,
    raised,
    receive,
    rows_decoder,
    send,
)

_PR_SET_PDEATHSIG = 1
"""From Linux' ``prctl.h``."""


def run_predictor(folder: Path, connection: socket.socket) -> None:
    """Load the package in a folder, and execute it until the worker closes the connection."""
    _die_with_parent()
    with suppress(EOFError, ConnectionError):
        start = decode_start(receive(connection))
        try:
            package = _open(folder, start)
            execution = LocalExecution(package.predictor(), package.row_pipeline())
        except Exception as error:  # noqa: BLE001 - whatever a package's library raises on its content
            send(connection, encode(raised(error)))
            return
        # The objects made so far stay: the garbage collector need not visit them again and again.
        gc.collect()
        gc.freeze()
        send(connection, encode(Ready(execution.runtime, execution.features)))
        decode = rows_decoder(package.schema.request).decode
        while True:
            message = receive(connection)
            try:
                reply = encode(_execute(execution, *decode(message)))
            except Exception as error:  # noqa: BLE001 - whatever a model or a project's code raises
                reply = encode(raised(error))
            send(connection, reply)


def _open(folder: Path, start: Start) -> Package:
    package = open_package(folder, trust=Trust(start.keys))
    if package.digest != start.digest:
        rule = "the package must be the one that the worker verified"
        raise CorruptPackageError(rule, value=package.digest, place=str(folder))
    return package


def _execute(execution: LocalExecution, rows: list[tuple[object, ...]], looked_up: list[list[object]]) -> Reply:
    # As in the worker, whose calls of one row and of several may differ in the last digits.
    if len(rows) == 1:
        value, used = execution.run_one(rows[0], looked_up[0])
        return Predicted([value], [list(used)])
    values, all_used = execution.run(rows, looked_up)
    return Predicted(values, list(map(list, all_used)))


def _die_with_parent() -> None:
    """Be killed with the worker, even in the middle of a computation; elsewhere than on Linux, end after it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

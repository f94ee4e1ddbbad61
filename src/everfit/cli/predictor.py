"""``everfit predictor``: the hidden command that executes a version for a worker."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.logs import keep_log
from everfit.cli.options import AsJson
from everfit.core.errors import MisuseError
from everfit.serving.inference.predictor_process import run_predictor
from everfit.store.release_lock import keep_folder


def predictor(
    folder: Annotated[Path, typer.Option("--folder", help="Folder of the version's package.")],
    connection: Annotated[int, typer.Option("--socket", help="Descriptor of the socket to the worker.")],
    as_json: AsJson = False,
) -> None:
    """Execute a version in the environment of its release."""
    keep_log("predictor", as_json=as_json)
    keep_folder(Path(sys.prefix))
    run_predictor(folder, _socket(connection))


def _socket(descriptor: int) -> socket.socket:
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise MisuseError(f"the descriptor must be that of a socket: {error}", value=descriptor) from error

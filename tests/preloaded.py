"""The command in a process of its own, forked from one that has imported the libraries, which takes five seconds.

Nothing may be computed in that one: threads do not survive a fork. Polars begins its pool when it is first used.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

_LIBRARIES = [
    "everfit.cli.main",
    "everfit.wiring",
    "everfit.commands.train",
    "everfit.commands.validate",
    "everfit.delivery.rollouts",
    "everfit.gates.data_schema",
    "everfit.loop.candidate_pipeline",
    "everfit.loop.loop",
    "everfit.registry.registry",
    "everfit.store.ledger",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna",
    "sklearn.ensemble",
    "sklearn.pipeline",
    "skops.io",
    "treelite",
]


def run_command(
    folder: Path, words: Sequence[str], variables: Mapping[str, str], *, timeout_s: float
) -> tuple[int, str, str]:
    """Run the command in a folder; return its exit code, output and errors.

    Raises :class:`subprocess.TimeoutExpired` if it takes longer.
    """
    with TemporaryDirectory() as temporary:
        out, err = Path(temporary, "out"), Path(temporary, "err")
        process = _server().Process(target=_main, args=(str(folder), list(words), dict(variables), str(out), str(err)))
        process.start()
        process.join(timeout_s)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(words), timeout_s, out.read_bytes(), err.read_bytes())
        assert process.exitcode is not None
        return process.exitcode, out.read_text(), err.read_text()


@cache
def _server() -> ForkServerContext:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(_LIBRARIES)
    return server


def _main(folder: str, words: list[str], variables: dict[str, str], out: str, err: str) -> None:
    """In the new process: be what `python -m everfit` would be."""
    for number, file in ((1, out), (2, err)):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.argv = ["everfit", *words]
    sys.path.insert(0, folder)
    from everfit.cli.main import main

    try:
        main()
    finally:
        # A process that was forked ends without them.
        atexit._run_exitfuncs()

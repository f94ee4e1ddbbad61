"""The project that a demo works in, and the commands that it leaves running meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from everfit.core.errors import ProjectError

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0


def example(name: str) -> Path:
    """The folder of an example: inside the installed package, or beside the sources in a checkout.

    Raises:
        ProjectError: If it is in neither place.
    """
    package = Path(__file__).parent.parent
    for folder in (package / "examples" / name, package.parent.parent / "examples" / name):
        if (folder / "everfit.toml").is_file():
            return folder
    raise ProjectError("the examples must be installed with everfit", value=name, remedy="Install everfit again.")


@contextmanager
def copy_of(name: str, folder: Path | None) -> Iterator[Path]:
    """A fresh copy of an example.

    Args:
        name: The example's.
        folder: Where to keep it; by default it is removed at the end.

    Raises:
        ProjectError: If the example is missing, or the folder holds an earlier copy's state.
    """
    with tempfile.TemporaryDirectory(prefix="everfit-demo-") if folder is None else _kept(folder) as parent:
        root = Path(parent) / name
        if (root / ".everfit").exists():
            raise ProjectError("a demo must begin with nothing", value=str(root), remedy="Name another folder.")
        ignored = shutil.ignore_patterns("__pycache__", ".everfit")
        shutil.copytree(example(name), root, dirs_exist_ok=True, ignore=ignored)
        yield root


@contextmanager
def _kept(folder: Path) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    yield str(folder.resolve())


@contextmanager
def running(
    root: Path, *command: str, log: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """Keep a command of everfit running that says with ``--json`` where it listens.

    Args:
        root: The project's folder.
        *command: After ``everfit``.
        log: Takes what it says of itself; the terminal by default.
        environment: Its variables; this process's by default.

    Raises:
        ProjectError: If it does not start.
    """
    line = [sys.executable, "-m", "everfit", *command, "--json", "--project", str(root)]
    with open(os.devnull if log is None else log, "ab") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own command
            line, env=environment, stdout=subprocess.PIPE, stderr=None if log is None else sink
        )
        try:
            yield Started(process, " ".join(command))
        finally:
            process.terminate()
            process.wait(timeout=_STOP_TIMEOUT_S)


class Started:
    """A command that was started, and may not be of use yet."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self._process = process
        self._name = name

    def url(self) -> str:
        """Where it listens, once it does.

        Raises:
            ProjectError: If it ends instead.
        """
        assert self._process.stdout is not None
        text, deadline = b"", time.monotonic() + _START_TIMEOUT_S
        while not text.endswith(b"}\n") or text.count(b"{") != text.count(b"}"):
            read = self._process.stdout.readline()
            text += read
            if not read or time.monotonic() > deadline:
                raise ProjectError(f"everfit {self._name} must start", value=f"exit {self._process.poll()}")
        return str(json.loads(text)["url"])

    def wait(self) -> None:
        """Return once it has ended by itself."""
        self._process.wait()

"""Projects of the demos, and commands that run in the background."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from everfit.core.errors import ProjectError

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0


def _example(name: str) -> Path:
    """Return the folder of an example: inside the installed package, or beside the sources in a checkout."""
    package = Path(__file__).parent.parent
    for folder in (package / "examples" / name, package.parent.parent / "examples" / name):
        if (folder / "everfit.toml").is_file():
            return folder
    raise ProjectError("the examples must be installed with everfit", value=name, remedy="Install everfit again.")


@contextmanager
def copy_of(name: str, folder: Path | None) -> Iterator[Path]:
    """Yield the folder of a fresh copy of an example in ``folder``; without one, the copy is removed at the end.

    Raises :class:`ProjectError` if the folder has the state of an earlier copy.
    """
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="everfit-demo-") as parent:
        root = Path(parent).resolve() / name
        if (root / ".everfit").exists():
            raise ProjectError("the folder of a demo must be new", value=str(root), remedy="Choose another folder.")
        ignored = shutil.ignore_patterns("__pycache__", ".everfit")
        shutil.copytree(_example(name), root, dirs_exist_ok=True, ignore=ignored)
        yield root


@contextmanager
def running(
    root: Path, *command: str, log: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """Run a command of everfit, such as ``up``, in the background until the block ends.

    Its log goes to the file ``log``, by default to the terminal; by default, it has the variables of this process.
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


@dataclass(frozen=True)
class Started:
    """A command that runs in the background."""

    process: subprocess.Popen[bytes]
    name: str

    def url(self) -> str:
        """Wait until the command listens, and return its URL. Raises :class:`ProjectError` if it ends before."""
        assert self.process.stdout is not None
        text, deadline = b"", time.monotonic() + _START_TIMEOUT_S
        while not text.endswith(b"}\n") or text.count(b"{") != text.count(b"}"):
            read = self.process.stdout.readline()
            text += read
            if not read or time.monotonic() > deadline:
                raise ProjectError(f"everfit {self.name} must start", value=f"exit {self.process.poll()}")
        return str(json.loads(text)["url"])

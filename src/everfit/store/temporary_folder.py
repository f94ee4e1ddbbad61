"""Temporary folders and files in the state folder; what a killed process has left is deleted by the next controller."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from everfit.store.controller_report import is_alive

_PARENT = "temporary"
_FOLDER, _FILE = re.compile(r"[a-z]+-(\d+)-\w+"), re.compile(r".+\.(\d+)\.new")
"""Names with the number of the process that writes: of folders, and of files (:mod:`everfit.store.atomic_file`)."""


@contextmanager
def temporary_folder(state: Path, purpose: str) -> Iterator[Path]:
    """Yield a new folder, which is deleted afterwards; its name has the purpose, a word, and this process's number."""
    parent = state / _PARENT
    parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{purpose}-{os.getpid()}-", dir=parent) as folder:
        yield Path(folder)


def delete_leftovers(state: Path) -> None:
    """Delete temporary folders, and files that were not renamed into their place, of processes that have ended."""
    for path in (*state.glob(f"{_PARENT}/*"), *state.glob("*.new"), *state.glob("*/*.new")):
        name = (_FOLDER if path.is_dir() else _FILE).fullmatch(path.name)
        if name is None or is_alive(int(name[1])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

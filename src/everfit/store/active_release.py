"""The releases that processes run in: one small document each, and one that names the active release.

They are files beside the state, replaced as a whole, so that a process can start in its release without the ledger.
The ledger decides which release is active, and the document follows it; only the supervisor changes the document on its
own, if no controller can start in a release that is new.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from everfit.core.errors import StoreError
from everfit.store.atomic_file import replace_file

RELEASES_FOLDER = "releases"
TREES, ENVIRONMENTS = "trees", "environments"
"""Folders in that of the releases: the files of commits by their ids, the environments by their digests."""
INTERPRETER_VARIABLE = "EVERFIT_INTERPRETER"
"""The Python that Everfit is installed in, for processes that run in the environment of a release."""
_ACTIVE = "active.json"


class ReleaseFolder(Struct, frozen=True, kw_only=True):
    """Code and environment of one release; written once, and never changed."""

    number: int
    commit: str
    code: str
    """``sha256:…`` of its code."""
    tree: str
    """Folder of the project's code, relative to the state folder."""
    environment: str = ""
    """Folder of its environment, relative to the state folder; empty for the one that Everfit is installed in."""

    def folders(self, state: Path) -> list[Path]:
        """Return the folders that its processes need: the files of the whole commit, and the environment."""
        # releases/trees/<commit>; the project may be in a folder of it.
        tree = Path(*Path(self.tree).parts[:3])
        return [state / tree, *([state / self.environment] if self.environment else [])]

    def code_folder(self, state: Path) -> Path:
        """Return the folder that holds everfit.toml and the project's module."""
        return state / self.tree

    def interpreter(self, state: Path) -> str:
        """Return the Python that its processes run in."""
        return str(python_of(state / self.environment)) if self.environment else own_interpreter()


def own_interpreter() -> str:
    """Return the Python that Everfit is installed in."""
    return os.environ.get(INTERPRETER_VARIABLE) or sys.executable


def python_of(environment: Path) -> Path:
    """Return the interpreter of an environment; it is a link that must not be resolved, which would leave it."""
    return environment / "bin" / "python"


class ActiveRelease(Struct, frozen=True, kw_only=True):
    """The release that is active; 0 is the project's own folder."""

    number: int = 0
    previous: int = 0
    """The one that is active again if no controller can start in this one."""
    is_proven: bool = False
    """True once a controller has started in it."""
    given_back: int = 0
    """Number of the release in which no controller could start, until that is on record; 0 for none."""
    reason: str = ""
    """The reason why that one was given back."""


def write_release(state: Path, release: ReleaseFolder) -> None:
    """Write a release's document. Raises :class:`StoreError` if it cannot be written."""
    _write(_document(state, release.number), msgspec.json.encode(release))


def read_release(state: Path, number: int) -> ReleaseFolder | None:
    """Return a release; ``None`` if there is none of that number. Raises :class:`StoreError` if it is unreadable."""
    return _read(_document(state, number), ReleaseFolder)


def delete_release(state: Path, number: int) -> None:
    """Delete a release's document, if there is one: no process starts in it any more. Raises :class:`StoreError`."""
    path = _document(state, number)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"the releases' documents must be writable: {error}", value=str(path)) from error


def release_of(state: Path, number: int, *, commit: str) -> ReleaseFolder | None:
    """Return the release that trained a version; raises :class:`StoreError` if its document is unreadable.

    ``None`` if the version was trained by the project's own folder, or by a release of another system, whose number
    means another commit here, or nothing.
    """
    found = read_release(state, number) if number else None
    return found if found is not None and found.commit == commit else None


def read_active(state: Path) -> ActiveRelease:
    """Return the document of the active release. Raises :class:`StoreError` if it is unreadable."""
    return _read(state / RELEASES_FOLDER / _ACTIVE, ActiveRelease) or ActiveRelease()


def change_active(state: Path, decide: Callable[[ActiveRelease], ActiveRelease]) -> ActiveRelease:
    """Change the document of the active release: one atomic change, and nothing is written if it stays as it is.

    Under a lock, ``decide`` maps the present document to the new one, which is returned. Raises :class:`StoreError` if
    there is no such release, or a document cannot be read or written.
    """
    path = state / RELEASES_FOLDER / _ACTIVE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            present = read_active(state)
            wanted = decide(present)
            if wanted.number and read_release(state, wanted.number) is None:
                raise StoreError("only a release that was built can be active", value=wanted.number)
            if wanted != present:
                _write(path, msgspec.json.encode(wanted))
    except OSError as error:
        raise StoreError(f"the releases' documents must be writable: {error}", value=str(path)) from error
    return wanted


def active_release(state: Path) -> ReleaseFolder | None:
    """Return the active release; ``None`` while the project's own folder is what runs. Raises :class:`StoreError`."""
    number = read_active(state).number
    return read_release(state, number) if number else None


_Document = TypeVar("_Document", ReleaseFolder, ActiveRelease)


def _document(state: Path, number: int) -> Path:
    return state / RELEASES_FOLDER / f"{number}.json"


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content, durable=True)
    except OSError as error:
        raise StoreError(f"the releases' documents must be writable: {error}", value=str(path)) from error


def _read(path: Path, kind: type[_Document]) -> _Document | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise StoreError(f"a release's document must be readable: {error}", value=str(path)) from error

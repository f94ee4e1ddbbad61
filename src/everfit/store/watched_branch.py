"""The head of the watched branch as it was last recorded, so that each change of it is acted on once."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.core.errors import StoreError
from everfit.core.settings import ReleaseSettings
from everfit.store.active_release import RELEASES_FOLDER
from everfit.store.atomic_file import replace_file

_FILE = "watched.json"


class WatchedBranch(Struct, frozen=True, kw_only=True):
    """A branch with its head."""

    repository: str = ""
    branch: str = ""
    head: str = ""
    """The full commit id; empty if the branch was not seen yet, or does not exist any more."""


def read_watched(state: Path, settings: ReleaseSettings) -> WatchedBranch:
    """Return the branch of the settings with the head that is on record.

    The file is a note: if it cannot be decoded, or is about another branch, the branch was not seen yet.
    """
    try:
        found = msgspec.json.decode((state / RELEASES_FOLDER / _FILE).read_bytes(), type=WatchedBranch)
    except (FileNotFoundError, msgspec.DecodeError):
        found = WatchedBranch()
    expected = WatchedBranch(repository=settings.repository, branch=settings.branch, head=found.head)
    return found if found == expected else WatchedBranch(repository=settings.repository, branch=settings.branch)


def write_watched(state: Path, settings: ReleaseSettings, head: str) -> None:
    """Replace the head on record. Raises :class:`StoreError` if the disk refuses."""
    path = state / RELEASES_FOLDER / _FILE
    content = WatchedBranch(repository=settings.repository, branch=settings.branch, head=head)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, msgspec.json.encode(content), durable=True)
    except OSError as error:
        raise StoreError(f"the watched branch could not be recorded: {error}", value=str(path)) from error

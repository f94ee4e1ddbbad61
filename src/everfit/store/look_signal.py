"""Signal to look at the source repository now, instead of at the next poll: a file whose time of change is all it says.

A hook of the repository, a webhook, or a command about releases gives it. Many signals between two looks are one; one
that is lost is made up for by the next poll.
"""

from __future__ import annotations

from pathlib import Path

from everfit.core.errors import StoreError
from everfit.store.active_release import RELEASES_FOLDER


def look_file(state: Path) -> Path:
    """Return the path of the signal file, below a project's state folder."""
    return state / RELEASES_FOLDER / "look"


def signal_look(state: Path) -> None:
    """Give the signal. Raises :class:`StoreError` if the file cannot be written."""
    path = look_file(state)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise StoreError(f"the signal to look at the repository must be writable: {error}", value=str(path)) from error


def look_stamp(state: Path) -> int:
    """Return a value that differs after every signal; 0 before the first one."""
    try:
        return look_file(state).stat().st_mtime_ns
    except OSError:
        return 0

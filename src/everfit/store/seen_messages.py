"""Memory of messages that were accepted, so that a replayed one is refused by every process and after a restart."""

from __future__ import annotations

import os
from pathlib import Path

from everfit.core.errors import StoreError

KEPT = 1024
"""Number of messages that are remembered at least; chosen: pushes of months, in at most 2,048 empty files."""


class SeenMessages:
    """A folder with an empty file for each message, named by its digest.

    The exclusive creation of a file is the test and the record in one system call: of several workers that receive one
    message exactly one accepts it. Only accepted messages are recorded, so that it cannot be filled without a secret.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, digest: str) -> bool:
        """Remember a message by its digest in hexadecimal; return false if it was seen before.

        Raises :class:`StoreError` if it can be neither found nor recorded.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._folder / digest, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self._prune()
        except FileExistsError:
            return False
        except OSError as error:
            rule = f"the memory of webhooks must be writable: {error}"
            raise StoreError(rule, value=str(self._folder)) from error
        return True

    def discard(self, digest: str) -> None:
        """Forget a message that could not be processed, so that its sender can repeat it."""
        (self._folder / digest).unlink(missing_ok=True)

    def _prune(self) -> None:
        """Forget the oldest messages once there are twice as many as must be remembered."""
        files = list(os.scandir(self._folder))
        if len(files) <= 2 * KEPT:
            return
        for file in sorted(files, key=_changed_ns)[:-KEPT]:
            self.discard(file.name)


def _changed_ns(file: os.DirEntry[str]) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:  # another worker forgot it
        return 0

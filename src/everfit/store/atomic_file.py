"""Replacement of a file as a whole: a reader sees the old content or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes, *, durable: bool = False, mode: int = 0o666) -> None:
    """Write a file beside another one, and rename it into its place; ``durable``, if it is to survive a power failure.

    Raises :class:`OSError` if it cannot be written.

    Args:
        mode: Permissions of the new file, less those that the process's mask takes away.
    """
    fresh = path.with_suffix(f".{os.getpid()}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
        file.write(content)
    if durable:
        sync_to_disk(fresh)
    fresh.replace(path)


def sync_to_disk(path: Path) -> None:
    """Put a file's content, or the names in a folder, on the disk. Raises :class:`OSError` if the disk refuses."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)

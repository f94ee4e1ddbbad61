"""Replacement of a file as a whole: a reader sees the old content or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file beside another one, and rename it into its place. Raises :class:`OSError` if it cannot be written.

    Args:
        path: The file.
        content: All of it.
        durable: Sync it to the disk first, so that it survives a power failure.
    """
    fresh = path.with_suffix(f".{os.getpid()}.new")
    with fresh.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)

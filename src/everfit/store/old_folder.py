"""Deletion of read-only folders: each is renamed first, so that what has its name is whole, and then deleted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from everfit.store.release_lock import unused

_OLD = ".old"


def set_aside(parent: Path, *, kept: Collection[str]) -> list[Path]:
    """Rename the folders in a folder, but for those that are kept by name or that a process keeps.

    Return them by their new names, with those that an interrupted deletion left. Raises :class:`OSError`.
    """
    if not parent.is_dir():
        return []
    found = []
    for folder in sorted(path for path in parent.iterdir() if path.is_dir() and path.name not in kept):
        if folder.suffix == _OLD:
            found.append(folder)
            continue
        with unused(folder) as is_unused:
            if is_unused:
                old = folder.with_name(folder.name + _OLD)
                delete_folder(old)
                found.append(folder.rename(old))
    return sorted(set(found))


def delete_folder(folder: Path) -> None:
    """Delete a folder with all that it holds, read-only or not; nothing if there is none. Raises :class:`OSError`."""
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o700)
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)

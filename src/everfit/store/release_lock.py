"""Locks of the kernel that keep the collection of releases away from what is in use; they end with their process.

A process that runs in a release holds a shared lock on the folders that it reads. A process that makes a release, or
takes one into use, holds a shared lock on all of them until that is on record. The collection needs both for itself.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from everfit.core.errors import StoreError
from everfit.store.active_release import RELEASES_FOLDER

_LOCK = "collection.lock"


@contextmanager
def all_kept(state: Path) -> Iterator[None]:
    """Keep all releases from being collected. Raises :class:`StoreError` if the lock's file cannot be written."""
    lock = _open(state)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        _release(lock)


@contextmanager
def collecting(state: Path) -> Iterator[bool]:
    """Yield true if this is the one collection, and no release is being made or taken into use until it ends.

    Raises :class:`StoreError` if the lock's file cannot be written.
    """
    lock = _open(state)
    try:
        yield _is_locked(lock)
    finally:
        _release(lock)


def keep_folder(folder: Path) -> None:
    """Keep a folder from being deleted until this process ends. Raises :class:`StoreError` if it is gone."""
    try:
        _keep(folder, folder.stat().st_ino)
        # While this process waited for the lock, it may have been moved away.
        folder.stat()
    except OSError as error:
        rule = f"the folder of a release must be there: {error.strerror}"
        raise StoreError(rule, value=str(folder), remedy="Run the command again.") from error


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Yield true if no process keeps a folder; one that wants it waits meanwhile."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _is_locked(number)
    finally:
        _release(number)


@cache
def _keep(folder: Path, inode: int) -> None:  # noqa: ARG001 - another folder may have its place later
    """Lock a folder, once in a process; its descriptor is never closed."""
    fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_SH)


def _open(state: Path) -> int:
    path = state / RELEASES_FOLDER / _LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"the releases' lock must be writable: {error}", value=str(path)) from error


def _release(number: int) -> None:
    """Unlock and close a file: a child that was forked a moment ago has it open too, until it executes its program."""
    fcntl.flock(number, fcntl.LOCK_UN)
    os.close(number)


def _is_locked(number: int) -> bool:
    """Lock an open file for this process alone; return false if another one holds it."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

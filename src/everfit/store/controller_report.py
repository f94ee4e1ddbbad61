"""What the controller says of itself, for whoever must not run ahead of it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.core.errors import StoreError

CONTROLLER_FILE = "controller.json"
"""Its name in the folder that holds a project's state."""


class ControllerReport(Struct, frozen=True, kw_only=True):
    """How far the controller is."""

    watched_until_us: int
    """The instant as of which it last looked at every model, in microseconds since 1970; 0 before the first time."""
    busy: bool
    """Whether something that it began is still under way: a training, a promotion."""
    pid: int
    says: dict[str, str] = {}
    """What each model's policy last said, by the model's name."""


def write_controller_report(state: Path, report: ControllerReport) -> None:
    """Replace the report, at once.

    Raises:
        StoreError: If the disk refuses.
    """
    path = state / CONTROLLER_FILE
    fresh = path.with_suffix(f".{os.getpid()}.new")
    try:
        fresh.write_bytes(msgspec.json.encode(report))
        fresh.replace(path)
    except OSError as error:
        raise StoreError(f"the controller's report could not be written: {error}", value=str(path)) from error


def read_controller_report(state: Path) -> ControllerReport | None:
    """The newest report; ``None`` if there is none that can be understood."""
    try:
        return msgspec.json.decode((state / CONTROLLER_FILE).read_bytes(), type=ControllerReport)
    except (OSError, msgspec.DecodeError):
        return None


def is_alive(pid: int) -> bool:
    """Whether this machine has such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

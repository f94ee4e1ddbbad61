"""Report of the controller's progress, for processes that must not run ahead of it, such as a replay."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.core.errors import StoreError
from everfit.store.atomic_file import replace_file

CONTROLLER_FILE = "controller.json"
"""Its name in the folder that holds a project's state."""


class ControllerReport(Struct, frozen=True, kw_only=True):
    """Progress of the controller."""

    watched_until_us: int
    """The latest instant as of which every model was evaluated, in microseconds since 1970; 0 before the first time."""
    busy: bool
    """True while a workflow that it started is running, such as a training or a promotion."""
    pid: int
    says: dict[str, str] = {}
    """The latest sentence of each model's policy, by the model's name."""


def write_controller_report(state: Path, report: ControllerReport) -> None:
    """Replace the report. Raises :class:`StoreError` if the disk refuses."""
    path = state / CONTROLLER_FILE
    try:
        replace_file(path, msgspec.json.encode(report))
    except OSError as error:
        raise StoreError(f"the controller's report could not be written: {error}", value=str(path)) from error


def read_controller_report(state: Path) -> ControllerReport | None:
    """Return the newest report; ``None`` if there is none that can be decoded."""
    try:
        return msgspec.json.decode((state / CONTROLLER_FILE).read_bytes(), type=ControllerReport)
    except (OSError, msgspec.DecodeError):
        return None


def is_alive(pid: int) -> bool:
    """Return true if this machine has such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

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
    """True while an order or a rollout's transition is under way, or has just ended and the next round must show what
    follows from it; false while a rollout only waits for rows or labels."""
    pid: int
    supervisor: int = 0
    """The process that starts it again when it ends; 0 if unknown."""
    says: dict[str, str] = {}
    """The latest sentence of each model's policy, by the model's name."""

    @property
    def is_expected(self) -> bool:
        """True if the controller has ended, and the process lives that starts another one."""
        return not is_alive(self.pid) and self.supervisor > 1 and is_alive(self.supervisor)


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
    """Return true if this machine has such a process, and it has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _kernel_state(pid) not in _ENDED


def is_stopped(pid: int) -> bool:
    """Return true if a process is held by a signal such as SIGSTOP; false where the system does not tell."""
    return _kernel_state(pid) in _HELD


_ENDED, _HELD = frozenset({"Z", "X"}), frozenset({"T", "t"})
"""States of Linux: a zombie, which has ended and waits for its parent, or is about to vanish; held, or traced."""


def _kernel_state(pid: int) -> str:
    """Return the letter of a process's state (proc(5)); empty where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""

"""Commands that need the project's definitions run in the active release: in its code, and in its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from everfit.cli.output import release_stdout
from everfit.runtime.launcher import RELEASE_VARIABLE, release_launcher
from everfit.store.active_release import ReleaseFolder
from everfit.system import System
from everfit.wiring import STATE_FOLDER, find_root, open_system, running_release


def open_in_release(folder: Path | None, flags: Mapping[str, Any] | None = None) -> System:
    """Open the project, in a process of the active release; arguments and errors are those of ``open_system``."""
    enter_release(folder)
    return open_system(folder, flags)


def enter_release(folder: Path | None) -> None:
    """Replace this process by the same command in the active release's environment, if that is not this process's own.

    A process that was started for a release is in its environment already.
    """
    if RELEASE_VARIABLE not in os.environ:
        root = find_root(folder)
        enter_environment(root, running_release(root))


def enter_environment(root: Path, release: ReleaseFolder | None) -> None:
    """Replace this process by the same command in a release's environment, unless that is where it runs already.

    Nothing happens for a release without an environment of its own, nor for ``None``.
    """
    if release is None or not release.environment or os.environ.get(RELEASE_VARIABLE) == str(release.number):
        return
    launcher = release_launcher(root, root / STATE_FOLDER, release)
    release_stdout()
    command = [launcher.interpreter, "-m", "everfit", *sys.argv[1:]]
    os.execve(launcher.interpreter, command, launcher.variables)  # noqa: S606 - our own command

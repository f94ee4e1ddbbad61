"""Command line and environment of a project's processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from everfit.core.errors import StoreError
from everfit.store.active_release import INTERPRETER_VARIABLE, ReleaseFolder, own_interpreter, read_release

RELEASE_VARIABLE = "EVERFIT_RELEASE"
"""Number of the release that a process runs in; without it, that is the active one."""


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Command line of this project's processes, with an interpreter and variables besides those of this process."""

    root: Path
    interpreter: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> list[str]:
        """Return the command line of an ``everfit`` command on this project."""
        return [self.interpreter, "-m", "everfit", *words, "--project", str(self.root)]

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of the processes."""
        return {**os.environ, **self.environment}


def launcher_of(root: Path, state: Path, number: int) -> Launcher:
    """Return the launcher of a release's processes by its number; 0 is the folder.

    Raises :class:`StoreError` if there is no such release.
    """
    release = read_release(state, number) if number else None
    if number and release is None:
        raise StoreError("the release that a process runs in must be there", value=number)
    return release_launcher(root, state, release)


def release_launcher(root: Path, state: Path, release: ReleaseFolder | None) -> Launcher:
    """Return the launcher of processes that run in a release's code and environment; ``None``: in the folder's."""
    own = own_interpreter()
    variables = {RELEASE_VARIABLE: str(release.number) if release else "0", INTERPRETER_VARIABLE: own}
    if release is not None:
        # A read-only tree can be written to by root, and bytecode is no file of the commit.
        variables["PYTHONDONTWRITEBYTECODE"] = "1"
    return Launcher(root=root, interpreter=release.interpreter(state) if release else own, environment=variables)

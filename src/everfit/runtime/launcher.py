"""Command line and environment of a project's processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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

"""Programs that a test writes and starts."""

from __future__ import annotations

import subprocess
from pathlib import Path


def write_program(path: Path, text: str) -> Path:
    """Write an executable file, through a process of its own, and return its path.

    While a file is open for writing it cannot be executed (``ETXTBSY``), and a process that another thread forks at
    that moment keeps it open: the descriptor must not be one of this process.
    """
    command = ["/bin/sh", "-c", 'cat > "$0" && chmod 755 "$0"', str(path)]
    subprocess.run(command, input=text, text=True, check=True)
    return path

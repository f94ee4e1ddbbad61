"""A lock is free once its holder has left it, whoever else has the file open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FORKS = """
import os, sys, time
from pathlib import Path

from everfit.store.sqlite_file import file_lock

path = Path(sys.argv[1])
with file_lock(path, wait=False) as held:
    assert held
    # As any thread that starts a process, for the time until the child executes its program.
    child = os.fork()
    if not child:
        time.sleep(60)
with file_lock(path, wait=False) as held:
    print(held)
os.kill(child, 9)
os.waitpid(child, 0)
"""


def test_a_child_that_was_just_forked_does_not_keep_a_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKS, str(tmp_path / "lock")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == "True\n"

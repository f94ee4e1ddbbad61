"""Temporary folders end with their use; what a killed process has left is deleted, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from everfit.store.atomic_file import replace_file
from everfit.store.temporary_folder import delete_leftovers, temporary_folder

_KILLED = """
import os, sys
from pathlib import Path
from everfit.store import atomic_file
from everfit.store.temporary_folder import temporary_folder

state = Path(sys.argv[1])
atomic_file.sync_to_disk = lambda path: os.kill(os.getpid(), 9)
with temporary_folder(state, "train") as folder:
    (folder / "package").mkdir()
    (state / "releases").mkdir()
    atomic_file.replace_file(state / "releases" / "active.json", b"{}", durable=True)
"""


def test_it_is_deleted_after_use(tmp_path: Path) -> None:
    with temporary_folder(tmp_path, "train") as folder:
        (folder / "package").mkdir()
        assert folder.is_relative_to(tmp_path)
    assert not folder.exists()


def test_what_a_killed_process_has_left_is_deleted(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.rglob("package"))) == len(list(tmp_path.rglob("*.new"))) == 1
    replace_file(tmp_path / "deployment.json", b"{}")
    others = [tmp_path / "releases" / "notes.new", tmp_path / f"controller.{os.getpid()}.new"]
    for other in others:
        other.touch()
    with temporary_folder(tmp_path, "train") as folder:
        delete_leftovers(tmp_path)
        found = {path for path in tmp_path.rglob("*") if not path.is_dir()}
        assert found == {tmp_path / "deployment.json", *others}
        assert [*folder.parent.iterdir()] == [folder], "it is in use"

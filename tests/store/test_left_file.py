"""Files that confined code has left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from everfit.store.left_file import read_left_file


def test_the_end_of_a_file_is_read(tmp_path: Path) -> None:
    tmp_path.joinpath("log").write_bytes(b"0123456789")
    assert read_left_file(tmp_path / "log", last_bytes=100) == b"0123456789"
    assert read_left_file(tmp_path / "log", last_bytes=3) == b"789"


def test_nothing_else_is_read(tmp_path: Path) -> None:
    tmp_path.joinpath("secret").write_text("the key")
    tmp_path.joinpath("link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    tmp_path.joinpath("folder").mkdir()
    for name in ("link", "pipe", "folder", "missing"):
        with pytest.raises(OSError, match=name):
            read_left_file(tmp_path / name, last_bytes=100)

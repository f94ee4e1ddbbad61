"""A project in a folder that cannot be written can be read, and what must write says so in one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit
from tests.acceptance.test_walk import service

READING = (
    "status", "level", "models", "models --history", "audit", "orders list", "orders show 1", "incidents list",
    "rollouts list", "check --as-of 2026-01-21T20:00Z", "features list", "journal status", "doctor", "explain one",
    "monitor",
)  # fmt: skip
WRITING = ("train --as-of 2026-01-21T20:00Z --trials 1", "promote late 1 --reason again", "orders give", "journal ship")


@pytest.fixture
def read_only(trained: Path, tmp_path: Path) -> Iterator[Path]:
    """A read-only mount for root, whom permissions do not bind, and permissions for everybody else."""
    folder = Path(shutil.copytree(trained, tmp_path / "shop"))
    (folder / "rows.json").write_text('{"id": "one", "shop": "shop-1", "distance_km": 3.5, "ordered_at": null}')
    with service(folder) as url:
        assert everfit(folder, "predict", "late", "rows.json", "--id", "id", "--url", url).code == 0
    if os.geteuid():
        subprocess.run(["chmod", "-R", "a-w", folder], check=True)
        yield folder
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)
        return
    place = tmp_path / "mounted"
    place.mkdir()
    mounted = subprocess.run(["mount", "--bind", folder, place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"root may not mount here: {mounted.stderr.decode()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.slow
def test_a_read_only_folder(read_only: Path) -> None:
    for words in READING:
        answer = everfit(read_only, *words.split())
        assert answer.code == 0, (words, answer)
        assert answer.out, words
        assert "Warning" not in answer.err, (words, answer.err)
    for words in WRITING:
        answer = everfit(read_only, *words.split())
        assert answer.code == 1, (words, answer)
        assert "Traceback" not in answer.err, answer.err
        assert answer.err.strip().splitlines()[-1].startswith("Store: "), (words, answer.err)

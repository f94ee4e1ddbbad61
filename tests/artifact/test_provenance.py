"""The digest of a project's code: it changes with what a model is trained by, and with nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from everfit.artifact.provenance import code_version

SETTINGS = '[project]\nname = "shop"\n\n[training]\ntrials = 5\n\n[serving]\nport = 8080\n'

_SEEN = """
import os, sys
from pathlib import Path

seen = []
sys.addaudithook(lambda event, given: seen.append(str(given[0])) if event == "os.scandir" else None)
from everfit.artifact.provenance import code_files

print([path.as_posix() for path in code_files(Path(sys.argv[1]))])
print([path for path in seen if path.startswith(sys.argv[1]) and ".everfit" in path])
"""


@pytest.fixture
def digest(tmp_path: Path) -> str:
    tmp_path.joinpath("everfit.toml").write_text(SETTINGS)
    tmp_path.joinpath("shop.py").write_text("RATE = 1\n")
    return code_version(tmp_path, commit="-").digest


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("shop.py", "RATE = 2\n", True),
        ("uv.lock", "version = 1\n", True),
        ("everfit.toml", SETTINGS.replace("5", "6"), True),
        ("everfit.toml", SETTINGS.replace('"shop"', '"store"'), True),
        ("everfit.toml", SETTINGS.replace("8080", "9090"), False),
        ("everfit.toml", f'# A comment.\n{SETTINGS}\n[loop]\nlevel = "full"\n', False),
        ("everfit.toml", "no TOML", True),
        ("README.md", "Read me.", False),
        (".hidden/more.py", "RATE = 3\n", False),
    ],
)
def test_a_digest_changes_with_the_code(tmp_path: Path, digest: str, name: str, text: str, changes: bool) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert (code_version(tmp_path, commit="-").digest != digest) == changes


def test_the_state_is_not_walked(tmp_path: Path) -> None:
    """It holds environments of thousands of files, and folders that vanish at any moment."""
    for name in (
        "b.py",
        "a/c.py",
        "a-1.py",
        ".everfit/releases/1/x.py",
        "build/d.py",
        ".env.toml",
        "notes.md",
        "uv.lock",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "gone.py").symlink_to("nowhere")
    done = subprocess.run([sys.executable, "-c", _SEEN, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['a/c.py', 'a-1.py', 'b.py', 'uv.lock']", "[]"]

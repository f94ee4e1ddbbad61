"""The demo's repository, by real git."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.programs import write_program
from tests.releases.origin import git

from everfit.cli.demo_repository import WorkingCopy, missing_tool
from everfit.cli.timeline import Page
from everfit.core.errors import ProjectError, RepositoryError
from everfit.core.settings import ReleaseSettings
from everfit.releases.hook import install_hook


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    folder.joinpath("everfit.toml").write_text('[project]\nname = "shop"\n')
    folder.joinpath("shop.py").write_text("price = 1\n")
    return folder


def test_a_push_prints_what_the_hook_prints_and_is_the_author_s_last_commit(root: Path) -> None:
    copy = WorkingCopy(root)
    assert 'repository = "../shop.git"' in root.joinpath("everfit.toml").read_text()
    write_program(copy.repository / "hooks" / "post-receive", "#!/bin/sh\necho one; echo; echo two\n")
    copy.replace("shop.py", {"price = 1": "price = 2"})
    first = copy.commit("dearer")
    assert copy.last_change() == ["-price = 1", "+price = 2"]
    copy.revert()
    copy.replace("shop.py", {"price = 1": "price = 3"})
    commit = copy.commit("much dearer")
    assert copy.last_change() == ["-price = 1", "+price = 3"]
    with copy.push() as lines:
        printed = list(lines)
    assert printed[:3] == ["remote: one", "remote:", "remote: two"]
    assert git(copy.repository, "rev-parse", "main") == commit
    assert git(copy.repository, "log", "--format=%an %s", "main").splitlines() == [
        "Ada much dearer",
        'Ada Revert "dearer"',
        "Ada dearer",
        "Ada the project",
    ]
    assert first in git(copy.repository, "log", "--format=%H", "main")


def test_the_hook_can_be_installed_although_the_user_s_hooks_are_elsewhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "gitconfig"
    own.write_text(f"[core]\n\thooksPath = {tmp_path / 'hooks'}\n[commit]\n\tgpgSign = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(own))
    copy = WorkingCopy(root)
    settings = ReleaseSettings(repository="../shop.git")
    hook = install_hook(copy.repository, root, root / ".everfit", settings, interpreter="/no/python")
    copy.replace("shop.py", {"price = 1": "price = 2"})
    copy.commit("dearer")
    with copy.push() as lines:
        assert any("the next poll of the repository finds this push" in line for line in lines)
    assert hook.parent == copy.repository / "hooks"


PUSHES = r"""
import sys
from pathlib import Path

import polars as pl

from everfit.cli.demo_repository import WorkingCopy

copy = WorkingCopy(Path(sys.argv[1]))
hook = copy.repository / "hooks" / "post-receive"
hook.write_text("#!/bin/sh\necho begins\nexec sleep 60\n")
hook.chmod(0o755)
copy.replace("shop.py", {"price = 1": "price = 2"})
copy.commit("dearer")
# Polars changes how signals interrupt a read.
assert pl.DataFrame({"polars": [1]}).height
with copy.push() as lines:
    for line in lines:
        print(line, flush=True)
"""


def test_ctrl_c_ends_a_push_and_its_hook(root: Path) -> None:
    """In a process of its own: in this one, a thread of another test may be what Polars takes Ctrl-C for."""
    command = [sys.executable, "-c", PUSHES, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "remote: begins\n"
        started = psutil.Process(process.pid).children(recursive=True)
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, problem = process.communicate(timeout=50)
        assert "KeyboardInterrupt" in problem
        assert time.monotonic() - began_s < 30, "it did not wait for the hook, although polars is imported"
    assert len(started) > 2, "git, its other side and the hook"
    assert not psutil.wait_procs(started, timeout=10)[1]


def test_a_folder_that_was_used_is_refused(root: Path) -> None:
    WorkingCopy(root)
    with pytest.raises(ProjectError, match="must be new"):
        WorkingCopy(root)


def test_what_cannot_be_changed_or_committed_is_an_error(root: Path) -> None:
    copy = WorkingCopy(root)
    with pytest.raises(ProjectError, match="price = 7"):
        copy.replace("shop.py", {"price = 7": "price = 8"})
    with pytest.raises(RepositoryError, match="'git commit' must succeed"):
        copy.commit("nothing")


def test_git_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_tool() == ""
    monkeypatch.setenv("PATH", "/no/folder")
    assert missing_tool() == "git"


def test_lines_of_another_program_keep_their_mark(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    page = Page(quiet=False)
    page.quote("remote:", "remote:   one two three four five six seven eight")
    page.quote("remote:", "remote:")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["remote:   one two three four five six", "remote:     seven eight", "remote:"]

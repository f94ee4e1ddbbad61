"""The hook of a source repository: real pushes, also by a user who may not read the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs import write_program
from tests.releases.origin import PROJECT, Origin, git, make_origin

from everfit.core.errors import RepositoryError, SettingsError
from everfit.core.settings import ReleaseSettings
from everfit.releases.hook import install_hook, remove_hook

NOBODY = 65534
#: In place of Python: prints the arguments and the variables that it was started with.
PROGRAM = '#!/bin/sh\necho "ran: $@"\necho "variables: $(env | grep -c ^GIT_)"\nexit 7\n'


class Town:
    """A project, the repository that it watches, and somebody's clone."""

    def __init__(self, folder: Path) -> None:
        self.root, self.folder = folder / "it's home", folder
        self.root.mkdir()
        self.state = self.root / ".everfit"
        self.origin: Origin = make_origin(folder / "origin.git")
        self.first = self.origin.commit(PROJECT)
        self.python = write_program(folder / "python", PROGRAM)
        self.settings = ReleaseSettings(repository="../origin.git")

    @property
    def look(self) -> Path:
        return self.state / "releases" / "look"

    def install(self, settings: ReleaseSettings | None = None) -> Path:
        settings = settings or self.settings
        return install_hook(self.origin.folder, self.root, self.state, settings, interpreter=str(self.python))

    def remove(self) -> Path:
        return remove_hook(self.origin.folder, self.root)

    def push(self, *refspecs: str, user: int | None = None) -> str:
        """Push from a clone, and return what the pusher sees; the push succeeds."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", "push", "--force", "--", self.origin.folder.as_uri(), *refspecs],
            cwd=self.folder / "clone",
            env=kept | {"GIT_CONFIG_GLOBAL": os.devnull, "HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return "\n".join(line.rstrip() for line in done.stderr.splitlines() if line.startswith("remote:"))

    def clone(self) -> None:
        git(self.folder, "clone", "--quiet", str(self.origin.folder), "clone")
        git(self.folder / "clone", "commit", "--quiet", "--allow-empty", "-m", "better")


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


def test_a_push_is_signalled_and_followed(town: Town) -> None:
    hook = town.install()
    assert os.access(hook, os.X_OK)
    assert not town.look.exists()
    town.clone()
    shown = town.push("main")
    tip = town.origin.head()
    assert tip != town.first
    follow = f"-P -m everfit releases follow {tip} --seconds 900 --project {town.root}"
    assert shown == f"remote: ran: {follow}\nremote: variables: 0"
    assert town.look.exists()


def test_other_refs_and_a_deleted_branch_are_not_followed(town: Town) -> None:
    town.install()
    town.clone()
    assert town.push("main:topic", "main:refs/tags/main", "main:x/refs/heads/main") == ""
    assert not town.look.exists()
    town.origin.git("symbolic-ref", "HEAD", "refs/heads/topic")
    assert town.push(":refs/heads/main") == ""
    # The branch is looked at all the same: that it was deleted is recorded.
    assert town.look.exists()


def test_a_branch_of_any_name_is_quoted(town: Town) -> None:
    """Git allows quotes, dollars and semicolons in the name of a branch."""
    branch = "it's;$(touch${IFS}ran)"
    town.install(ReleaseSettings(repository="../origin.git", branch=branch))
    town.clone()
    assert "follow" in town.push(f"main:{branch}")
    assert not list(town.folder.rglob("ran"))


def test_a_branch_that_git_does_not_allow_is_refused(town: Town) -> None:
    for branch in ("-x", "a b", "a\nb"):
        with pytest.raises(RepositoryError, match="name that git allows"):
            town.install(ReleaseSettings(repository="../origin.git", branch=branch))


def test_another_hook_is_never_changed(town: Town) -> None:
    hook = town.origin.folder / "hooks" / "post-receive"
    for foreign in ("#!/bin/sh\ndeploy\n", town_script(town, "other")):
        hook.write_text(foreign)
        for change in (town.install, town.remove):
            with pytest.raises(RepositoryError, match=r"not changed.*\.everfit/releases/look"):
                change()
        assert hook.read_text() == foreign
    hook.unlink()
    hook.symlink_to("/nonexistent")
    with pytest.raises(RepositoryError, match="must be readable"):
        town.install()


def town_script(town: Town, name: str) -> str:
    """The hook of another project of the same repository."""
    root = town.root.parent / name
    root.mkdir()
    hook = install_hook(town.origin.folder, root, root / ".everfit", town.settings, interpreter="python")
    return hook.read_text()


def test_the_own_hook_is_replaced_and_removed(town: Town) -> None:
    town.install()
    hook = town.install(ReleaseSettings(repository="../origin.git", branch="release"))
    assert "refs/heads/release" in hook.read_text()
    assert town.remove() == hook
    assert not list(hook.parent.glob("post-receive*"))
    with pytest.raises(RepositoryError, match="there must be a hook of this project"):
        town.remove()


def test_a_repository_with_files(town: Town) -> None:
    """Its hooks are in `.git`."""
    town.clone()
    settings = ReleaseSettings(repository=str(town.folder / "clone"))
    hook = install_hook(town.folder / "clone", town.root, town.state, settings, interpreter="python")
    assert hook == town.folder / "clone" / ".git" / "hooks" / "post-receive"


def test_a_repository_that_is_not_watched_is_refused(town: Town) -> None:
    for repository in (".", "../other.git"):
        with pytest.raises(SettingsError, match=r"repository = '/.*origin.git'"):
            town.install(ReleaseSettings(repository=repository))
    # Whether a URL is this repository is not known.
    assert town.install(ReleaseSettings(repository="ssh://git@localhost/origin.git"))
    with pytest.raises(RepositoryError, match="there must be a git repository"):
        install_hook(town.root, town.root, town.state, town.settings, interpreter="python")


def test_a_setting_that_keeps_git_from_running_it_is_an_error(town: Town) -> None:
    town.origin.git("config", "core.hooksPath", "/etc/hooks")
    with pytest.raises(
        RepositoryError, match=r"core.hooksPath names another folder, but got '/etc/hooks'. Run: git"
    ) as no:
        town.install()
    subprocess.run(no.value.remedy.removeprefix("Run: "), shell=True, check=True)
    town.install()
    town.clone()
    assert "follow" in town.push("main")


@pytest.fixture
def open_town() -> Iterator[Town]:
    """A town whose repository belongs to another user, who can only look at the folders around the project."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    town = Town(folder)
    town.root.chmod(0o700)
    town.clone()
    for path in (town.origin.folder, folder / "clone"):
        for inner in (path, *path.rglob("*")):
            shutil.chown(inner, NOBODY, NOBODY)
    yield town
    shutil.rmtree(folder)


def test_a_pusher_who_cannot_read_the_project_sees_one_line(open_town: Town) -> None:
    open_town.install()
    shown = open_town.push("main", user=NOBODY)
    home = open_town.root
    told = f"remote: Everfit: nobody cannot write to {home}/.everfit; the next poll of the repository finds this push."
    assert shown == told
    assert not open_town.look.exists()


def test_a_pusher_who_may_write_to_the_folder_replaces_the_signal_of_another(open_town: Town) -> None:
    open_town.install()
    open_town.root.chmod(0o755)
    open_town.look.touch(0o600)
    os.utime(open_town.look, (0, 0))
    open_town.look.parent.chmod(0o777)
    assert "follow" in open_town.push("main", user=NOBODY)
    assert open_town.look.stat().st_mtime > 0
    assert [path.name for path in open_town.look.parent.iterdir()] == ["look"]


def test_the_command_installs_and_removes_it(town: Town) -> None:
    town.root.joinpath("everfit.toml").write_text('[releases]\nrepository = "../origin.git"\n')
    words = [sys.executable, "-m", "everfit", "releases", "hook", str(town.origin.folder), "--project", str(town.root)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    hook = town.origin.folder / "hooks" / "post-receive"
    assert done.stdout == f"✓ Pushes of main run {hook}.\n"
    assert f"python={sys.executable}\n" in hook.read_text()
    done = subprocess.run([*words, "--remove"], capture_output=True, text=True, check=True)
    assert done.stdout == f"✓ Removed {hook}.\n"
    assert not hook.exists()
    done = subprocess.run([*words, "--remove"], capture_output=True, text=True, check=False)
    assert done.returncode == 1

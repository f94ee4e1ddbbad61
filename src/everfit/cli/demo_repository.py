"""Source repository of the demo's project, with a working copy of it whose author commits and pushes."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from everfit.core.errors import ProjectError, RepositoryError

_SETTINGS = """
[loop]
level = "full"

[releases]
repository = "{repository}"
"""
# Neither the settings of the demo's user nor a signature, an editor or a hook of theirs.
_OWN: Mapping[str, str] = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
_AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@deliveries.example")
_WAIT_S = 1.0
"""Longest time until a Ctrl-C is noticed."""


def missing_tool() -> str:
    """Return the name of a program that pushes need and this machine does not have; empty if all are there."""
    if shutil.which("git") is None:
        return "git"
    return "" if find_spec("pytest") else "pytest"


class WorkingCopy:
    """Working copy of a project's repository, made beside the project; the project watches the repository.

    Raises :class:`ProjectError` if there is a repository already, :class:`RepositoryError` if git fails.

    Args:
        root: The project's folder; its settings are changed.
    """

    def __init__(self, root: Path) -> None:
        self.repository = root.with_name(f"{root.name}.git")
        self.folder = root.with_name("working-copy")
        for folder in (self.repository, self.folder):
            if folder.exists():
                raise ProjectError("the folder of a demo must be new", value=folder, remedy="Choose another folder.")
        with root.joinpath("everfit.toml").open("a", encoding="utf-8") as file:
            file.write(_SETTINGS.format(repository=f"../{self.repository.name}"))
        _git(root.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(self.repository))
        # The hooks of this repository run, wherever the user's own are.
        _git(self.repository, "config", "core.hooksPath", str(self.repository / "hooks"))
        shutil.copytree(root, self.folder)
        _git(self.folder, "init", "--quiet", "--initial-branch=main")
        _git(self.folder, "remote", "add", "origin", f"../{self.repository.name}")
        _git(self.folder, "add", "--all")
        self.commit("the project")
        _git(self.folder, "push", "--quiet", "--set-upstream", "origin", "main")

    def replace(self, file: str, changes: Mapping[str, str]) -> None:
        """Replace passages of a file. Raises :class:`ProjectError` if it does not have them."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        for before, after in changes.items():
            if before not in text:
                raise ProjectError(f"{file} must have the line that the demo changes", value=before)
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")

    def commit(self, subject: str) -> str:
        """Commit all changes of known files; return the id. Raises :class:`RepositoryError` if there are none."""
        _git(self.folder, "commit", "--quiet", "--all", "--message", subject)
        return _git(self.folder, "rev-parse", "HEAD").strip()

    def revert(self) -> None:
        """Take the last commit back by a new one."""
        _git(self.folder, "revert", "--no-edit", "HEAD")

    def last_change(self) -> list[str]:
        """Return the lines that the last commit removed and added, each with its sign."""
        lines = _git(self.folder, "show", "--format=", "--unified=0", "HEAD").splitlines()
        return [line for line in lines if line[:1] in {"-", "+"} and line[:3] not in {"---", "+++"}]

    @contextmanager
    def push(self) -> Iterator[Iterator[str]]:
        """Push; yield the lines that git prints, as they come. In the end, neither git nor a hook runs any more."""
        # A session of its own: the hook is not ended with git.
        with subprocess.Popen(  # noqa: S603 - words of this module
            ["git", "-C", str(self.folder), "push"],  # noqa: S607 - the user's own git
            env=_variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                yield _lines(process)
                process.communicate()
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield what a process prints, line by line."""
    assert process.stdout is not None
    number, rest = process.stdout.fileno(), b""
    while True:
        # Polars lets a read go on that Ctrl-C has interrupted; a select ends. A Ctrl-C just before it does not end it.
        if not select.select([number], [], [], _WAIT_S)[0]:
            continue
        if not (chunk := os.read(number, 65536)):
            break
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip() for line in lines)
    if rest:
        yield rest.decode(errors="replace").rstrip()


def _git(folder: Path, *words: str) -> str:
    """Run git in a folder; return what it prints. Raises :class:`RepositoryError` if it fails."""
    command = ["git", "-C", str(folder), *_AUTHOR, *words]
    done = subprocess.run(command, env=_variables(), capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - words of this module
    if done.returncode:
        raise RepositoryError(f"'git {words[0]}' must succeed: {done.stderr.strip()}", value=f"exit {done.returncode}")
    return done.stdout


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | dict(_OWN)

"""Environment of a release: exactly the locked packages, and after them on the path those of Everfit itself.

Its folder is named by a digest of all that it is made from, is never changed, and is not moved. The file ``.complete``
is written last; a folder without it is the rest of a build that was interrupted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import stat
import sys
import sysconfig
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TextIO

import msgspec

import everfit
from everfit.core.errors import EnvironmentBuildError, ProcessError, ProcessKilledError, ProcessStoppedError
from everfit.releases.confinement import confined_command, confined_variables
from everfit.releases.installation import find_uv, package_folders
from everfit.releases.source_build import build_wheels
from everfit.releases.uv import (
    INSTALL_REASONS,
    LOCK_REASONS,
    UNVERIFIABLE,
    UvReason,
    explained,
    install_variables,
    read_project_file,
)
from everfit.store.atomic_file import sync_to_disk
from everfit.store.left_file import read_left_file
from everfit.store.old_folder import delete_folder, set_aside

LOCK_FILE = "uv.lock"
"""Name of the file that makes a release have an environment of its own."""
_PROJECT_FILE = "pyproject.toml"
_COMPLETE = ".complete"
_PATH_FILE = "~everfit.pth"
"""Path files are read in the order of their names: Everfit's packages come after all others."""
_WORKSPACE = "\n[tool.uv.workspace]\n"
"""Keeps uv from the project files of folders above, such as the operator's own."""
_CHECK = Path(__file__).with_name("environment_check.py")
_REQUIREMENT = re.compile(
    r"|[\w.-]+(\[[\w.,-]*\])?(==[\w.!+-]+| @ https://\S+)( ; [^\\]*)?( \\)?|    --hash=\w+:[0-9a-f]+( \\)?"
)
_LARGEST_EXPORT_BYTES = 64 << 20
_KEY_LENGTH = 32
_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class RunCommand(Protocol):
    """Function that runs a command to its end, and appends what it prints to the log of the step.

    Raises :class:`ProcessError` if it fails, :class:`ProcessStoppedError` if it exceeds a limit or was cancelled.
    """

    def __call__(
        self, command: Sequence[str], *, folder: Path, variables: Mapping[str, str], held: Sequence[int]
    ) -> None:
        """Run a command in a folder, with these environment variables alone; it inherits the open files ``held``."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentRequest:
    """Wish for the environment of one release."""

    project: Path
    """The project's folder in the release's tree."""
    environments: Path
    """Folder of all environments."""
    scratch: Path
    """Folder for temporary files; an empty one."""
    build: Sequence[str] = ()
    """Packages that may be built from source."""
    run: RunCommand
    log: Path
    """File that ``run`` appends to."""
    held: tuple[int, ...] = ()
    """Open files that processes inherit, so that a lock outlives this process as long as they do."""

    def note(self, sentence: str) -> None:
        """Append a sentence to the log."""
        with self.log.open("a") as log:
            log.write(sentence + "\n")

    def run_confined(
        self,
        command: Sequence[str],
        *,
        reads: Sequence[Path] = (),
        writes: Sequence[Path] = (),
        network: bool = False,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Run a command that may execute code of the project, with further variables. Raises as ``run`` does."""
        folder = self.scratch / "confined"
        own = {**confined_variables(folder), **variables}
        writable = [folder, *writes]
        confined = confined_command(
            command, reads=reads, writes=writable, network=network, environments=self.environments
        )
        self.run(confined, folder=folder, variables=own, held=self.held)

    def run_uv(
        self, command: Sequence[str], variables: Mapping[str, str], action: str, reasons: Sequence[UvReason]
    ) -> None:
        """Run a ``uv`` that executes nothing of any package.

        Raises :class:`EnvironmentBuildError` if it fails, :class:`ProcessStoppedError` if it takes too long.
        """
        folder = self.scratch / "install"
        folder.mkdir(exist_ok=True)
        # Without one, uv would read the settings of a folder above.
        (folder / "uv.toml").touch()
        with explained(self.log, action, reasons):
            self.run(command, folder=folder, variables=variables, held=self.held)


def build_environment(request: EnvironmentRequest) -> Path | None:
    """Return the folder of the environment that a project's lock describes; ``None`` if it has no lock.

    One that is complete is returned as it is. Of two processes that build, the second waits. Raises
    :class:`EnvironmentBuildError` if it cannot be built, :class:`ProcessStoppedError` if that takes too long.
    """
    if not (request.project / LOCK_FILE).is_file():
        return None
    project = read_project_file(request.project / _PROJECT_FILE)
    uv = find_uv(request.environments)
    requirements = _checked(_export(request, uv, project, "requirements.txt"))
    folder = request.environments / _key(request, requirements)
    with _lock(request.environments) as lock:
        # What a process that was killed has started may still be writing, and then holds the lock.
        fcntl.flock(lock, fcntl.LOCK_EX)
        request = replace(request, held=(lock.fileno(),))
        if (folder / _COMPLETE).is_file():
            request.note(f"environment {folder.name} is as it was built before")
            return folder
        delete_folder(folder)
        request.note(f"environment {folder.name} is built with {uv}")
        _install(request, uv, project, requirements, folder)
        _compile(request, folder)
        _check(request, folder)
        _seal(folder)
        request.note(f"environment {folder.name} is complete")
    return folder


def complete_environments(environments: Path) -> tuple[str, ...]:
    """Return the names of the environments that are complete, sorted."""
    return tuple(sorted(file.parent.name for file in environments.glob(f"*/{_COMPLETE}")))


def set_environments_aside(environments: Path, *, kept: Collection[str]) -> list[Path]:
    """Rename all environments but those that are kept or that a process runs in, and what interrupted builds left.

    Nothing is renamed while one is built. Return the folders, which are to be deleted. Raises :class:`OSError`.
    """
    if not environments.is_dir():
        return []
    with _lock(environments) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        return set_aside(environments, kept=kept)


def _export(request: EnvironmentRequest, uv: str, project: Mapping[str, Any], form: str) -> str:
    """Return every locked package and its digests, in one of the forms that ``uv`` knows.

    ``uv`` runs on a copy, since it wants to write beside the lock; offline, since a valid lock needs no index; and
    confined, since it executes the build of a project that states its dependencies there.
    """
    copy = request.scratch / "project"
    copy.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(request.project / LOCK_FILE, copy / LOCK_FILE)
    text = (request.project / _PROJECT_FILE).read_text()
    if "workspace" not in project.get("tool", {}).get("uv", {}):
        text += _WORKSPACE
    (copy / _PROJECT_FILE).write_text(text)
    exported = copy / form
    command = [uv, "export", "--directory", str(copy), "--cache-dir", str(copy / "cache"), "--python", sys.executable]
    command += ["--locked", "--offline", "--no-emit-project", "--no-emit-package", "everfit", "--no-build"]
    command += ["--format", form, "--no-header", "--no-annotate", "--quiet", "--output-file", str(exported)]
    with explained(request.log, "the lock could not be read", LOCK_REASONS):
        request.run_confined(command, reads=[Path(uv)], writes=[copy])
    try:
        return read_left_file(exported, last_bytes=_LARGEST_EXPORT_BYTES).decode()
    except (OSError, ValueError) as error:
        raise EnvironmentBuildError(f"an export of the lock must be readable: {error}", value=exported.name) from error


def _checked(requirements: str) -> str:
    """Return requirements of which every line is a package with its version, or a digest."""
    for line in requirements.splitlines():
        if not _REQUIREMENT.fullmatch(line):
            remedy = "Packages from a folder or from git cannot be verified; put a wheel into an index."
            raise EnvironmentBuildError(UNVERIFIABLE, value=line.split(" ")[0], remedy=remedy)
    return requirements


def _key(request: EnvironmentRequest, requirements: str) -> str:
    """Return the digest of all that an environment is made from."""
    parts = {
        "requirements": requirements,
        "python": [sys.version, sys.implementation.cache_tag, os.path.realpath(sys.executable)],
        "platform": [sysconfig.get_platform(), *platform.libc_ver()],
        "everfit": [everfit.__version__, *map(str, package_folders(request.environments))],
        "build": sorted(request.build),
    }
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:_KEY_LENGTH]


def _install(request: EnvironmentRequest, uv: str, project: Mapping[str, Any], requirements: str, folder: Path) -> None:
    """Make an environment with exactly the locked packages. Nothing of them is executed but the builds, confined."""
    variables = install_variables(os.environ, project, request.project)
    lines = requirements
    if request.build:
        for wheel in build_wheels(request, uv, tomllib.loads(_export(request, uv, project, "pylock.toml")), variables):
            lines = wheel.in_place_of_source(lines)
    file = request.scratch / "requirements.txt"
    file.write_text(lines)
    create = [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)]
    request.run_uv(create, variables, "the environment could not be created", ())
    sync = [uv, "pip", "sync", "--require-hashes", "--no-build", "--allow-empty-requirements"]
    sync += ["--python", str(folder / "bin" / "python"), str(file)]
    request.run_uv(sync, variables, "the locked packages could not be installed", INSTALL_REASONS)
    paths = [str(path) for path in package_folders(request.environments)]
    (_site_folder(folder) / _PATH_FILE).write_text("\n".join(paths) + "\n")


def _compile(request: EnvironmentRequest, folder: Path) -> None:
    """Compile the packages, which cannot be done later. Without ``site`` no path file of a package is executed."""
    command = [str(folder / "bin" / "python"), "-I", "-S", "-m", "compileall", "-q", "-j", "0"]
    try:
        request.run_confined([*command, str(_site_folder(folder))], writes=[folder])
    except (ProcessStoppedError, ProcessKilledError):
        raise
    except ProcessError:
        request.note("What could not be compiled, such as templates of code, is left as it is.")


def _check(request: EnvironmentRequest, folder: Path) -> None:
    begin = request.log.stat().st_size
    command = [str(folder / "bin" / "python"), "-I", str(_CHECK), str(Path(everfit.__file__).parent)]
    try:
        request.run_confined(command, reads=[folder])
    except (ProcessStoppedError, ProcessKilledError):
        raise
    except ProcessError as error:
        printed = request.log.read_bytes()[begin:].decode(errors="replace").strip()
        rule = (
            f"Everfit must be usable in the environment of a release: {printed.splitlines()[-1] if printed else error}"
        )
        remedy = "Lock versions that Everfit allows: add everfit to the dependencies."
        raise EnvironmentBuildError(rule, remedy=remedy) from error


def _seal(folder: Path) -> None:
    """Make an environment read-only, put it on the disk, and mark it as complete."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~_WRITE)
        if parent != str(folder):
            Path(parent).chmod(Path(parent).stat().st_mode & ~_WRITE)
    os.sync()
    mark = folder / _COMPLETE
    mark.touch(mode=0o444)
    sync_to_disk(mark)
    sync_to_disk(folder)
    folder.chmod(folder.stat().st_mode & ~_WRITE)


def _lock(environments: Path) -> TextIO:
    """Return the file whose lock the one builder holds."""
    environments.mkdir(parents=True, exist_ok=True)
    return (environments / ".lock").open("w")


def _site_folder(folder: Path) -> Path:
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

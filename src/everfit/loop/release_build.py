"""Files and environment of a commit, as a release has them, in the folder of releases."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.loop.release_step import releases_folder, step_limits
from everfit.releases.environment import EnvironmentRequest, build_environment
from everfit.releases.mirror import kept_mirror, open_mirror
from everfit.releases.tree import extract_tree
from everfit.runtime.subprocess_runner import run_child
from everfit.store.active_release import ENVIRONMENTS, TREES

if TYPE_CHECKING:
    from everfit.system import System


def make_tree(system: System, commit: str, *, folder: str) -> Path:
    """Return the project's folder in the files of a commit, which are written unless they are there.

    The repository is read only if the mirror does not hold the commit. Raises :class:`RepositoryError`.

    Args:
        commit: The full id.
        folder: The project's folder in the repository.
    """
    settings = system.project.settings.releases
    mirror = kept_mirror(system.state, settings)
    if not mirror.holds(commit):
        mirror = open_mirror(system.project.root, system.state, settings)
        commit = mirror.resolve(commit).id
    return extract_tree(mirror, commit, trees=releases_folder(system) / TREES, folder=folder)


def make_environment(system: System, project: Path, *, log: Path, cancelled: Callable[[], str] = lambda: "") -> str:
    """Return the environment that the lock of a project describes, relative to the state folder; built unless it is.

    Empty if there is no lock. Raises as :func:`~everfit.releases.environment.build_environment` does.

    Args:
        project: The project's folder in the files of a commit.
        log: File that is appended to; a folder of its name holds what is temporary.
        cancelled: Returns the reason why the build must stop, or an empty text.
    """
    settings, scratch = system.project.settings.releases, log.with_suffix("")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    request = EnvironmentRequest(
        project=project,
        environments=releases_folder(system) / ENVIRONMENTS,
        scratch=scratch,
        build=settings.build,
        run=partial(run_child, log=log, limits=step_limits(settings), cancelled=cancelled),
        log=log,
    )
    folder = build_environment(request)
    shutil.rmtree(scratch, ignore_errors=True)
    return "" if folder is None else str(folder.relative_to(system.state))

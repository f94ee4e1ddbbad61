"""Restoration of releases that were collected: code and environment are made again when a version needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from msgspec.structs import replace

from everfit.artifact.package import open_package
from everfit.core.errors import ProcessError, ReleaseError, RepositoryError
from everfit.core.progress import SILENT, Progress
from everfit.core.records import ModelVersion
from everfit.core.release import Release
from everfit.loop.online_generations import require_generations
from everfit.loop.release_activation import folder_of
from everfit.loop.release_build import make_environment, make_tree
from everfit.loop.release_step import releases_folder
from everfit.store.active_release import TREES, read_release, write_release
from everfit.store.release_lock import all_kept

if TYPE_CHECKING:
    from everfit.system import System

_LOG = "restoration.log"


@contextmanager
def prepared(system: System, version: ModelVersion, *, progress: Progress = SILENT) -> Iterator[None]:
    """Make sure that a version's release and the features that it reads are there, while it is deployed within.

    Raises :class:`ReleaseError` if the release cannot be made again, and what the materialization raises.
    """
    with all_kept(system.state):
        require_release(system, version, progress=progress)
        require_generations(system, version, progress=progress)
        yield


def require_release(system: System, version: ModelVersion, *, progress: Progress = SILENT) -> None:
    """Make the release that trained a version again, unless it is there.

    Nothing is done for a version of the project's own folder, or of a release of another system. Raises
    :class:`ReleaseError`, and :class:`PackageError` if the package must not be used.
    """
    lineage = open_package(system.registry.fetch(version), trust=system.trust).manifest.lineage
    release = system.releases.of_commit(lineage.code.commit) if lineage.release else None
    if release is not None and release.number == lineage.release:
        restore(system, release, progress=progress)


def restore(system: System, release: Release, *, progress: Progress = SILENT) -> None:
    """Make code and environment of a release again, unless they are there. Raises :class:`ReleaseError`."""
    state = system.state
    with all_kept(state):
        document = read_release(state, release.number)
        if document is not None and all(folder.is_dir() for folder in document.folders(state)):
            return
        progress.start(task := f"make {release.name} again")
        log = releases_folder(system) / str(release.number) / _LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        inside = PurePosixPath(release.tree).relative_to(releases_folder(system).name, TREES, release.commit)
        try:
            tree = make_tree(system, release.commit, folder=str(inside))
            environment = make_environment(system, tree, log=log)
        except (ReleaseError, ProcessError) as error:
            rule = f"the code of {release.name} was deleted, and must be made again for its versions: {error.rule}"
            remedy = _remedy(release) if isinstance(error, RepositoryError) else f"{error.remedy} The log is {log}."
            raise ReleaseError(rule, value=error.value, remedy=remedy.strip()) from error
        write_release(state, folder_of(replace(release, environment=environment)))
        system.releases.restore(release.number, environment=environment)
        progress.finish(task, environment or "in Everfit's own environment")


def _remedy(release: Release) -> str:
    return (
        f"Push commit {release.commit} to the repository of [releases] again, or train the model again by the active "
        f"code: everfit train."
    )

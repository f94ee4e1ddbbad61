"""Collection of releases: code and environments that nothing needs are deleted.

Nothing is collected while a release is made or taken into use; and a process that runs in a release keeps its folders
(:mod:`everfit.store.release_lock`). An interrupted collection is completed by the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from everfit.core.release import Release
from everfit.loop.online_generations import needed_versions
from everfit.loop.release_decisions import releases_to_collect
from everfit.loop.release_step import delete_working_folders, releases_folder
from everfit.loop.retrain_job import REQUEST, order_folder
from everfit.loop.training_record import TrainingRequest
from everfit.releases.environment import set_environments_aside
from everfit.store.active_release import ENVIRONMENTS, TREES, delete_release, read_active
from everfit.store.old_folder import delete_folder, set_aside
from everfit.store.release_lock import collecting, unused

if TYPE_CHECKING:
    from everfit.system import System

_log = logging.getLogger(__name__)


def delete_folders(folders: Sequence[Path]) -> None:
    """Delete folders that were set aside. What cannot be deleted is logged, and tried again by the next collection."""
    for folder in folders:
        try:
            delete_folder(folder)
        except OSError as error:
            _log.error("what a release left could not be deleted: %s", error)


def collect_releases(system: System, delete: Callable[[Sequence[Path]], object] = delete_folders) -> bool:
    """Delete what no release needs; return false if that must wait, since something is made or taken into use.

    Raises what the stores, the registry and the packages of the versions in use raise; then nothing is collected.

    Args:
        delete: Deletes the folders, which nothing can find any more; it need not have ended when it returns.
    """
    if not system.releases.all():
        return True
    folder, keep = releases_folder(system), system.project.settings.releases.keep
    with collecting(system.state) as is_alone:
        needed = _needed(system) if is_alone else None
        if needed is None:
            return False
        releases = system.releases.all()
        collected = [
            release for release in releases_to_collect(releases, needed, keep=keep) if _end_use(system, release)
        ]
        kept = [release for release in releases if release not in collected and release.collected_at is None]
        old = set_aside(folder / TREES, kept={release.commit for release in kept})
        old += set_environments_aside(folder / ENVIRONMENTS, kept=_environments(system, kept))
        for release in releases:
            if release.ended:
                delete_working_folders(system, release.number)
        for release in collected:
            system.releases.collect(release.number, now=system.clock.now())
    delete(old)
    return True


def _needed(system: System) -> set[int] | None:
    """Return the numbers of the releases that are in use or may be again; ``None`` while that is not known."""
    active = read_active(system.state)
    needed = {system.project.release, active.number, active.previous, active.given_back}
    for record in system.orders.open():
        if record.state != "open":
            try:
                content = (order_folder(system, record.number) / REQUEST).read_bytes()
            except FileNotFoundError:
                # Its training is about to begin.
                return None
            needed.add(msgspec.json.decode(content, type=TrainingRequest).release)
    # A number that means another system's release keeps one of ours too many.
    needed.update(version.release for version in needed_versions(system))
    return needed


def _end_use(system: System, release: Release) -> bool:
    """Let no further process start in a release; return false if one runs in it, and it stays."""
    tree = releases_folder(system) / TREES / release.commit
    if tree.is_dir():
        with unused(tree) as is_unused:
            if not is_unused:
                _log.info("%s is not collected, since a process runs in it", release.name)
                return False
            delete_release(system.state, release.number)
    else:
        delete_release(system.state, release.number)
    return True


def _environments(system: System, kept: Iterable[Release]) -> set[str]:
    """Return the names of the environments of releases and of deployed versions."""
    record = system.deployment.read()
    found = {release.environment for release in kept}
    for model in record.models if record else ():
        found.update(version.environment for version in model.taking_part)
    return {Path(environment).name for environment in found if environment}

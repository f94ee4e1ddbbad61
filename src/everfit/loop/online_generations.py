"""Generations of the online store that versions need: which ones, and their materialization by the code of a version.

A process runs the code of one release. What a version of another definition reads is computed by a child process, in
the release that trained the version, or by the code that is kept in its package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.artifact.package import Package, open_package
from everfit.core.clock import from_us
from everfit.core.errors import StoreError
from everfit.core.progress import SILENT, Progress
from everfit.core.records import ModelVersion
from everfit.core.sqlite_url import anchor_url
from everfit.definitions.view import FeatureView
from everfit.features.materialize import MaterializedView, materialize
from everfit.registry.aliases import PREVIOUS
from everfit.registry.version_list import ARTIFACTS, ListedVersion, list_versions, local_package
from everfit.runtime.launcher import release_launcher
from everfit.runtime.subprocess_runner import ProcessLimits, run_child
from everfit.store.active_release import read_active, release_of
from everfit.store.sqlite_online import Generation
from everfit.store.temporary_folder import temporary_folder
from everfit.system import System

_KEPT = timedelta(hours=1)
"""A generation that was not brought up to date for so long is no longer kept, and caught up before it is read again."""


class VersionViews(Struct, frozen=True, kw_only=True):
    """The generations that a version reads."""

    model: str
    version: int
    folder: str
    """Of its package."""
    views: dict[str, str]
    """The digest of each view's definition; empty for the current generation."""
    release: int
    """The release that trained it; 0 for the project's folder."""
    commit: str


def views_of(system: System, model: str, version: int, folder: Path) -> VersionViews:
    """Return the generations that a version reads, from its package. Raises :class:`PackageError`."""
    package = open_package(folder, trust=system.trust)
    return VersionViews(
        model=model,
        version=version,
        folder=str(folder),
        views={lookup.view: lookup.definition for lookup in package.schema.lookups},
        release=package.manifest.lineage.release,
        commit=package.manifest.lineage.code.commit,
    )


def deployed_versions(system: System) -> list[VersionViews]:
    """Return what the deployed versions read, newest first. Raises :class:`PackageError` if one cannot be read."""
    record = system.deployment.read()
    found = [
        views_of(system, model.model, deployed.version, system.deployment.folder_of(deployed))
        for model in (record.models if record else ())
        for deployed in model.taking_part
    ]
    return sorted(found, key=lambda version: version.version, reverse=True)


def needed_versions(system: System) -> list[VersionViews]:
    """Return what the versions read that predict now, or may again without a promotion by number; newest first.

    These are the deployed ones, those of a rollout that has not ended, and the one that ``everfit rollback`` restores.
    Raises :class:`PackageError` if the package of one cannot be read.
    """
    found = {(version.model, version.version): version for version in deployed_versions(system)}
    for model in {model for model, _ in found} | set(system.project.models):
        running = system.rollouts.running(model)
        wanted = {running.version, running.previous} if running else set()
        for version in _listed_versions(system, model):
            key = model, version.version
            if key not in found and (version.version in wanted or PREVIOUS in version.aliases):
                found[key] = views_of(system, *key, _package_folder(system, model, version))
    return sorted(found.values(), key=lambda version: version.version, reverse=True)


def _listed_versions(system: System, model: str) -> Sequence[ListedVersion]:
    """Return the registered versions, by MLflow itself only where its store has to be asked through it."""
    try:
        return list_versions(anchor_url(system.project.settings.stores.tracking, system.project.root), model)
    except StoreError:
        found = system.registry.versions(model)
        return [ListedVersion(version=one.version, run_id=one.run_id, aliases=one.aliases) for one in found]


def _package_folder(system: System, model: str, version: ListedVersion) -> Path:
    folder = local_package(system.state / ARTIFACTS, model, version.run_id)
    return folder if folder.is_dir() else system.registry.fetch(system.registry.version(model, version.version))


def of_other_definitions(
    versions: Iterable[VersionViews], active: Mapping[str, FeatureView]
) -> list[tuple[VersionViews, tuple[str, ...]]]:
    """Return the versions with views that the active code does not compute as they read them, each generation once."""
    covered = {(view.name, view.definition) for view in active.values()}
    found = []
    for version in versions:
        views = [view for view in version.views.items() if view[1] and view not in covered]
        covered.update(views)
        if views:
            found.append((version, tuple(view for view, _ in views)))
    return found


def not_needed(
    generations: Iterable[Generation], versions: Sequence[VersionViews], active: Mapping[str, FeatureView]
) -> list[Generation]:
    """Return the generations that neither a version nor the active code reads."""
    needed = {(view.name, view.definition) for view in active.values()}
    needed.update(view for version in versions for view in version.views.items())
    return [
        generation
        for generation in generations
        if (generation.view, generation.definition) not in needed
        and not (generation.current and (generation.view, "") in needed)
    ]


def materialize_active(
    system: System,
    views: Sequence[str] | None = None,
    *,
    until: datetime | None = None,
    full: bool = False,
    progress: Progress = SILENT,
) -> tuple[MaterializedView, ...]:
    """Bring views, by default all, up to date as the code of this process defines them, until ``until`` or now.

    They become the current generations if that code is the active one.
    """
    chosen = [system.project.view(name) for name in views or system.project.views]
    now = until or system.clock.now()
    done = materialize(chosen, system.reader, system.online, until=now, full=full, progress=progress)
    if system.project.release == read_active(system.state).number:
        for view in chosen:
            system.online.choose(view.name, view.definition)
    return done


def require_generations(system: System, version: ModelVersion, *, progress: Progress = SILENT) -> None:
    """Make sure that what a version reads is complete before it is deployed.

    What the active code computes is kept up to date by the loop or by hand, so that it need only be there. Raises
    :class:`PackageError` if the package must not be used, and what the materialization raises.
    """
    wanted = views_of(system, version.model, version.version, system.registry.fetch(version))
    active, online = system.project.views, system.online
    since = system.clock.now() - _KEPT
    missing, behind = [], []
    for name, definition in wanted.views.items():
        state = online.state(name, definition) if definition else None
        if name in active and active[name].definition == definition:
            missing += [name] if state is None else []
        elif definition and (state is None or state.watermark_us is None or from_us(state.watermark_us) < since):
            behind.append(name)
    if missing:
        materialize_active(system, missing, progress=progress)
    if behind:
        materialize_in_release(system, wanted, behind, progress=progress)


def materialize_in_release(
    system: System,
    version: VersionViews,
    views: Sequence[str],
    *,
    until: datetime | None = None,
    full: bool = False,
    progress: Progress = SILENT,
) -> tuple[MaterializedView, ...]:
    """Bring views up to date as a version has them, by a process in the release that trained it.

    Raises :class:`ProcessError` if that fails.
    """
    task = f"materialize {', '.join(views)} as {version.model} version {version.version} has it"
    progress.start(task)
    release = release_of(system.state, version.release, commit=version.commit)
    launcher = release_launcher(system.project.root, system.state, release)
    settings = system.project.settings.loop
    limits = ProcessLimits(
        time_s=settings.train_seconds,
        memory_mib=settings.train_memory_mib,
        time_setting="[loop] train_seconds",
        memory_setting="[loop] train_memory_mib",
    )
    instant = (until or system.clock.now()).isoformat()
    with temporary_folder(system.state, "materialize") as folder:
        result = folder / "result.json"
        words = ["materialize-version", *views, "--package", version.folder, "--until", instant]
        words += ["--result", str(result), *(["--full"] if full else [])]
        run_child(
            launcher.command(*words),
            folder=launcher.root,
            variables=launcher.variables,
            log=folder / "log.txt",
            limits=limits,
        )
        done = msgspec.json.decode(result.read_bytes(), type=tuple[MaterializedView, ...])
    progress.finish(task, f"{sum(view.entities_written for view in done):,} entities")
    return done


def materialize_version(
    system: System, package: Package, views: Sequence[str], *, until: datetime, full: bool = False
) -> tuple[MaterializedView, ...]:
    """In the process of :func:`materialize_in_release`: bring views up to date as a version has them.

    The code of this process is used where it defines a view like that, else the code that the package keeps. Raises
    :class:`StoreError` if neither does.
    """
    wanted = {lookup.view: lookup.definition for lookup in package.schema.lookups}

    def as_wanted(defined: Mapping[str, FeatureView]) -> list[FeatureView]:
        found = (defined.get(name) for name in views)
        return [view for view in found if view is not None and view.definition == wanted[view.name]]

    chosen = as_wanted(system.project.views)
    if len(chosen) < len(views):
        chosen = as_wanted(system.recorded_project(package).views)
    if len(chosen) < len(views):
        raise StoreError(
            "the code of a version must define its views as they were when it was trained",
            value=f"{package.schema.model}: {', '.join(views)}",
            remedy=f"Train the model again, and promote the new version: everfit train {package.schema.model}.",
        )
    return materialize(chosen, system.reader, system.online, until=until, full=full)

"""Reproduction of a version: its training once more from what is recorded, and a comparison of the predictions."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from everfit.artifact.manifest import Lineage
from everfit.artifact.package import open_package
from everfit.artifact.provenance import library_versions
from everfit.core.progress import SILENT, Progress
from everfit.core.records import FrameManifest
from everfit.features.history import build_frame
from everfit.loop.release_restoration import require_release
from everfit.store.active_release import ReleaseFolder, release_of
from everfit.system import System
from everfit.training.refit import refit_as_recorded


class Reproduction(Struct, frozen=True, kw_only=True):
    """Result of a reproduction."""

    model: str
    version: int
    release: int
    """Number of the release that trained it; 0 if it was trained by the project's own folder."""
    commit: str
    """The git commit that trained it; empty if the project was in no repository."""
    identical: bool
    sentence: str
    differences: tuple[str, ...]
    """Differences from the record in data, code and libraries; they may be without consequence."""
    rows: int
    """Rows that both versions predicted."""
    max_difference: float | None
    """The largest absolute difference of their predictions; ``None`` if they could not be compared."""


def recorded_release(
    system: System, model: str | None, which: int | str, *, progress: Progress = SILENT
) -> ReleaseFolder | None:
    """Return the release that trained a version, made again if it was collected.

    ``None`` for the project's own folder, or a release of another system. Raises :class:`ReleaseError` if it cannot be
    made again.
    """
    version = system.registry.version(system.project.model(model).name, which)
    require_release(system, version, progress=progress)
    lineage = open_package(system.registry.fetch(version), trust=system.trust).manifest.lineage
    return release_of(system.state, lineage.release, commit=lineage.code.commit)


def reproduce(
    system: System, model: str | None = None, which: int | str = "champion", *, progress: Progress = SILENT
) -> Reproduction:
    """Train a version again from its recorded code, data, parameters and seed, and compare the predictions."""
    name = system.project.model(model).name
    version = system.registry.version(name, which)
    package = open_package(system.registry.fetch(version), trust=system.trust)
    lineage, recorded = package.manifest.lineage, package.manifest.lineage.frame
    definition = system.recorded_project(package).model(name)
    frame = build_frame(
        definition, system.reader, start=recorded.start, end=recorded.end, as_of=recorded.as_of, progress=progress
    )
    again = refit_as_recorded(definition, frame, lineage)
    difference: float | None = None
    rows = 0
    if again.schema.columns == package.schema.columns:
        matrix, expected = package.reference()
        full = package.transform(frame.data)
        rows = len(full)
        pairs = ((again.predict(full), package.native().predict(full)), (again.predict(matrix), expected))
        difference = max(float(np.max(np.abs(ours - theirs), initial=0.0)) for ours, theirs in pairs)
    identical = difference == 0.0 and recorded.digest == frame.manifest.digest
    return Reproduction(
        model=name,
        version=version.version,
        release=lineage.release,
        commit=lineage.code.commit,
        identical=identical,
        sentence=_sentence(identical, difference, rows),
        differences=_differences(lineage, frame.manifest, system),
        rows=rows,
        max_difference=difference,
    )


def _sentence(identical: bool, difference: float | None, rows: int) -> str:
    if difference is None:
        return "the model sees other columns or categories than it was recorded with."
    if identical:
        return f"trained again on the same {rows:,} rows, every prediction came out the same, bit for bit."
    if difference == 0.0:
        return f"every prediction on {rows:,} rows came out the same, but the data is not what was recorded."
    return f"the predictions on {rows:,} rows differ by up to {difference:.2e}."


def _differences(lineage: Lineage, manifest: FrameManifest, system: System) -> tuple[str, ...]:
    """Return the differences from the record, one sentence each."""
    found = []
    before = {source.name: source for source in lineage.frame.sources}
    for source in manifest.sources:
        old = before.get(source.name)
        if old is not None and old.version != source.version:
            found.append(f"source {source.name} changed: {old.version[:19]}… then, {source.version[:19]}… now")
    if lineage.frame.digest != manifest.digest:
        found.append(f"the training frame is another one: {lineage.frame.rows:,} rows then, {manifest.rows:,} now")
    if lineage.code.digest != system.code_version().digest:
        found.append("the project's code has changed since; the recorded code was used")
    now = library_versions()
    for name in sorted(lineage.libraries.keys() | now.keys()):
        old_version, new_version = lineage.libraries.get(name, "absent"), now.get(name, "absent")
        if old_version != new_version:
            found.append(f"{name} is {new_version} now, and was {old_version}")
    return tuple(found)

"""Facts on record about one version: package, run, order, rollouts, aliases, incidents, live performance."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from everfit.artifact.manifest import Manifest
from everfit.artifact.package import Package, open_package
from everfit.artifact.runtimes.pickled import PROJECT_FOLDER
from everfit.artifact.schema import InputSchema
from everfit.commands.documentation.declared_design import DeclaredDesign, kept_design
from everfit.core.errors import EverfitError
from everfit.core.finding import Incident
from everfit.core.order import OrderRecord
from everfit.core.records import AliasChange, GateReport, ModelVersion
from everfit.core.release import Release
from everfit.core.rollout import Rollout
from everfit.monitoring.performance_store import LiveFigure, newest_figure
from everfit.system import System


@dataclass(frozen=True, kw_only=True)
class VersionFacts:
    """Everything that is recorded about a version; ``None`` stands for what is not."""

    version: ModelVersion
    manifest: Manifest
    schema: InputSchema
    design: DeclaredDesign | None
    """The design record at the time of training, which the package keeps."""
    license: str
    """By ``pyproject.toml`` of the code in the package; empty if it has none."""
    report: GateReport | None
    order: OrderRecord | None
    release: Release | None
    rollouts: tuple[Rollout, ...]
    changes: tuple[AliasChange, ...]
    serves: str
    """``champion``, ``canary`` or ``shadow``; empty if it is not deployed."""
    incidents: tuple[Incident, ...]
    """Of the model and this version, oldest first."""
    live: LiveFigure | None
    """The newest measured performance."""


def version_facts(system: System, version: ModelVersion) -> VersionFacts:
    """Gather the facts about a version. Raises :class:`EverfitError` if its package cannot be opened."""
    model, number = version.model, version.version
    package = open_package(system.registry.fetch(version), trust=system.trust)
    manifest = package.manifest
    releases = {release.number: release for release in system.releases.all()}
    trainings = system.orders.trainings(model)
    return VersionFacts(
        version=version,
        manifest=manifest,
        schema=package.schema,
        design=kept_design(package.folder / PROJECT_FOLDER, model),
        license=_license(package),
        report=_gate_report(system, version),
        order=next((record for record in trainings if record.version == number), None),
        release=releases.get(manifest.lineage.release),
        rollouts=tuple(rollout for rollout in system.rollouts.of(model) if rollout.version == number),
        changes=tuple(change for change in system.registry.history(model) if change.version == number),
        serves=_serves(system, version),
        incidents=tuple(one for one in system.incidents.of(model) if one.finding.version in (None, number)),
        live=newest_figure(system.ledger, model, number),
    )


def _gate_report(system: System, version: ModelVersion) -> GateReport | None:
    try:
        return system.registry.gate_report(version.model, version.run_id)
    except EverfitError:  # the run was deleted; the rest is in the package
        return None


def _serves(system: System, version: ModelVersion) -> str:
    present = system.deployment.of(version.model)
    parts = (
        {} if present is None else {"champion": present.champion, "canary": present.canary, "shadow": present.shadow}
    )
    return next((part for part, one in parts.items() if one is not None and one.digest == version.digest), "")


def _license(package: Package) -> str:
    file: Path = package.folder / PROJECT_FOLDER / "pyproject.toml"
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {}).get("license")
    except (OSError, ValueError):
        return ""
    return given if isinstance(given, str) else ""

"""Probes of the stores of a project: tracking and registry, ledger, workflows, online store, deployment record, log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from everfit.core.sqlite_url import anchor_url, sqlite_path, sqlite_url
from everfit.definitions.project import Project
from everfit.delivery.rollouts import Rollouts
from everfit.journal.logs import LOGS
from everfit.loop.level_facts import (
    DeploymentFacts,
    JournalFacts,
    LedgerFacts,
    OnlineFacts,
    TrackingFacts,
    WorkflowFacts,
)
from everfit.loop.release_decisions import last_judged, pin
from everfit.monitoring.incidents import Incidents
from everfit.registry.probe import probe_registry
from everfit.releases.releases import Releases
from everfit.store.database_probe import database_exists, probing
from everfit.store.deployment import DeploymentRecord
from everfit.store.segments import SEALED
from everfit.store.sqlite_online import read_watermarks
from everfit.triggers.orders import Orders


@dataclass(frozen=True, kw_only=True)
class Probed:
    """The project that is probed, and the instants of the probe.

    A probe may raise anything, or hang.
    """

    project: Project
    state: Path
    now_us: int
    """By the project's clock, which may be a replay's; microseconds since 1970."""
    machine_us: int
    """By the machine's clock, as the times of files are; microseconds since 1970."""

    @property
    def ledger_url(self) -> str:
        """Return the URL of the ledger."""
        return anchor_url(self.project.settings.stores.ledger, self.project.root)

    def age_s(self, path: Path) -> float:
        """Return the time since a file was changed, in seconds."""
        return self.machine_us / 1e6 - path.stat().st_mtime


def probe_tracking(probed: Probed) -> TrackingFacts:
    """Probe the tracking store and the registry."""
    project = probed.project
    found = probe_registry(anchor_url(project.settings.stores.tracking, project.root), project.models)
    if found is None:
        return TrackingFacts(exists=False)
    return TrackingFacts(runs=found.runs, versions=found.versions, registry_problem=found.registry_problem)


def probe_ledger(probed: Probed) -> LedgerFacts:
    """Probe the ledger, and read from it."""
    if not database_exists(probed.ledger_url):
        return LedgerFacts(exists=False)
    failures, under_way, trouble = [], [], []
    with probing(probed.ledger_url) as engine:
        for model in probed.project.models:
            history = Orders(engine).of(model)
            ended = [order for order in history if order.ended]
            if ended and ended[-1].state == "failed":
                failures.append(f"Order {ended[-1].number} of {model} failed: {ended[-1].sentence}")
            under_way += [f"Order {order.number} of {model} is {order.state}." for order in history if not order.ended]
            rollout = Rollouts(engine).running(model)
            if rollout is not None:
                under_way.append(f"Version {rollout.version} of {model} is {rollout.state.replace('_', ' ')}.")
            findings = [incident.finding for incident in Incidents(engine).of(model) if incident.resolved_at is None]
            trouble += [finding.sentence for finding in findings if finding.kind == "loop_trouble"]
        releases = Releases(engine).all()
    return LedgerFacts(
        failures=tuple(failures),
        under_way=tuple(under_way),
        trouble=trouble[-1] if trouble else "",
        active=next((release.name for release in releases if release.state == "active"), ""),
        releasing=tuple(release.name for release in releases if not release.ended),
        pinned=pin(releases),
        is_pinned_by_failure=(last := last_judged(releases)) is not None and last.state == "failed",
    )


def probe_workflows(probed: Probed) -> WorkflowFacts:
    """Probe the database of the workflows: beside an SQLite ledger a file of its own, else in the ledger's."""
    is_file = sqlite_path(probed.ledger_url) is not None
    url = sqlite_url(probed.state / "loop.db") if is_file else probed.ledger_url
    if not database_exists(url):
        return WorkflowFacts(exists=False)
    table = sa.table("workflow_status", schema=None if is_file else "dbos")
    with probing(url) as engine, engine.connect() as connection:
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
    return WorkflowFacts()


def probe_online(probed: Probed) -> OnlineFacts:
    """Probe the online store."""
    file = sqlite_path(anchor_url(probed.project.settings.stores.online, probed.project.root))
    if file is None or not file.exists():
        return OnlineFacts(exists=False)
    written = read_watermarks(file)
    return OnlineFacts(age_s={view: (probed.now_us - until_us) / 1e6 for view, until_us in written.items()})


def probe_deployment(probed: Probed) -> DeploymentFacts:
    """Read the deployment record."""
    path = probed.state / "deployment.json"
    found = DeploymentRecord(path).read()
    if found is None:
        return DeploymentFacts()
    champions = {assigned.model: assigned.champion.version for assigned in found.models}
    return DeploymentFacts(number=found.number, age_s=probed.age_s(path), champions=champions)


def probe_journal(probed: Probed) -> JournalFacts:
    """Find the oldest segment of the log that waits to be shipped."""
    folder = probed.state / "journal"
    ages_s = [probed.age_s(path) for log in LOGS for path in (folder / log.name).glob(f"*{SEALED}")]
    return JournalFacts(unshipped_s=max(ages_s, default=0.0))

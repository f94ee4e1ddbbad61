"""Status of a project: versions, rollouts, orders, incidents, processes."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from everfit.core.clock import from_us
from everfit.core.finding import Incident
from everfit.core.order import OrderRecord
from everfit.core.release import Release
from everfit.core.rollout import Rollout
from everfit.loop.release_decisions import pin
from everfit.serving.worker_report import read_reports
from everfit.store.controller_report import is_alive, read_controller_report
from everfit.system import System


class ModelStatus(Struct, frozen=True, kw_only=True):
    """Status of one model."""

    model: str
    champion: int | None
    canary: int | None = None
    canary_share: float = 0.0
    shadow: int | None = None
    rollout: Rollout | None = None
    """The one that is under way."""
    order: OrderRecord | None = None
    """The newest."""
    policy: str = ""
    """The policy's last decision, as a sentence."""
    incidents: tuple[Incident, ...] = ()
    """Those that are open."""


class WorkerStatus(Struct, frozen=True, kw_only=True):
    """Status of one prediction worker."""

    slot: int
    pid: int
    alive: bool
    memory_bytes: int


class Status(Struct, frozen=True, kw_only=True):
    """Status of a project."""

    project: str
    level: str
    controller: int | None
    """The leading controller's process; ``None`` if none leads."""
    starting: bool
    """True while ``everfit up`` starts a controller in the place of one that ended."""
    busy: bool
    watched_until: datetime | None
    """The instant as of which the controller last made a round."""
    workers: tuple[WorkerStatus, ...]
    release: Release | None
    """The active one; ``None`` while this folder's code is what runs."""
    releasing: tuple[Release, ...]
    """Those that wait or are under way."""
    pinned: str
    """Why the active code is not that of the newest commit that was judged, as a sentence; empty if it is."""
    models: tuple[ModelStatus, ...]


def status(system: System) -> Status:
    """Return the status that the ledger, the deployment record and the processes' own reports give."""
    report = read_controller_report(system.state)
    leader = report if report is not None and is_alive(report.pid) else None
    says = report.says if report else {}
    workers = tuple(
        WorkerStatus(slot=worker.slot, pid=worker.pid, alive=is_alive(worker.pid), memory_bytes=worker.memory_bytes)
        for worker in read_reports(system.state / "workers").values()
    )
    releases = system.releases.all()
    return Status(
        project=system.project.name,
        level=system.project.settings.loop.level,
        controller=leader.pid if leader else None,
        starting=report is not None and report.is_expected,
        busy=leader is not None and leader.busy,
        watched_until=from_us(report.watched_until_us) if report and report.watched_until_us else None,
        workers=workers,
        release=next((release for release in releases if release.state == "active"), None),
        releasing=tuple(release for release in releases if not release.ended),
        pinned=pin(releases),
        models=tuple(_model(system, name, says.get(name, "")) for name in system.project.models),
    )


def _model(system: System, name: str, policy: str) -> ModelStatus:
    present = system.deployment.of(name)
    orders, incidents = system.orders.of(name), system.incidents.of(name, since=system.clock.now())
    return ModelStatus(
        model=name,
        champion=present.champion.version if present else None,
        canary=present.canary.version if present and present.canary else None,
        canary_share=present.canary_share if present else 0.0,
        shadow=present.shadow.version if present and present.shadow else None,
        rollout=system.rollouts.running(name),
        order=orders[-1] if orders else None,
        policy=policy,
        incidents=tuple(incident for incident in incidents if incident.resolved_at is None),
    )

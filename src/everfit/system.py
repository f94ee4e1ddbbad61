"""The running parts of one project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.artifact.provenance import CodeVersion, code_digest, code_version
from everfit.core.clock import Clock
from everfit.store.deployment import DeploymentRecord

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from everfit.artifact.package import Package
    from everfit.artifact.signing import Signer, Trust
    from everfit.definitions.project import Project
    from everfit.delivery.audit import Audit
    from everfit.delivery.rollouts import Rollouts
    from everfit.monitoring.incidents import Incidents
    from everfit.registry.registry import Registry
    from everfit.releases.releases import Releases
    from everfit.store.reader import Reader
    from everfit.store.sqlite_online import OnlineStore
    from everfit.triggers.orders import Orders


@dataclass(frozen=True)
class System:
    """The running parts of one project, put together by :mod:`everfit.wiring`."""

    project: Project
    clock: Clock
    state: Path
    """The folder that holds everything this project remembers."""
    journal: Path
    """The log that the prediction service writes."""
    lake: Path
    """The tables that the log is shipped to."""
    reader: Reader
    online: OnlineStore
    deployment: DeploymentRecord
    signer: Signer
    trust: Trust
    connect_ledger: Callable[[], Engine]
    connect_registry: Callable[[Engine], Registry]
    recorded_project: Callable[[Package], Project]
    """The definitions as they were when a package was made, from the code that is kept in it."""

    def code_version(self) -> CodeVersion:
        """Identify the code that the definitions come from, as it is now."""
        return code_version(self.project.code, commit=self.project.commit)

    def code_digest(self) -> str:
        """Return the digest of :meth:`code_version`, without running git; every round of the loop needs it."""
        return code_digest(self.project.code)

    @cached_property
    def ledger(self) -> Engine:
        """The ledger's database; opened, and brought up to date, when first used."""
        return self.connect_ledger()

    @cached_property
    def registry(self) -> Registry:
        """The registry; connected when first used, since MLflow takes seconds to import."""
        return self.connect_registry(self.ledger)

    @cached_property
    def orders(self) -> Orders:
        """Orders to retrain, and trainings by hand."""
        from everfit.triggers.orders import Orders

        return Orders(self.ledger)

    @cached_property
    def rollouts(self) -> Rollouts:
        """Rollouts of versions."""
        from everfit.delivery.rollouts import Rollouts

        return Rollouts(self.ledger)

    @cached_property
    def releases(self) -> Releases:
        """Releases of the project's code."""
        from everfit.releases.releases import Releases

        return Releases(self.ledger)

    @cached_property
    def audit(self) -> Audit:
        """Append-only log of manual and automatic changes."""
        from everfit.delivery.audit import Audit

        return Audit(self.ledger)

    @cached_property
    def incidents(self) -> Incidents:
        """Incidents, open and resolved."""
        from everfit.monitoring.incidents import Incidents

        return Incidents(self.ledger)

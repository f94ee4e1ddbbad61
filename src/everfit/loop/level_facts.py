"""Facts about the parts of a project, from which its level of automation is judged.

In every record ``problem`` is a sentence without a full stop: the reason why the part cannot be used, or empty. The
other fields are what was found, as far as it was.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Level = Literal["manual", "semi", "full"]


class DefinitionFacts(Struct, frozen=True, kw_only=True):
    """Facts of the project's definitions and settings."""

    project: str
    level: Level
    untrained: tuple[str, ...] = ()
    """Models without a trainer."""
    silent: tuple[str, ...] = ()
    """Models whose policy has no trigger."""
    approved: tuple[str, ...] = ()
    """Models whose rollouts wait for an approval."""
    gates: int = 0
    """Number of gates of the model that has the fewest."""
    ttl_s: dict[str, float] = {}
    """Time to live of every view that a model looks up, in seconds, by name."""
    trials: int = 0
    """Number of tuning trials of a training."""


class TrackingFacts(Struct, frozen=True, kw_only=True):
    """Facts of the tracking store, which is the registry's, too."""

    problem: str = ""
    registry_problem: str = ""
    exists: bool = True
    """False before the first training has made it."""
    runs: int | None = None
    """``None`` if the store does not tell."""
    versions: dict[str, tuple[int, ...]] | None = None
    """Registered versions by model; ``None`` if the store does not tell."""


class LedgerFacts(Struct, frozen=True, kw_only=True):
    """Facts of the ledger, and from it."""

    problem: str = ""
    exists: bool = True
    """False before the first command has made it."""
    failures: tuple[str, ...] = ()
    """Sentence of every model whose newest training that has ended failed."""
    under_way: tuple[str, ...] = ()
    """Sentences of the trainings and rollouts that have not ended."""
    trouble: str = ""
    """The open finding on the loop itself."""
    active: str = ""
    """The active release; empty while the project's own folder is what runs."""
    releasing: tuple[str, ...] = ()
    """Releases that wait or are under way."""
    pinned: str = ""
    """The reason why the active code is not that of the newest commit that was judged, as a clause; else empty."""
    is_pinned_by_failure: bool = False
    """True if that commit was not refused: its release could not be carried out."""


class WorkflowFacts(Struct, frozen=True, kw_only=True):
    """Facts of the database of the durable workflows."""

    problem: str = ""
    exists: bool = True


class OnlineFacts(Struct, frozen=True, kw_only=True):
    """Facts of the online store."""

    problem: str = ""
    exists: bool = True
    age_s: dict[str, float] = {}
    """Time since the instant up to which a view was written, in seconds, by view; those never written are left out."""


class DeploymentFacts(Struct, frozen=True, kw_only=True):
    """Facts of the deployment record."""

    problem: str = ""
    number: int = 0
    age_s: float = 0.0
    """Time since the last change, in seconds."""
    champions: dict[str, int] = {}
    """Version by model."""


class ControllerFacts(Struct, frozen=True, kw_only=True):
    """Facts of the leading controller."""

    problem: str = ""
    """The reason why none works, or why it does not."""
    process: int = 0
    round_age_s: float = 0.0
    """Time since its last report, which it writes with every round, in seconds."""


class WorkerFacts(Struct, frozen=True, kw_only=True):
    """Facts of one prediction worker."""

    slot: int
    problem: str = ""
    deployment: int = 0
    """Number of the deployment that it has loaded."""
    refused: tuple[str, ...] = ()
    """Sentences about versions that it could not load."""


class ServiceFacts(Struct, frozen=True, kw_only=True):
    """Facts of the prediction service: the workers that run, or that a living supervisor is to run."""

    problem: str = ""
    """The reason why its health endpoint does not answer as it should."""
    workers: tuple[WorkerFacts, ...] = ()
    url: str = ""


class JournalFacts(Struct, frozen=True, kw_only=True):
    """Facts of the log of predictions."""

    problem: str = ""
    unshipped_s: float = 0.0
    """Time since the oldest segment that is complete and was not shipped was completed, in seconds."""


class RepositoryFacts(Struct, frozen=True, kw_only=True):
    """Facts of the source repository."""

    problem: str = ""
    name: str = ""
    """Folder or URL."""
    branch: str = ""
    tip: str = ""
    """Newest commit of the branch."""
    watched: str = ""
    """Newest commit that the controller has recorded; empty if it has not read the branch."""


class DocumentFacts(Struct, frozen=True, kw_only=True):
    """Facts of the files beside the definitions."""

    problem: str = ""
    tests: int = 0
    """Files of the project's own tests."""
    readme: str = ""
    """Name of the file; empty for none."""
    design: tuple[str, ...] = ()
    """Paths of the files with a design record."""
    undesigned: tuple[str, ...] = ()
    """Models without a design record."""
    faults: tuple[str, ...] = ()
    """Sentences about what is wrong in the design records, or contradicts the code."""
    unfilled: tuple[str, ...] = ()
    """Paths of the files with placeholders."""
    overdue: tuple[str, ...] = ()
    """Paths of the files that should have been reviewed."""


class LevelFacts(Struct, frozen=True, kw_only=True):
    """Facts of all parts."""

    definitions: DefinitionFacts
    tracking: TrackingFacts = TrackingFacts()
    ledger: LedgerFacts = LedgerFacts()
    workflows: WorkflowFacts = WorkflowFacts()
    online: OnlineFacts = OnlineFacts()
    deployment: DeploymentFacts = DeploymentFacts()
    controller: ControllerFacts = ControllerFacts()
    service: ServiceFacts = ServiceFacts()
    journal: JournalFacts = JournalFacts()
    repository: RepositoryFacts = RepositoryFacts()
    documents: DocumentFacts = DocumentFacts()

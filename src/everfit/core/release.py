"""Records of releases: a commit that was tested and built, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

ReleaseState = Literal[
    "waiting",
    "running",
    "active",
    "retired",
    "unchanged",
    "superseded",
    "refused",
    "failed",
    "taken_back",
    "cancelled",
    "passed",
]
"""``passed`` is the end of a dry run of which every step passed; the others are of releases."""
StepName = Literal["tree", "environment", "check", "tests", "data", "training", "features", "activate"]
StepOutcome = Literal["passed", "refused", "failed", "skipped"]

STEPS: tuple[StepName, ...] = ("tree", "environment", "check", "tests", "data", "training", "features", "activate")
"""The steps of a release, in order."""
UNFINISHED: tuple[ReleaseState, ...] = ("waiting", "running")
ACTIVATED: tuple[ReleaseState, ...] = ("active", "retired", "taken_back")
"""States of a release that is or was in use."""
REJECTED: tuple[ReleaseState, ...] = ("refused", "failed", "taken_back")
"""States in which a commit is not tried again unless a person wants it."""
WATCH = "watch"
"""The actor of releases of commits that were found by watching the repository."""


class FeatureChange(Struct, frozen=True, kw_only=True):
    """Difference between the features of two releases, measured on the same rows."""

    model: str = ""
    feature: str
    change: Literal["added", "removed", "type", "values"]
    sentence: str
    changed_share: float | None = None
    """Share of the rows whose value differs, 0 to 1; ``None`` if there are not two values to compare."""
    largest_difference: float | None = None
    """Of two numbers of one row; ``None`` if there are no such rows."""


class StepRecord(Struct, frozen=True, kw_only=True):
    """One attempt at one step of a release."""

    step: StepName
    attempt: int
    """1 for the first of its step, those of earlier tries of the release included."""
    run: int = 1
    """The try of the release that it belongs to; see :attr:`Release.runs`."""
    started_at: datetime
    ended_at: datetime | None = None
    """``None`` while it runs, or if it was interrupted."""
    outcome: StepOutcome | None = None
    sentence: str = ""
    """The result, or the reason for the refusal, as a sentence."""
    log: str = ""
    """File with what the step printed, relative to the state folder."""


class Release(Struct, frozen=True, kw_only=True):
    """A commit on its way to be, or having been, the code that everything runs in."""

    number: int
    """Number in the sequence of all releases; 0 before it is recorded."""
    commit: str
    """The full commit id."""
    ref: str
    """The ref or revision that was asked for, such as ``refs/heads/main``."""
    subject: str = ""
    """First line of the commit's message."""
    author: str = ""
    asked_at: datetime
    actor: str
    """:data:`WATCH`, or the person."""
    reason: str = ""
    """The person's reason."""
    state: ReleaseState = "waiting"
    sentence: str = ""
    """The result as a sentence."""
    runs: int = 0
    """Number of times that its steps were begun from the first one: more than 1 if it was wanted again."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    steps: tuple[StepRecord, ...] = ()
    """All attempts at its steps, oldest first."""
    code: str = ""
    """``sha256:…`` of its code, by which a training knows it; see :func:`everfit.artifact.provenance.code_version`."""
    content: str = ""
    """``sha256:…`` of its code and design; see :func:`everfit.artifact.provenance.release_digest`."""
    tree: str = ""
    """Folder of its code, relative to the state folder."""
    environment: str = ""
    """Folder of its environment, relative to the state folder; empty for Everfit's own environment."""
    features: tuple[FeatureChange, ...] = ()
    """Against the release that was active before."""
    activated_at: datetime | None = None
    """When its steps last led to its being the active one."""
    previous: int = 0
    """Number of the release that was active before it; 0 for the project's own folder."""
    collected_at: datetime | None = None
    """When its code and environment were deleted, since nothing needed them; ``None`` while they are there."""

    @property
    def ended(self) -> bool:
        """Return true if nothing more is done for it."""
        return self.state not in UNFINISHED

    @property
    def name(self) -> str:
        """Return its number, short commit id and subject, for a sentence."""
        return f"release {self.number} ({self.commit[:7]}{f': {self.subject}' if self.subject else ''})"

    def step(self, step: StepName) -> StepRecord | None:
        """Return the newest attempt at a step in the present run; ``None`` if there was none."""
        attempts = [record for record in self.steps if record.step == step and record.run == self.runs]
        return attempts[-1] if attempts else None

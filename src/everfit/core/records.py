"""What the stations hand each other: frozen values that can be written as JSON.

Values that carry arrays or frames are in :mod:`everfit.core.evidence`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct


class SourceVersion(Struct, frozen=True, kw_only=True):
    """Exactly which rows a source held when it was read."""

    name: str
    kind: str
    location: str
    """The path, URL or function that was read, with placeholders left as the project wrote them."""
    version: str
    """``sha256:…`` of the content, or ``delta:N``; equal versions mean equal rows."""
    files: int = 0
    """How many files were read; 0 where there are none."""


class FrameManifest(Struct, frozen=True, kw_only=True):
    """What a training frame was made of: enough to make it again, and to see whether it came out the same."""

    model: str
    start: datetime
    """First event time, inclusive."""
    end: datetime
    """Last event time, exclusive."""
    as_of: datetime
    """Nothing that became known later was used."""
    sources: tuple[SourceVersion, ...]
    views: tuple[str, ...]
    query: str
    """The definitions in words: events, filter, label, views with their ttl."""
    columns: tuple[str, ...]
    rows: int
    labelled: int
    digest: str
    """``sha256:…`` of every value of the frame, in order of time and id."""


class Score(Struct, frozen=True, kw_only=True):
    """One metric on some rows, with its bootstrap interval."""

    metric: str
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    greater_is_better: bool
    rows: int


class SliceScore(Struct, frozen=True, kw_only=True):
    """A metric on the rows where a column has one value."""

    column: str
    value: str
    score: Score


class Trial(Struct, frozen=True, kw_only=True):
    """One set of parameters that tuning tried."""

    number: int
    params: dict[str, str | int | float | bool | None]
    value: float | None
    """The metric on the validation rows; ``None`` if it was pruned or failed."""
    state: Literal["complete", "pruned", "failed"]
    duration_s: float


class Split(Struct, frozen=True, kw_only=True):
    """A split by time: rows before ``validation_from`` train, before ``holdout_from`` validate, the rest is
    held out.
    """

    start: datetime
    validation_from: datetime
    holdout_from: datetime
    end: datetime
    train_rows: int
    validation_rows: int
    holdout_rows: int


class Verdict(Struct, frozen=True, kw_only=True):
    """What one gate said."""

    gate: str
    """Name of the gate."""
    outcome: Literal["passed", "failed", "skipped"]
    """``skipped`` where there was nothing to test; only ``failed`` refuses a candidate."""
    sentence: str
    """What was found and what it means, in plain words, with its numbers."""
    value: float | None = None
    """The figure that was tested, if it is one."""
    threshold: float | None = None
    """The limit that it was held against."""


class GateReport(Struct, frozen=True, kw_only=True):
    """All verdicts on one candidate."""

    model: str
    """Name of the model."""
    verdicts: tuple[Verdict, ...]
    """In the order in which the gates were tried."""

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(verdict.outcome != "failed" for verdict in self.verdicts)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """The verdicts that failed."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome == "failed")


class ModelVersion(Struct, frozen=True, kw_only=True):
    """A registered version: package digest, run, code, data and gate report."""

    model: str
    """Name of the model."""
    version: int
    """Number of the version, from 1."""
    digest: str
    """``sha256:`` and the digest of the package."""
    run_id: str
    """The training's run in MLflow."""
    location: str
    """URI of the package folder."""
    created_at: datetime
    """When it was registered, in UTC."""
    aliases: tuple[str, ...] = ()
    """Of ``champion``, ``challenger`` and ``previous``, those that it bears."""
    tags: dict[str, str] = {}
    """Its lineage: code, commit, data, order and score, each as text."""


class AliasChange(Struct, frozen=True, kw_only=True):
    """Who became what, when and why: a line of the append-only history."""

    model: str
    alias: str
    version: int | None
    """``None`` when the alias was taken away."""
    changed_at: datetime
    actor: str
    reason: str


class Problem(Struct, frozen=True, kw_only=True):
    """Something that a check found."""

    place: str
    rule: str
    value: str
    remedy: str
    severity: Literal["error", "warning"] = "error"


class DesignCheck(Struct, frozen=True, kw_only=True):
    """Everything that a check of the definitions against the data found, at once."""

    project: str
    checked: tuple[str, ...]
    """What was looked at, one short line each."""
    problems: tuple[Problem, ...]

    @property
    def passed(self) -> bool:
        """Whether there are no errors; warnings do not count."""
        return all(problem.severity != "error" for problem in self.problems)

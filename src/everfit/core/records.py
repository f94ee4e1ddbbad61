"""Records that are passed between stations: frozen values that can be written as JSON.

Values that carry arrays or frames are in :mod:`everfit.core.evidence`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct


class SourceVersion(Struct, frozen=True, kw_only=True):
    """Identity of a source's rows when it was read."""

    name: str
    kind: str
    location: str
    """The path, URL or function that was read, with placeholders as in the project file."""
    version: str
    """``sha256:…`` of the content, or ``delta:N``; equal versions mean equal rows."""
    files: int = 0
    """Number of files that were read."""


class FrameManifest(Struct, frozen=True, kw_only=True):
    """Origin of a training frame: enough to build it again and to compare the two."""

    model: str
    start: datetime
    """First event time, inclusive."""
    end: datetime
    """Last event time, exclusive."""
    as_of: datetime
    """Only what was known at this time was used."""
    sources: tuple[SourceVersion, ...]
    views: tuple[str, ...]
    query: str
    """The definitions as text: events, filter, label, views with their ttl."""
    columns: tuple[str, ...]
    rows: int
    labelled: int
    digest: str
    """``sha256:…`` of every value of the frame, in order of time and id."""
    history: str = ""
    """The model's training windows, as text, where ``start`` follows from them; empty otherwise."""
    history_choice: str = ""
    """Sentence on the training window that was chosen, with figures; empty where there was nothing to choose."""


class Score(Struct, frozen=True, kw_only=True):
    """A metric on some rows, with its bootstrap interval."""

    metric: str
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    greater_is_better: bool
    rows: int


class SliceScore(Struct, frozen=True, kw_only=True):
    """A metric on the rows with one value of a column."""

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


class TimeSplit(Struct, frozen=True, kw_only=True):
    """A split by event time: rows before ``validation_from`` train, those before ``holdout_from`` validate, the rest is
    the hold-out.
    """

    start: datetime
    validation_from: datetime
    holdout_from: datetime
    end: datetime
    train_rows: int
    validation_rows: int
    holdout_rows: int
    holdout_rule: str = ""
    """The size of the hold-out in words; empty for a version that is older than this field."""


class Verdict(Struct, frozen=True, kw_only=True):
    """Result of one test of a gate."""

    gate: str
    """Name of the gate."""
    outcome: Literal["passed", "failed", "skipped"]
    """``skipped`` if there was nothing to test; only ``failed`` refuses a candidate."""
    sentence: str
    """Description of the result and its meaning, with numbers."""
    value: float | None = None
    """The number that was tested, if it is one."""
    threshold: float | None = None
    """The limit that the number was compared with."""


class GateReport(Struct, frozen=True, kw_only=True):
    """All verdicts about one candidate."""

    model: str
    """Name of the model."""
    verdicts: tuple[Verdict, ...]
    """In the order of the gates."""

    @property
    def passed(self) -> bool:
        """Return ``True`` if no gate failed."""
        return all(verdict.outcome != "failed" for verdict in self.verdicts)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """Return the verdicts that failed."""
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
    """Id of the training's run in MLflow."""
    location: str
    """URI of the package folder."""
    created_at: datetime
    """When it was registered, in UTC."""
    aliases: tuple[str, ...] = ()
    """Those of ``champion``, ``challenger`` and ``previous`` that point to it."""
    tags: dict[str, str] = {}
    """Its lineage: code, commit, data, order and score, each as text."""


class AliasChange(Struct, frozen=True, kw_only=True):
    """One line of the append-only history of aliases."""

    model: str
    alias: str
    version: int | None
    """``None`` if the alias was removed."""
    changed_at: datetime
    actor: str
    reason: str


class Problem(Struct, frozen=True, kw_only=True):
    """A problem that a check found."""

    place: str
    rule: str
    value: str
    remedy: str
    severity: Literal["error", "warning"] = "error"


class DesignCheck(Struct, frozen=True, kw_only=True):
    """Result of a check of the definitions against the data."""

    project: str
    checked: tuple[str, ...]
    """Objects that were checked, one short line each."""
    windows: tuple[str, ...] = ()
    """The training window of every model that has one, with its labelled events, one sentence each."""
    problems: tuple[Problem, ...]
    sampled: tuple[str, ...] = ()
    """Sources of which a sample was checked, one short line each; all others were checked whole."""

    @property
    def passed(self) -> bool:
        """Return ``True`` if there are no errors; warnings do not count."""
        return all(problem.severity != "error" for problem in self.problems)

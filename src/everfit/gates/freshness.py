"""Gate: age of the newest row of every source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from everfit.core.duration import format_roughly, parse_duration
from everfit.core.evidence import Evidence, SourceFreshness
from everfit.core.records import Verdict
from everfit.gates.verdict import decide, skip


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """The newest row behind every view must be young enough at the end of the frame, or its features go missing.

    Args:
        max_age: The oldest that a source's newest row may be, ``"2h"``; by default the ttl of the view it feeds.

    Raises:
        DefinitionError: If ``max_age`` is not a positive duration.
    """

    max_age: str = ""

    name: ClassVar[str] = "freshness"

    def __post_init__(self) -> None:
        if self.max_age:
            parse_duration(self.max_age, name="max_age")

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the highest age as a multiple of what is allowed."""
        if not evidence.freshness:
            return [skip(self.name, "0 views are looked up, so no source can be stale.")]
        stale = [found for found in evidence.freshness if self._relative_age(found) > 1.0]
        worst = max(evidence.freshness, key=self._relative_age)
        if stale:
            clauses = "; ".join(self._describe(found) for found in stale)
            sentence = f"{len(stale)} of {len(evidence.freshness)} views are fed by a stale source: {clauses}."
        else:
            oldest = self._describe(worst)
            sentence = f"None of {len(evidence.freshness)} views is fed by a stale source; the oldest: {oldest}."
        return [decide(self.name, not stale, sentence, value=self._relative_age(worst), threshold=1.0)]

    def _limit(self, found: SourceFreshness) -> timedelta:
        return parse_duration(self.max_age) if self.max_age else found.ttl

    def _relative_age(self, found: SourceFreshness) -> float:
        return float("inf") if found.age is None else found.age / self._limit(found)

    def _describe(self, found: SourceFreshness) -> str:
        if found.age is None:
            return f"{found.source} for {found.view} holds 0 rows"
        age = format_roughly(found.age)
        return (
            f"{found.source} for {found.view} ended {age} before the frame, allowed are "
            f"{format_roughly(self._limit(found))}"
        )

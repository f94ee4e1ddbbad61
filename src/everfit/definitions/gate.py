"""Protocol of gates, which a project may implement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from everfit.core.evidence import Evidence
from everfit.core.records import Verdict


@runtime_checkable
class Gate(Protocol):
    """A test that a candidate must pass before it is registered.

    A gate is a frozen value. Its verdicts depend only on the evidence. For a bad candidate it returns a failed
    verdict; it does not raise.
    """

    @property
    def name(self) -> str:
        """Name of the gate in reports, in snake case."""

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """Return one verdict or more, each with value, threshold and a sentence."""

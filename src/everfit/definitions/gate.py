"""Protocol of gates, which a project may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        ...

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """Return one verdict or more, each with value, threshold and a sentence."""
        ...

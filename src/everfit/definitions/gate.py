"""What a gate is, so that a model can name its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everfit.core.evidence import Evidence
    from everfit.core.records import Verdict


@runtime_checkable
class Gate(Protocol):
    """A test that a candidate must pass before it may ship.

    A gate is a frozen value. It judges from the evidence alone, so that the same gate gives the same verdicts
    live and in a backtest; it never raises for a bad candidate, it says so.
    """

    @property
    def name(self) -> str:
        """Its name in the report, in snake case."""
        ...

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict or more, each with its value, threshold and a sentence."""
        ...

"""Gates that a project defines as functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.core.user_code import describe_raise
from everfit.gates.verdict import decide, refuse

_RAISED = "The gate itself raised"
_RETURNS = "A gate returns a bool, (passed, value, threshold[, sentence]) or verdicts"


def is_broken(verdict: Verdict) -> bool:
    """Return ``True`` if the verdict is about the gate's own function: it raised, or returned something else."""
    return _RAISED in verdict.sentence or verdict.sentence.startswith(_RETURNS)


@dataclass(frozen=True, kw_only=True)
class OwnGate:
    """A gate that calls a function of the project; see :func:`gate`."""

    name: str
    sentence: str
    function: Callable[[Evidence], Any] = field(compare=False)

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """Return the function's verdicts; a failed one with the exception's text if it raises."""
        try:
            result = self.function(evidence)
        except Exception as error:  # noqa: BLE001 - the project's own code may raise anything, and a report must come out
            return [refuse(self.name, f"{self.sentence} {_RAISED} {describe_raise(error)}.")]
        if isinstance(result, Verdict):
            return [result]
        if isinstance(result, list | tuple) and result and all(isinstance(one, Verdict) for one in result):
            return list(result)
        passed, value, threshold, sentence = (*result, "")[:4] if _is_judgement(result) else (result, None, None, "")
        if not isinstance(passed, bool | np.bool_):
            return [refuse(self.name, f"{_RETURNS}, but {self.name} returned {result!r}.")]
        words = sentence or self.sentence
        if value is None:
            return [Verdict(gate=self.name, outcome="passed" if passed else "failed", sentence=words)]
        if not sentence:
            words += f" Found {value:g}" + ("." if threshold is None else f", threshold {threshold:g}.")
        limit = None if threshold is None else float(threshold)
        return [decide(self.name, bool(passed), words, value=value, threshold=limit)]


def gate(function: Callable[[Evidence], Any]) -> OwnGate:
    """Make a gate from a function of :class:`~everfit.Evidence`.

    Its name is the gate's name and its docstring the sentence of the report. It returns whether the candidate passes:
    a bool; or ``(passed, value, threshold)``, optionally followed by a sentence; or one :class:`~everfit.Verdict` or
    several. If it raises, the candidate fails with the exception's text.

    Args:
        function: Takes one :class:`~everfit.Evidence`.

    >>> @gate
    ... def answers_vary(evidence):
    ...     \"\"\"Not every row gets the same answer.\"\"\"
    ...     spread = float(evidence.predicted.std())
    ...     return spread > 0.01, spread, 0.01
    >>> answers_vary.name
    'answers_vary'
    """
    name = function.__name__
    sentence = inspect.getdoc(function) or f"{name.replace('_', ' ').capitalize()}."
    return OwnGate(name=name, sentence=" ".join(sentence.split()), function=function)


def _is_judgement(result: object) -> bool:
    """Return true for ``(passed, value, threshold[, sentence])``."""
    numbers = result[1:3] if isinstance(result, tuple) and len(result) in (3, 4) else ("",)
    return all(number is None or isinstance(number, int | float | np.number) for number in numbers)

"""Result of a step that looks for problems."""

from __future__ import annotations

from collections.abc import Iterable

from everfit.core.records import Problem
from everfit.core.release_trial import TrialResult, TrialStep
from everfit.design.problems import sentence_of

_SHOWN = 3


def result_of(step: TrialStep, problems: Iterable[Problem], *, passed: str) -> TrialResult:
    """Return the result of a step that found these problems: errors refuse the code, warnings are reported.

    ``passed`` is the sentence if there is no error.
    """
    found = tuple(dict.fromkeys(problems))
    errors = [problem for problem in found if problem.severity == "error"]
    if errors:
        return TrialResult(step=step, outcome="refused", sentence=_listed(errors), problems=found)
    warnings = f" {len(found)} warned: {_listed(found)}" if found else ""
    return TrialResult(step=step, outcome="passed", sentence=passed + warnings, problems=found)


def _listed(problems: Iterable[Problem]) -> str:
    sentences = [sentence_of(problem) for problem in problems]
    more = f" And {len(sentences) - _SHOWN} more." if len(sentences) > _SHOWN else ""
    return " ".join(sentences[:_SHOWN]) + more

"""Records of a release's trial: the request, and the result of each step that new code goes through before it is used.

``everfit release-trial STEP... --folder FOLDER`` reads ``request.json`` in the folder and carries the steps out in
order, until one does not pass. Each leaves ``STEP.json`` (:class:`TrialResult`), whole or not at all, and ``STEP.log``,
what it printed. Steps in one process share its start, the definitions and the data, which take most of the time: call
it once with all of :data:`TRIAL_STEPS`, in the project's folder, as trainings run. It writes below its own folder only,
and reads nothing of the project's state.

``features`` compares with the features of the release before. Carry its step ``features`` out first, in its own tree
and environment, in a folder below this one, where confined code can read it; the request then names it as ``previous``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from everfit.core.records import GateReport, Problem
from everfit.core.release import FeatureChange, StepOutcome

TrialStep = Literal["check", "tests", "data", "training", "features"]

TRIAL_STEPS: tuple[TrialStep, ...] = ("check", "tests", "data", "training", "features")
"""The steps that a trial may have, in order."""
REQUEST = "request.json"


class TrialRequest(Struct, frozen=True, kw_only=True):
    """Input of a trial, fixed before it begins."""

    home: str
    """The project's folder; the data of its sources starts there."""
    tree: str
    """Folder of the new code, with everfit.toml and the project's module."""
    as_of: datetime
    """Nothing that became known later is used."""
    sample_rows: int = 5000
    """Largest number of labelled events that data tests, training and features are tried on: the newest."""
    paths: dict[str, str] = {}
    """The operator's ``[paths]``; a relative one starts at ``home``."""
    served: tuple[str, ...] = ()
    """Models of which a version serves."""
    previous: str = ""
    """Folder of the trial of the release before, with its ``features``; empty if there is none to compare with."""


class FailedTest(Struct, frozen=True, kw_only=True):
    """A test of the project that failed."""

    test: str
    """``tests/test_project.py::test_name``."""
    reason: str
    """First line of the assertion, or of the exception."""


class TrialResult(Struct, frozen=True, kw_only=True):
    """Result of one step."""

    step: TrialStep
    outcome: StepOutcome
    """``refused`` for what the author of the code must change, ``failed`` for what is not the code's fault."""
    sentence: str
    """The result, or the reason for it, with a remedy."""
    duration_s: float = 0.0
    problems: tuple[Problem, ...] = ()
    """Errors and warnings of ``check`` and ``data``."""
    failed_tests: tuple[FailedTest, ...] = ()
    reports: tuple[GateReport, ...] = ()
    """Verdicts of the gates on the models of the smoke training, on a sample."""
    features: tuple[FeatureChange, ...] = ()
    """Against the previous release."""


def result_file(step: TrialStep) -> str:
    """Return the name of the file with a step's result."""
    return f"{step}.json"


def log_file(step: TrialStep) -> str:
    """Return the name of the file with what a step printed."""
    return f"{step}.log"

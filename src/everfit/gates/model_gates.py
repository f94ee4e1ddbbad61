"""Gates of the packaged model: repeatable training, equal predictions after loading, odd rows, latency."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from everfit.artifact.equivalence import TOLERANCES, relative_difference
from everfit.core.errors import DefinitionError, EverfitError
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.data_gates import features_of, is_category
from everfit.gates.verdict import decide, refuse, skip

TIMED_ROWS = 300
ROUNDS = 3
BUDGET_S = 5.0
EXTREME = 1e15
_NOT_FINITE = "the prediction is"
_SUM_TOLERANCE = 1e-5
"""Hundreds of probabilities in float32 add up to 1 within some 1e-6."""


@dataclass(frozen=True, kw_only=True)
class Reload:
    """The package, saved and loaded again, must predict what the estimator in memory predicts.

    Args:
        tolerance: The largest difference in units of the predictions' magnitude (1 for probabilities). By default that
            of the arithmetic of the runtime that serves: 1e-9 for float64, 1e-6 for float32.
    """

    tolerance: float | None = None
    name: ClassVar[str] = "reload"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the largest difference."""
        tolerance = TOLERANCES[evidence.arithmetic] if self.tolerance is None else self.tolerance
        runtime, rows = f"the runtime {evidence.runtime} in {evidence.arithmetic}", len(evidence.predicted)
        try:
            loaded = evidence.predict_packaged()
        except Exception as error:  # noqa: BLE001 - whatever the estimator's library raises is the finding
            sentence = f"The saved package cannot predict the {rows} rows of the hold-out by {runtime}: {error}"
            return [refuse(self.name, sentence, threshold=tolerance)]
        difference = relative_difference(loaded, evidence.predicted, evidence.task)
        sentence = (
            f"Saved, loaded again and executed by {runtime}, the predictions of {rows} rows differ by "
            f"{difference:.2g} of their magnitude at most; allowed are {tolerance:g}."
        )
        return [decide(self.name, difference <= tolerance, sentence, value=difference, threshold=tolerance)]


@dataclass(frozen=True, kw_only=True)
class Determinism:
    """Fitted twice on the same rows with the same seed, the estimator must predict the same, so that versions can be
    reproduced.

    Args:
        tolerance: The largest difference in units of the predictions' magnitude (1 for probabilities); threads may
            change the order of sums.
    """

    tolerance: float = 1e-9
    name: ClassVar[str] = "determinism"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the largest difference."""
        try:
            first, second = evidence.fit_again()
        except EverfitError as error:
            sentence = f"The trainer could not be called 2 more times: {error}"
            return [refuse(self.name, sentence, threshold=self.tolerance)]
        difference = relative_difference(first, second, evidence.task)
        passed = difference <= self.tolerance
        remedy = "" if passed else " Give the estimator the trainer's seed as random_state."
        sentence = (
            f"Fitted twice with the seed {evidence.seed}, predictions differ by {difference:.2g} of their magnitude at "
            f"most; allowed are {self.tolerance:g}.{remedy}"
        )
        return [decide(self.name, passed, sentence, value=difference, threshold=self.tolerance)]


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """The packaged model must give a finite prediction in range where values are missing, unseen or extreme.

    A row of the hold-out is predicted with every feature missing, each missing in turn, each category replaced by an
    unseen one, and each number by one of the order of 1e15. For such a number the prediction may overflow, as the
    exponential of a sum does: the service refuses a row without a finite prediction (422), and the verdict counts it.
    """

    name: ClassVar[str] = "robustness"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the number of rows without a proper prediction."""
        features = features_of(evidence)
        if not features or evidence.holdout.is_empty():
            return [_nothing_to_predict(self.name, evidence)]
        tried, overflows, problems = 0, 0, []
        for what, row, extreme in _unusual_rows(evidence, features):
            tried += 1
            problem = _problem(evidence, row)
            if extreme and problem.startswith(_NOT_FINITE):
                overflows += 1
            elif problem:
                problems.append(f"{what}: {problem}")
        if problems:
            more = f" and {len(problems) - 2} more" if len(problems) > 2 else ""
            sentence = (
                f"{len(problems)} of {tried} unusual rows got no proper prediction: {'; '.join(problems[:2])}{more}. "
                f"Impute, or use an estimator that takes NaN."
            )
        elif overflows:
            sentence = (
                f"{tried - overflows} of {tried} rows with missing, unseen or extreme values got a finite prediction "
                f"in range; for the other {overflows}, with numbers of {EXTREME:g}, the prediction overflows and the "
                f"service refuses the row."
            )
        else:
            sentence = f"All {tried} rows with missing, unseen or extreme values got a finite prediction in range."
        return [decide(self.name, not problems, sentence, value=len(problems), threshold=0.0)]


def _nothing_to_predict(gate: str, evidence: Evidence) -> Verdict:
    return skip(gate, f"There are {len(features_of(evidence))} features and {len(evidence.holdout)} rows to predict.")


def _unusual_rows(evidence: Evidence, features: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Unusual rows, each with its description and ``True`` if it holds an extreme number."""
    row = evidence.holdout.select(features).row(0, named=True)
    yield "every feature missing", dict.fromkeys(features), False
    for name in features:
        dtype = evidence.holdout.schema[name]
        yield f"{name} missing", {**row, name: None}, False
        if is_category(dtype):
            yield f"{name} unseen", {**row, name: "a category that training never saw"}, False
        elif dtype.is_numeric():
            # Whole numbers stay whole, as a caller would have to send them.
            extreme = int(EXTREME) if dtype.is_integer() else EXTREME
            yield f"{name} = {EXTREME:g}", {**row, name: extreme}, True
            yield f"{name} = {-EXTREME:g}", {**row, name: -extreme}, True


def _problem(evidence: Evidence, row: Mapping[str, Any]) -> str:
    """Describe the fault of the prediction; empty if it has none."""
    try:
        prediction = np.asarray(evidence.answer(row), dtype=np.float64)
    except Exception as error:  # noqa: BLE001 - whatever the user's estimator raises is the finding
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'without a message'}"
    shape = (1, len(evidence.classes)) if evidence.task == "multiclass" else (1,)
    if prediction.shape != shape:
        return f"the prediction has shape {prediction.shape} instead of {shape}"
    if not np.isfinite(prediction).all():
        return f"{_NOT_FINITE} {prediction.ravel().tolist()}"
    if evidence.task != "regression" and (prediction.min() < 0 or prediction.max() > 1):
        return f"the probability {prediction.ravel().tolist()} is not between 0 and 1"
    if evidence.task == "multiclass" and abs(prediction.sum() - 1) > _SUM_TOLERANCE:
        return f"the probabilities add up to {prediction.sum():.6g}"
    return ""


@dataclass(frozen=True, kw_only=True)
class MaxLatency:
    """One row must be predicted in time, through the path that serves it: encoding and model, without HTTP.

    Up to 300 rows are predicted three times each, for five seconds at most, and a row's time is its shortest, so that
    other load on the machine counts little.

    Args:
        p99_ms: The longest that 99 % of rows may take; without it, the figure is only recorded.

    Raises:
        DefinitionError: If ``p99_ms`` is not positive.
    """

    p99_ms: float | None = None
    name: ClassVar[str] = "max_latency"

    def __post_init__(self) -> None:
        if self.p99_ms is not None and not self.p99_ms > 0:
            raise DefinitionError("p99_ms must be positive", value=self.p99_ms, place=self.name)

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the 99th percentile in milliseconds."""
        rows = evidence.holdout.head(TIMED_ROWS).select(features_of(evidence)).to_dicts()
        if not rows:
            return [_nothing_to_predict(self.name, evidence)]
        try:
            times_ms = _times_ms(evidence, rows)
        except Exception as error:  # noqa: BLE001 - whatever the user's estimator raises is the finding
            sentence = f"None of {len(rows)} rows could be timed, {type(error).__name__}: {error}"
            return [refuse(self.name, sentence, threshold=self.p99_ms)]
        median, p99 = np.quantile(times_ms, [0.5, 0.99])
        limit = "" if self.p99_ms is None else f"; allowed are {self.p99_ms:g} ms"
        sentence = f"99 % of {len(times_ms)} rows take at most {p99:.3g} ms, half at most {median:.3g} ms{limit}."
        passed = self.p99_ms is None or bool(p99 <= self.p99_ms)
        return [decide(self.name, passed, sentence, value=float(p99), threshold=self.p99_ms)]


def _times_ms(evidence: Evidence, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the shortest time of each row, of as many rows as the budget allows."""
    # The first predictions pay for imports and caches that a running service has behind it.
    for row in rows[:10]:
        evidence.answer(row)
    times: list[float] = []
    started = time.perf_counter()
    for row in rows:
        quickest = float("inf")
        for _ in range(ROUNDS):
            before = time.perf_counter()
            evidence.answer(row)
            quickest = min(quickest, time.perf_counter() - before)
        times.append(quickest * 1000)
        if time.perf_counter() - started > BUDGET_S:
            break
    return times

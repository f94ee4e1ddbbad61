"""Gate: predictions for missing, unseen and extreme values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.columns import features_of, is_category
from everfit.gates.verdict import decide, skip

UNSEEN = "a category that training never saw"
EXTREME = 1e15
_NOT_FINITE = "the prediction is"
_SUM_TOLERANCE = 1e-5
"""Hundreds of probabilities in float32 add up to 1 within some 1e-6."""


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
            return [skip(self.name, f"There are {len(features)} features and {len(evidence.holdout)} rows to predict.")]
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


def _unusual_rows(evidence: Evidence, features: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Unusual rows, each with its description and ``True`` if it holds an extreme number."""
    row = evidence.holdout.select(features).row(0, named=True)
    yield "every feature missing", dict.fromkeys(features), False
    for name in features:
        dtype = evidence.holdout.schema[name]
        yield f"{name} missing", {**row, name: None}, False
        if is_category(dtype):
            yield f"{name} unseen", {**row, name: UNSEEN}, False
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

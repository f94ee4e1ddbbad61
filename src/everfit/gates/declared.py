"""Gates that a design record declares, and contradictions between its thresholds and those of the code."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import polars as pl

from everfit.core.design_record import Contradiction, DeclaredSlice, DesignRecord, ServiceLimits, SuccessCriteria
from everfit.core.errors import DefinitionError
from everfit.core.evidence import Evidence, Task
from everfit.core.records import Verdict
from everfit.core.suggestion import did_you_mean
from everfit.definitions.gate import Gate
from everfit.definitions.model import Model
from everfit.gates.comparison import compare_paired
from everfit.gates.model_gates import MaxLatency
from everfit.gates.slices import Slices
from everfit.gates.verdict import decide, refuse
from everfit.measures.interval import bootstrap_interval
from everfit.measures.quality import metric_for


def declared_gates(record: DesignRecord, model: Model) -> tuple[Gate, ...]:
    """Return the gates of a record's thresholds, without those that the model's code sets itself."""
    success = record.success.model
    limits: list[Gate] = []
    if success.at_least is not None or success.at_most is not None:
        limits.append(DeclaredMetric(at_least=success.at_least, at_most=success.at_most))
    if success.over_baseline or record.baseline.column or record.baseline.value is not None:
        column, value = record.baseline.column, record.baseline.value
        limits.append(BeatsDeclaredBaseline(by=success.over_baseline, column=column, value=value))
    code = code_limits(model)
    gaps = [Slices(one.column, max_gap=one.max_gap) for one in record.slices if one.column not in code.gaps]
    latency = [MaxLatency(p99_ms=record.service.p99_ms)] if code.p99_ms is None else []
    return (*limits, *gaps, *latency)


class CodeLimits(NamedTuple):
    """Limits that a model's own gates set."""

    p99_ms: float | None
    gaps: Mapping[str, float]
    """By column."""


def code_limits(model: Model) -> CodeLimits:
    """Return the limits of a model's gates that a design record states as well."""
    gaps = {gate.column: gate.max_gap for gate in model.gates if isinstance(gate, Slices)}
    limits = [gate.p99_ms for gate in model.gates if isinstance(gate, MaxLatency) and gate.p99_ms is not None]
    return CodeLimits(limits[-1] if limits else None, gaps)


def contradicting_thresholds(parts: Mapping[str, Any], model: Model) -> Iterator[Contradiction]:
    """Yield the thresholds of a record that differ from the code's; ``parts`` are its fields without faults."""
    if "success" in parts:
        yield from _metric(parts["success"], model)
    if "slices" in parts:
        yield from _slices(parts["slices"], model)
    if "service" in parts:
        yield from _latency(parts["service"], model)


@dataclass(frozen=True, kw_only=True)
class DeclaredMetric:
    """The model's metric on the hold-out must reach the threshold of the design record.

    Args:
        at_least: Least value; ``None`` if less is better.
        at_most: Largest value; ``None`` if more is better.
    """

    at_least: float | None = None
    at_most: float | None = None
    name: ClassVar[str] = "design_metric"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the metric."""
        metric, rows = metric_for(evidence.metric, evidence.task), len(evidence.truth)
        threshold = self.at_most if self.at_least is None else self.at_least
        assert threshold is not None
        drawn = {"resamples": evidence.bootstrap, "seed": evidence.seed}
        found = bootstrap_interval(metric, evidence.truth, evidence.predicted, **drawn, weight=evidence.weight)
        if not math.isfinite(found.value):
            sentence = f"The metric {metric.name} cannot be measured on these {rows} rows."
            return [refuse(self.name, sentence, threshold=threshold)]
        word = "at most" if self.at_least is None else "at least"
        sentence = (
            f"The metric {metric.name} is {found.value:.4g} on {rows} rows, between {found.low:.4g} and "
            f"{found.high:.4g} by bootstrap; the design record requires {word} {threshold:g}."
        )
        passed = metric.worse_by(found.value, threshold) <= 0
        return [decide(self.name, passed, sentence, value=found.value, threshold=threshold)]


@dataclass(frozen=True, kw_only=True)
class BeatsDeclaredBaseline:
    """The candidate must be better than the baseline of the design record, by as much as that requires.

    Against a column, and against the trivial baseline, it must also be significantly better, by paired bootstrap.

    Args:
        by: Least improvement, in the metric's unit.
        column: Column with the baseline's predictions; empty for none.
        value: The baseline's metric, measured elsewhere.
    """

    by: float
    column: str = ""
    value: float | None = None
    name: ClassVar[str] = "design_baseline"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is how much better the candidate is, in the metric's unit."""
        if self.value is not None:
            metric = metric_for(evidence.metric, evidence.task)
            found = metric.compute(evidence.truth, evidence.predicted, evidence.weight)
            gain = -metric.worse_by(found, self.value)
            words = (
                f"{metric.name} is {found:.4g} on {len(evidence.truth)} rows against the baseline's {self.value:.4g}"
            )
            return [self._verdict(gain > 0, gain, words)]
        rows, baseline = np.ones(len(evidence.truth), dtype=bool), evidence.baseline
        if self.column:
            problem = unusable_baseline(evidence.holdout, self.column, evidence.task)
            if problem:
                sentence = f"The baseline cannot be measured on {len(rows)} rows: {problem}."
                return [refuse(self.name, sentence, threshold=self.by)]
            baseline = evidence.holdout[self.column].cast(pl.Float64).to_numpy()
            rows = np.isfinite(baseline)
        compared = compare_paired(
            evidence,
            evidence.truth[rows],
            evidence.predicted[rows],
            baseline[rows],
            alpha=0.05,
            weight=evidence.weight[rows],
        )
        better = compared.defined and compared.paired.high < 0
        return [self._verdict(better, -compared.paired.difference, compared.describe("baseline"))]

    def _verdict(self, better: bool, gain: float, words: str) -> Verdict:
        passed = better and gain >= self.by
        head = f"The candidate is {'' if passed else 'not '}better than the design's baseline"
        required = f"; required is {self.by:.4g} better" if self.by else ""
        return decide(self.name, passed, f"{head}: {words}{required}.", value=gain, threshold=self.by)


def unusable_baseline(rows: pl.DataFrame, column: str, task: Task) -> str:
    """Return the reason why a column cannot be a baseline's predictions, as a clause; empty if it can."""
    if column not in rows.columns:
        return "a baseline must be a request field or a feature"
    dtype, values = rows[column].dtype, rows[column]
    if not (dtype.is_numeric() or dtype == pl.Boolean):
        return f"a baseline must be a number, but {column} is {dtype}"
    found = values.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
    if not len(found):
        return f"a baseline must have values, but {column} has none in {len(values)} rows"
    if task == "binary" and not (found.min() >= 0 and found.max() <= 1):
        return f"a baseline must be a probability, but {column} is between {found.min():.4g} and {found.max():.4g}"
    return ""


def _metric(success: SuccessCriteria, model: Model) -> Iterator[Contradiction]:
    declared, field = success.model, "success.model"
    if declared.metric != model.metric:
        rule = f"the metric must be that of model {model.name}, metric={model.metric!r}"
        remedy = "Change the one that is wrong."
        yield Contradiction(field=f"{field}.metric", rule=rule, value=declared.metric, remedy=remedy)
        return
    try:
        metric = metric_for(model.metric, model.task)
    except DefinitionError:  # reported of the model itself
        return
    wrong, right = ("at_most", "at_least") if metric.greater_is_better else ("at_least", "at_most")
    if getattr(declared, wrong) is not None:
        rule = f"the threshold of {metric.name} must be {right}, since {'more' if right == 'at_least' else 'less'}"
        remedy = f"Write {right} instead."
        yield Contradiction(field=f"{field}.{wrong}", rule=f"{rule} is better", value=wrong, remedy=remedy)


def _slices(declared: Sequence[DeclaredSlice], model: Model) -> Iterator[Contradiction]:
    gaps, names = code_limits(model).gaps, [one.column for one in declared]
    known = (*model.slices, *gaps)
    for place, one in enumerate(declared):
        field = f"slices[{place}]"
        if one.column in names[:place]:
            rule = "a column must be given once"
            yield Contradiction(field=f"{field}.column", rule=rule, value=one.column, remedy="")
        elif one.column not in known:
            rule = f"the column must be one of slices= of model {model.name}"
            remedy = did_you_mean(one.column, known, otherwise=f"Add {one.column!r} there.")
            yield Contradiction(field=f"{field}.column", rule=rule, value=one.column, remedy=remedy)
        elif gaps.get(one.column, one.max_gap) != one.max_gap:
            rule = f"max_gap must be that of Slices({one.column!r}, max_gap={gaps[one.column]:g}) in the project file"
            remedy = "Change the one that is wrong, or remove the gate there."
            yield Contradiction(field=f"{field}.max_gap", rule=rule, value=one.max_gap, remedy=remedy)
    for name, gap in gaps.items():
        if name not in names:
            rule = f"the column of Slices({name!r}) in the project file must be listed"
            remedy = f"Add '- {{column: {name}, max_gap: {gap:g}}}'."
            yield Contradiction(field="slices", rule=rule, value=f"no {name}", remedy=remedy)


def _latency(service: ServiceLimits, model: Model) -> Iterator[Contradiction]:
    remedy = "Change the one that is wrong, or remove the limit there."
    for call, limit in (("MaxLatency", code_limits(model).p99_ms), ("roll_out", model.rollout_plan.p99_ms)):
        if limit is not None and limit != service.p99_ms:
            rule = f"the limit must be that of {call}(p99_ms={limit:g}) in the project file"
            yield Contradiction(field="service.p99_ms", rule=rule, value=service.p99_ms, remedy=remedy)

"""Comparison of a design record with the model's definition: what contradicts it, field by field. Pure.

Thresholds are compared with those of the code's gates in :mod:`everfit.gates.declared`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from everfit.core.design_record import (
    Contradiction,
    DeclaredBaseline,
    DeclaredSource,
    FallbackPlan,
    Risk,
    SuccessCriteria,
    is_placeholder,
)
from everfit.core.evidence import Task
from everfit.core.finding import FindingKind
from everfit.core.suggestion import did_you_mean
from everfit.definitions.model import Model
from everfit.definitions.watch import Drift, PerformanceDrop

_ERROR_KINDS: Mapping[Task, frozenset[str]] = {
    "binary": frozenset({"false_positive", "false_negative"}),
    "multiclass": frozenset({"wrong"}),
    "regression": frozenset({"over", "under"}),
}
_WATCHED = {"performance_drop": PerformanceDrop, "drift": Drift, "prediction_drift": Drift, "joint_drift": Drift}
"""Findings that need a monitor of the model."""


def contradictions(
    parts: Mapping[str, Any], model: Model, *, gates: Sequence[str], four_eyes: bool
) -> Iterator[Contradiction]:
    """Yield what contradicts the definition of a model.

    Args:
        parts: Fields of the record without faults, by name.
        gates: Names of the gates that judge the model's candidates.
        four_eyes: Require an approver who is not the owner.
    """
    if "data" in parts:
        yield from _sources(parts["data"], model)
    if "success" in parts:
        yield from _error_costs(parts["success"], model)
    if "baseline" in parts:
        yield from _baseline(parts["baseline"], model)
    if "oversight" in parts:
        yield from _fallback(parts["oversight"].fallback, model)
    if "risks" in parts:
        yield from _mitigations(parts["risks"], model, gates)
    if four_eyes and not is_placeholder(owner := parts.get("owner")):
        for place, approver in enumerate(parts.get("approvers", ())):
            if approver == owner:
                rule, remedy = "the owner must not approve below level full", "Name another person or team."
                yield Contradiction(field=f"approvers[{place}]", rule=rule, value=approver, remedy=remedy)


def error_kinds(task: Task) -> frozenset[str]:
    """Return the kinds of errors that a model of a task can make."""
    return _ERROR_KINDS[task]


def sources_of(model: Model) -> tuple[str, ...]:
    """Return the names of all sources that a model uses, that of its events first."""
    return tuple(dict.fromkeys((model.events.source.name, *(view.source.name for view in model.views))))


def _sources(listed: Sequence[DeclaredSource], model: Model) -> Iterator[Contradiction]:
    used, names = sources_of(model), [source.source for source in listed]
    for name in used:
        if name not in names:
            rule = f"every source that model {model.name} uses must be listed"
            yield Contradiction(field="data", rule=rule, value=f"no {name}", remedy=f"Add '- {{source: {name}, …}}'.")
    for place, name in enumerate(names):
        field = f"data[{place}].source"
        if name in names[:place]:
            yield Contradiction(field=field, rule="a source must be listed once", value=name, remedy="")
        elif name not in used:
            remedy = did_you_mean(name, used, otherwise=f"It uses: {', '.join(used)}.")
            yield Contradiction(field=field, rule=f"model {model.name} must use the source", value=name, remedy=remedy)


def _error_costs(success: SuccessCriteria, model: Model) -> Iterator[Contradiction]:
    kinds, known = success.economic.error_costs, error_kinds(model.task)
    for name in kinds:
        if name not in known:
            rule = f"kinds of errors of a {model.task} model must be {' and '.join(sorted(known))}"
            remedy = did_you_mean(name, known)
            yield Contradiction(field=f"success.economic.error_costs.{name}", rule=rule, value=name, remedy=remedy)
    for name in sorted(known - kinds.keys()):
        rule, remedy = f"the price of the error {name} must be given", f"Add '{name}: …'."
        yield Contradiction(field="success.economic.error_costs", rule=rule, value=None, remedy=remedy)


def _baseline(baseline: DeclaredBaseline, model: Model) -> Iterator[Contradiction]:
    if baseline.column and model.task == "multiclass":
        rule = "a column can be the baseline of a binary model or a regression only"
        remedy = "Measure it, and give its value."
        yield Contradiction(field="baseline.column", rule=rule, value=baseline.column, remedy=remedy)


def _fallback(plan: FallbackPlan, model: Model) -> Iterator[Contradiction]:
    value, field = plan.prediction, "oversight.fallback.prediction"
    if value is None or model.task == "multiclass":  # whose classes the data has
        return
    if not isinstance(value, float) or (model.task == "binary" and not 0 <= value <= 1):
        rule = f"the prediction of a {model.task} model must be {'a chance' if model.task == 'binary' else 'a number'}"
        yield Contradiction(field=field, rule=rule, value=value, remedy="")


def _mitigations(risks: Sequence[Risk], model: Model, gates: Sequence[str]) -> Iterator[Contradiction]:
    kinds: tuple[str, ...] = get_args(FindingKind)
    watched = {type(watch) for watch in model.watches}
    for place, risk in enumerate(risks):
        field, gate, monitor = f"risks[{place}].mitigation", risk.mitigation.gate, risk.mitigation.monitor
        if gate and gate not in gates:
            remedy = did_you_mean(gate, gates, otherwise=f"There are: {', '.join(gates)}.")
            rule = f"a gate of model {model.name} must have that name"
            yield Contradiction(field=f"{field}.gate", rule=rule, value=gate, remedy=remedy)
        if monitor and monitor not in kinds:
            remedy = did_you_mean(monitor, kinds, otherwise="See docs/reference/findings.md.")
            rule = "a finding of monitoring must have that name"
            yield Contradiction(field=f"{field}.monitor", rule=rule, value=monitor, remedy=remedy)
        elif monitor in _WATCHED and _WATCHED[monitor] not in watched:
            kind = _WATCHED[monitor].__name__
            rule, remedy = f"model {model.name} must be monitored for it", f"Add {kind}() to watch_for(...)."
            yield Contradiction(field=f"{field}.monitor", rule=rule, value=monitor, remedy=remedy)

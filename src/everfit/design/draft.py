"""Draft of a model's design record: what the code states is filled in, the rest are placeholders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

import yaml
from msgspec import Struct

from everfit.core.design_record import (
    TO_FILL,
    BusinessSuccess,
    DeclaredBaseline,
    DeclaredLabel,
    DeclaredSlice,
    DeclaredSource,
    DesignRecord,
    EconomicSuccess,
    FallbackPlan,
    Mitigation,
    ModelSuccess,
    Oversight,
    Risk,
    ServiceLimits,
    SuccessCriteria,
)
from everfit.definitions.model import Model
from everfit.definitions.watch import PerformanceDrop
from everfit.design.consistency import error_kinds, sources_of
from everfit.design.field_docs import field_docs

REVIEW_AFTER, TARGET_AFTER = timedelta(days=182), timedelta(days=365)
ASKED = ("purpose", "decision", "action", "not_for", "owner", "approvers", "contact", "users", "affected")
"""Fields that a person is asked for; of lists, the first element."""
_LISTS = frozenset({"not_for", "approvers"})
_AVAILABILITY, _P99_MS = 0.99, 50.0
"""Limits without one in the code; chosen."""


def placeholder(field: str, kind: type[Struct] = DesignRecord) -> str:
    """Return the placeholder of a field: :data:`~everfit.core.design_record.TO_FILL` and the field's meaning."""
    return f"{TO_FILL}: {field_docs(kind).get(field, field)}"


def flow(value: str | Sequence[str]) -> str:
    """Return a text, or a list of texts, as YAML that may stand within brackets or alone.

    >>> flow("a: b"), flow(["Ada", "yes"])
    ("'a: b'", "[Ada, 'yes']")
    """
    text = yaml.safe_dump([value], default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.strip()[1:-1]


def draft_record(
    model: Model,
    answers: Mapping[str, Sequence[str]],
    *,
    today: date,
    p99_ms: float | None = None,
    gaps: Mapping[str, float] = MappingProxyType({}),
) -> DesignRecord:
    """Return a record that agrees with a model's definition.

    Args:
        answers: Texts by field, of those in :data:`ASKED`.
        p99_ms: The limit of the code's latency gate.
        gaps: Largest gap by column, of the code's slice gates.
    """
    asked: dict[str, Any] = {}
    for name in ASKED:
        given = tuple(answers.get(name, ())) or (placeholder(name),)
        asked[name] = given if name in _LISTS else given[0]
    return DesignRecord(
        **asked,
        risk_class="none",
        risk_reason=placeholder("risk_reason"),
        success=_success(model, today),
        metric_reason=placeholder("metric_reason"),
        baseline=DeclaredBaseline(what=placeholder("what", DeclaredBaseline)),
        data=tuple(_source(name) for name in sources_of(model)),
        label=DeclaredLabel(**_texts(DeclaredLabel)),
        slices=tuple(DeclaredSlice(column=name, max_gap=gap) for name, gap in gaps.items()),
        limits=(placeholder("limits"),),
        assumptions=(placeholder("assumptions"),),
        risks=tuple(_risks(model, asked["owner"])),
        oversight=Oversight(
            who=placeholder("who", Oversight),
            how=f"everfit rollback {model.name}",
            fallback=FallbackPlan(rule=placeholder("rule", FallbackPlan)),
        ),
        service=ServiceLimits(
            p99_ms=p99_ms or _P99_MS, availability=_AVAILABILITY, volume=placeholder("volume", ServiceLimits)
        ),
        review_by=today + REVIEW_AFTER,
    )


def _success(model: Model, today: date) -> SuccessCriteria:
    figures = {name: placeholder(name, BusinessSuccess) for name in ("metric", "now", "target")}
    return SuccessCriteria(
        business=BusinessSuccess(**figures, by=today + TARGET_AFTER),
        model=ModelSuccess(metric=model.metric),
        economic=EconomicSuccess(
            currency="EUR", error_costs=dict.fromkeys(sorted(error_kinds(model.task)), 0.0), training=0.0, review=0.0
        ),
    )


def _source(name: str) -> DeclaredSource:
    # Whether data is personal is not known: the cautious answer.
    return DeclaredSource(**_texts(DeclaredSource) | {"source": name, "personal": True})


def _risks(model: Model, owner: str) -> list[Risk]:
    """Return the two risks that every model has, as far as the code mitigates them."""
    grades: dict[str, Any] = {"likelihood": "medium", "harm": "medium", "residual": "low", "owner": owner}
    worse = Mitigation(gate="beats_champion")
    found = [Risk(what="A new version is worse than the one before.", mitigation=worse, **grades)]
    if any(isinstance(watch, PerformanceDrop) for watch in model.watches):
        drop = Mitigation(monitor="performance_drop")
        found.append(Risk(what="The world changes, and predictions get worse.", mitigation=drop, **grades))
    return found


def _texts(kind: type[Struct]) -> dict[str, Any]:
    """Return the placeholders of all fields of a record."""
    return {name: placeholder(name, kind) for name in field_docs(kind)}

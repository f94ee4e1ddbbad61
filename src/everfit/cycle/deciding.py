"""From what a look found to an order: the facts are gathered here, the policy decides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from everfit.core.finding import Finding, FindingKind, Incident, Severity
from everfit.core.order import OrderRecord, RetrainOrder
from everfit.triggers.decide import POLICY, Decision, consider
from everfit.triggers.facts import Champion, Facts

if TYPE_CHECKING:
    from everfit.artifact.package import Package
    from everfit.cycle.system import System
    from everfit.definitions.model import Model


def champion_facts(package: Package, version: int) -> Champion:
    """What a policy wants to know of the version that answers."""
    lineage = package.manifest.lineage
    split = lineage.split
    learnt_until = lineage.frame.end if lineage.refitted or split is None else split.holdout_from
    return Champion(
        version=version,
        as_of=lineage.frame.as_of,
        # A frame's end may lie after its as-of; no event later than that was learnt from.
        trained_until=min(learnt_until, lineage.frame.as_of),
        code=lineage.code.digest,
    )


def decide_on(definition: Model, facts: Facts, history: Sequence[OrderRecord], now: datetime) -> Decision:
    """What the model's policy says; where no version answers yet, the first training is ordered once per code."""
    if facts.champion is not None:
        return consider(definition.policy, facts, history, now)
    first = f"first/{facts.code}"
    unfinished = next((each for each in history if not each.ended), None)
    if unfinished is not None:
        return Decision(sentence=f"Order {unfinished.number} is {unfinished.state}: {unfinished.order.reason}")
    known = next((each for each in history if each.order.cause == first), None)
    if known is not None:
        return Decision(sentence=f"The first training with this code is done: {known.sentence or known.state}")
    reason = "No version answers yet: this is the first training."
    order = RetrainOrder(model=definition.name, cause=first, reason=reason, asked_at=now, actor=POLICY)
    return Decision(order=order, sentence=reason)


def project_code(system: System) -> str:
    """Digest of the project's code as it is now."""
    from everfit.artifact.provenance import code_version

    return code_version(system.project.root).digest


def order_findings(model: str, history: Sequence[OrderRecord]) -> tuple[Finding, ...]:
    """What of a model's orders somebody should know, until a later one does better."""
    ended = [each for each in history if each.ended and each.state != "cancelled"]
    if not ended:
        return ()
    last = ended[-1]
    if last.state == "failed":
        return (_finding(model, "training_failed", "critical", last),)
    if last.state == "refused":
        return (_finding(model, "candidate_refused", "info", last),)
    if last.state == "taken_back":
        return (_finding(model, "taken_back", "warning", last),)
    return ()


def _finding(model: str, kind: FindingKind, severity: Severity, record: OrderRecord) -> Finding:
    return Finding(
        kind=kind,
        model=model,
        subject=f"order {record.number}",
        version=record.version,
        severity=severity,
        sentence=record.sentence,
        since=record.order.asked_at,
    )


def open_incidents(incidents: Sequence[Incident]) -> tuple[Incident, ...]:
    """Those that are not over."""
    return tuple(each for each in incidents if each.resolved_at is None)

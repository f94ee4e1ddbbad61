"""From what a look found to an order: the facts are gathered here, the policy decides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING

from everfit.core.finding import Finding, FindingKind, Incident, Severity
from everfit.core.order import OrderRecord, RetrainOrder
from everfit.triggers.decide import AGAIN, POLICY, Decision, consider
from everfit.triggers.facts import Champion, Facts

if TYPE_CHECKING:
    from everfit.artifact.package import Package
    from everfit.definitions.model import Model
    from everfit.system import System

_LABELS = "labels"
"""In an order's numbers: how many labels the events' source had."""


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
    """Return what the model's policy says; while no version is deployed, whether to order the first training.

    The first training is ordered once per code, and again with the same code when there is reason to expect another
    result: as many new labels as the policy's ``least_labels`` or a tenth more than the last attempt had, whichever is
    fewer, doubled with every attempt in vain; or, after the policy's back-off, any new label or a failure to be made up
    for.
    """
    if facts.champion is not None:
        return consider(definition.policy, facts, history, now)
    unfinished = next((each for each in history if not each.ended), None)
    if unfinished is not None:
        return Decision(sentence=f"Order {unfinished.number} is {unfinished.state}: {unfinished.order.reason}")
    first = f"first/{facts.code}"
    attempts = [record for record in history if record.order.cause.partition(AGAIN)[0] == first]
    if not attempts:
        return _first_order(facts, first, "No version answers yet: this is the first training.", now)
    last = attempts[-1]
    if not last.brought_nothing:
        return Decision(sentence=f"The first training with this code is done: {last.sentence or last.state}")
    in_vain = len(list(takewhile(lambda record: record.brought_nothing, reversed(attempts))))
    had, now_known = int(last.order.numbers.get(_LABELS, 0)), facts.labels or 0
    new, needed = now_known - had, max(1, min(definition.policy.least_labels, had // 10)) * 2 ** (in_vain - 1)
    until = (last.ended_at or last.order.asked_at) + definition.policy.wait(in_vain)
    if new < needed and (now < until or (new <= 0 and last.state != "failed")):
        sentence = f"Order {last.number} was {last.state}: {last.sentence} The first training is tried again when"
        remedy = f"{needed - new:,} more labels are known, by other code, or with any new label after"
        return Decision(sentence=f"{sentence} {remedy} {until:%Y-%m-%d %H:%M} UTC.")
    why = (
        f"{new:,} labels are new since order {last.number} was {last.state}"
        if new > 0
        else f"order {last.number} failed"
    )
    reason = f"No version answers yet, and {why}: the first training is tried again."
    return _first_order(facts, f"{first}{AGAIN}{len(attempts)}", reason, now)


def _first_order(facts: Facts, cause: str, reason: str, now: datetime) -> Decision:
    numbers = {} if facts.labels is None else {_LABELS: float(facts.labels)}
    order = RetrainOrder(model=facts.model, cause=cause, reason=reason, numbers=numbers, asked_at=now, actor=POLICY)
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

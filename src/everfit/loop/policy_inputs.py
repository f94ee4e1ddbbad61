"""Inputs of the policy: the facts that it decides on, and the first training, which needs no policy."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING

import polars as pl
from msgspec.structs import replace

from everfit.artifact.manifest import Lineage
from everfit.artifact.package import open_package
from everfit.core.errors import EverfitError
from everfit.core.finding import Finding, FindingKind, Severity
from everfit.core.order import OrderRecord, OrderState, RetrainOrder
from everfit.features.label_counts import LabelCounter
from everfit.loop.training_record import last_change
from everfit.triggers.decide import POLICY, Decision, consider
from everfit.triggers.signals import AGAIN, Champion, Facts

if TYPE_CHECKING:
    from everfit.definitions.model import Model
    from everfit.loop.monitoring_run import Evaluation
    from everfit.system import System

_LABELS = "labels"
"""In an order's numbers: how many labels the events' source had."""
_IN_VAIN: dict[OrderState, tuple[FindingKind, Severity]] = {
    "failed": ("training_failed", "critical"),
    "refused": ("candidate_refused", "info"),
    "taken_back": ("taken_back", "warning"),
}

_log = logging.getLogger(__name__)


class PolicyInputs:
    """Facts on one model, round after round."""

    def __init__(self, system: System, definition: Model) -> None:
        self._system = system
        self._definition = definition
        self._champion: tuple[str, Champion] | None = None
        """The deployed champion, after its package's digest."""
        self._labels = LabelCounter(definition, system.reader)

    def facts(self, evaluation: Evaluation, now: datetime) -> Facts:
        """Gather what the policy decides on; raises if champion, deployment record or events' source are unreadable."""
        champion, number = self._deployed(), self._system.project.release
        release = self._system.releases.one(number) if number else None
        facts = Facts(
            model=self._definition.name,
            champion=champion,
            code=self._system.code_digest(),
            release=release.name if release else "",
            released_at=(release.activated_at or release.asked_at) if release else None,
            incidents=tuple(incident for incident in evaluation.incidents if incident.resolved_at is None),
            estimated_drop=evaluation.estimated_drop,
        )
        if champion is None:
            try:
                return replace(facts, labels=self._labels.count(now).total)
            except (EverfitError, pl.exceptions.PolarsError) as error:
                # This does not prevent the first training.
                _log.warning("the labels of %s could not be counted: %s", self._definition.name, error)
                return facts
        changed = last_change(self._system, self._definition.name, now)
        counts = self._labels.count(now, as_of=champion.as_of, trained_until=champion.trained_until, changed_at=changed)
        return replace(
            facts,
            labels_since=counts.of_later_events,
            rows_since=counts.known_since,
            changed_at=changed,
            labels_since_change=counts.since_change,
        )

    def _deployed(self) -> Champion | None:
        """Return the deployed version, with what its package records of its training."""
        deployment = self._system.deployment
        present = deployment.of(self._definition.name)
        if present is None:
            return None
        deployed = present.champion
        if self._champion is None or self._champion[0] != deployed.digest:
            lineage = open_package(deployment.folder_of(deployed), trust=self._system.trust).manifest.lineage
            champion = champion_of(deployed.version, lineage)
            self._champion = deployed.digest, champion
        return self._champion[1]


def champion_of(version: int, lineage: Lineage) -> Champion:
    """Return a version as the policy knows its champion, by what its package records of its training."""
    frame, split = lineage.frame, lineage.split
    learnt_until = frame.end if lineage.refitted or split is None else split.holdout_from
    # A frame's end may lie after its as-of; no event later than that was learnt from.
    until = min(learnt_until, frame.as_of)
    return Champion(version=version, as_of=frame.as_of, trained_until=until, code=lineage.code.digest)


def decide_on(definition: Model, facts: Facts, history: Sequence[OrderRecord], now: datetime) -> Decision:
    """Return the policy's decision; while no version is deployed, that on the first training.

    The first training is ordered once per code, and again with the same code when there is reason to expect another
    result: as many new labels as the policy's ``least_labels`` or a tenth more than the last attempt had, whichever is
    fewer, doubled with every attempt in vain; or, after the policy's back-off, any new label or a failure to be made up
    for.
    """
    if facts.champion is not None:
        return consider(definition.policy, facts, history, now)
    unfinished = next((record for record in history if not record.ended), None)
    if unfinished is not None:
        return Decision(sentence=f"Order {unfinished.number} is {unfinished.state}: {unfinished.order.reason}")
    first = f"first/{facts.code}"
    attempts = [record for record in history if record.order.cause.partition(AGAIN)[0] == first]
    if not attempts:
        return _first_order(facts, first, "No version is deployed yet: this is the first training.", now)
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
    order = f"order {last.number}"
    why = f"{new:,} labels are new since {order} was {last.state}" if new > 0 else f"{order} failed"
    reason = f"No version is deployed yet, and {why}: the first training is tried again."
    return _first_order(facts, f"{first}{AGAIN}{len(attempts)}", reason, now)


def _first_order(facts: Facts, cause: str, reason: str, now: datetime) -> Decision:
    numbers = {} if facts.labels is None else {_LABELS: float(facts.labels)}
    order = RetrainOrder(model=facts.model, cause=cause, reason=reason, numbers=numbers, asked_at=now, actor=POLICY)
    return Decision(order=order, sentence=reason)


def order_findings(model: str, history: Sequence[OrderRecord]) -> tuple[Finding, ...]:
    """Return a finding on the last order that ended, if it brought nothing."""
    last = next((record for record in reversed(history) if record.ended and record.state != "cancelled"), None)
    if last is None or last.state not in _IN_VAIN:
        return ()
    kind, severity = _IN_VAIN[last.state]
    finding = Finding(
        kind=kind,
        model=model,
        subject=f"order {last.number}",
        version=last.version,
        severity=severity,
        sentence=last.sentence,
        since=last.order.asked_at,
    )
    return (finding,)

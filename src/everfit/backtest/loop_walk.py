"""Walk of the loop through history: at each instant it serves, evaluates, rolls out and decides, as live."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from msgspec.structs import replace

from everfit.backtest.contender import Contender
from everfit.backtest.course import Course, Reign, Walked
from everfit.backtest.past import Past
from everfit.backtest.served import NO_FAILURES, ServedRows
from everfit.backtest.trainings import Trainings, Version
from everfit.core.clock import to_us
from everfit.core.finding import Finding, Incident
from everfit.core.order import OrderRecord
from everfit.core.rollout import Rollout, apply_transition
from everfit.definitions.model import Model
from everfit.definitions.watch import PerformanceDrop
from everfit.delivery.manual_steps import approve, supersede
from everfit.delivery.state_machine import POLICY, advance, begun_rollout
from everfit.loop.policy_inputs import champion_of
from everfit.loop.rollout_evidence import evidence_of
from everfit.loop.rollout_executor import ORDER_ENDS
from everfit.loop.training_record import TrainingOutcome, changed_at, refusal_sentence
from everfit.monitoring.cache import VersionCache
from everfit.monitoring.incidents import reconcile
from everfit.monitoring.performance_alarm import PerformanceTest, alarm_findings, performance_test
from everfit.triggers.decide import consider
from everfit.triggers.signals import Facts

_MOST_ROUNDS = 10
"""Rounds at one instant; in each a rollout makes a transition or an order is given."""


@dataclass
class LoopWalk:
    """State of one model under one policy, from instant to instant."""

    trainings: Trainings
    contender: Contender
    model: Model
    """With the contender's training window."""
    champion: Version
    first: TrainingOutcome
    """Of the first version."""
    start: datetime
    orders: list[OrderRecord] = field(default_factory=list)
    rollouts: list[Rollout] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    reigns: list[Reign] = field(default_factory=list)
    training_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._past: Past = self.trainings.past
        self._served = ServedRows(self._past, self.model.name, self._past.place(self.start))
        self._place = self._served.first
        self._versions: dict[int, tuple[Version, TrainingOutcome]] = {1: (self.champion, self.first)}
        self._cache, self._tests = VersionCache(), dict[int, PerformanceTest | None]()
        self._policy = self.contender.policy(self.model)
        self._code = self.trainings.system.code_digest()
        self._reign(self.start, "It is the first version.")

    def walk(self, instants: Sequence[datetime], *, advanced: Callable[[], None]) -> Walked:
        """Go through the instants, ascending and later than the start, and return what happened.

        Raises :class:`PackageError` or :class:`DataError` if a version cannot predict an event.
        """
        began_s = time.monotonic()
        for instant in instants:
            self._serve(instant)
            for _ in range(_MOST_ROUNDS):
                if not self._round(instant):
                    break
            advanced()
        schema = self.champion.schema
        classes = tuple(
            dict.fromkeys(value for version, _ in self._versions.values() for value in version.schema.classes)
        )
        course = Course(
            policy=self.contender.name,
            trainings=len(self.orders),
            orders=tuple(self.orders),
            rollouts=tuple(self.rollouts),
            incidents=tuple(self.incidents),
            reigns=tuple(self.reigns),
            seconds=time.monotonic() - began_s,
            training_seconds=self.training_seconds,
        )
        predictions = self._served.final(self._place, classes, schema.task)
        return Walked(course=course, predictions=predictions, classes=classes)

    @property
    def _rollout(self) -> Rollout | None:
        """The one that has not ended."""
        return self.rollouts[-1] if self.rollouts and not self.rollouts[-1].ended else None

    def _serve(self, instant: datetime) -> None:
        last, rollout = self._past.place(instant), self._rollout
        beside = None
        if rollout is not None:
            number = rollout.previous if rollout.effective == "watching" else rollout.version
            beside = self._versions[number][0]
        self._served.serve(self._place, last, self.champion, rollout, beside)
        self._place = last

    def _round(self, instant: datetime) -> bool:
        """Make one round; return true if it changed something, so that another one may."""
        self._evaluate(instant)
        return self._advance(instant) or self._decide(instant)

    def _evaluate(self, instant: datetime) -> None:
        """Let incidents of the champion's performance open and end."""
        test, findings = self._test(self.champion), list[Finding]()
        if test is not None and self._place > self._served.first:
            rows = self._served.answers(self.champion, instant)
            findings = alarm_findings(test.of(rows), self.model.name, self.champion.number)
        changes = reconcile(self.incidents, findings, now=instant, next_number=len(self.incidents) + 1)
        for incident in (*changes.reopened, *changes.worsened, *changes.ongoing, *changes.resolved):
            self.incidents[incident.number - 1] = incident
        self.incidents += changes.opened

    def _test(self, version: Version) -> PerformanceTest | None:
        if version.number not in self._tests:
            reference = self._cache.version(version.digest, self.model, lambda: version.package).reference
            watch = next((watch for watch in self.model.watches if isinstance(watch, PerformanceDrop)), None)
            test = None if watch is None or reference is None else performance_test(reference, watch)
            self._tests[version.number] = test
        return self._tests[version.number]

    def _advance(self, instant: datetime) -> bool:
        rollout = self._rollout
        if rollout is None:
            return False
        if rollout.state == "waiting_approval":
            transition = approve(
                rollout, self.model.rollout_plan, actor="backtest", reason="a backtest has no one to wait for"
            )
        else:
            schemas = {number: self._versions[number][0].schema for number in (rollout.previous, rollout.version)}
            evidence = evidence_of(
                self._served.joined(instant),
                NO_FAILURES,
                definition=self.model,
                rollout=rollout,
                schemas=schemas,
                now=instant,
            )
            is_worse = any(one.resolved_at is None and one.is_drop_of(rollout.previous) for one in self.incidents)
            evidence = replace(evidence, champion_is_worse=is_worse)
            transition = advance(rollout, self.model.rollout_plan, evidence, instant)
        if not transition.changes:
            return False
        self._apply(apply_transition(rollout, transition, instant), instant)
        return True

    def _apply(self, rollout: Rollout, instant: datetime) -> None:
        self.rollouts[rollout.number - 1] = rollout
        sentence = rollout.history[-1].sentence
        number = {"watching": rollout.version, "rolled_back": rollout.previous}.get(rollout.state)
        if number is not None and number != self.champion.number:
            self.champion = self._versions[number][0]
            self._reign(instant, sentence)
        state = ORDER_ENDS.get(rollout.state)
        if rollout.order is None or state is None:
            return
        record = self.orders[rollout.order - 1]
        # As in the ledger: the first end counts, but what was shipped may be taken back.
        if not record.ended or (record.state == "shipped" and state == "taken_back"):
            self.orders[record.number - 1] = replace(record, state=state, sentence=sentence, ended_at=instant)

    def _decide(self, instant: datetime) -> bool:
        decision = consider(self._policy, self._facts(instant), self.orders, instant)
        if decision.order is None:
            return False
        began_s = time.monotonic()
        changed = changed_at(self.incidents, instant)
        outcome = self.trainings.train(self.model, instant, self.champion, changed=changed)
        self.training_seconds += time.monotonic() - began_s
        record = OrderRecord(number=len(self.orders) + 1, order=decision.order, started_at=instant)
        candidate = outcome.candidate
        if candidate is None:
            sentence = f"The training failed: {outcome.problem}"
            self.orders.append(replace(record, state="failed", sentence=sentence, ended_at=instant))
        elif not candidate.report.passed:
            sentence = refusal_sentence(candidate.report)
            self.orders.append(replace(record, state="refused", sentence=sentence, ended_at=instant))
        else:
            self._roll_out(outcome, record, instant)
        return True

    def _roll_out(self, outcome: TrainingOutcome, record: OrderRecord, instant: datetime) -> None:
        number = len(self._versions) + 1
        self._versions[number] = self.trainings.version(outcome, number), outcome
        self.orders.append(replace(record, state="delivering", version=number))
        if (running := self._rollout) is not None:
            ended = apply_transition(running, supersede(running, number, actor=POLICY), instant)
            self._apply(ended, instant)
        rollout = begun_rollout(
            self.model.name,
            number,
            previous=self.champion.number,
            plan=self.model.rollout_plan,
            cause=record.order.reason,
            now=instant,
            order=record.number,
        )
        self.rollouts.append(replace(rollout, number=len(self.rollouts) + 1))

    def _facts(self, instant: datetime) -> Facts:
        champion = champion_of(self.champion.number, self.champion.package.manifest.lineage)
        known_us, now_us = self._past.known_times, to_us(instant)
        known = known_us <= now_us
        later = self._past.times >= to_us(champion.trained_until)
        changed = changed_at(self.incidents, instant)
        since_change = known & (self._past.times >= to_us(changed)) if changed else np.zeros(0)
        return Facts(
            model=self.model.name,
            champion=champion,
            code=self._code,
            incidents=tuple(incident for incident in self.incidents if incident.resolved_at is None),
            labels_since=int(np.count_nonzero(known & later)),
            rows_since=int(np.count_nonzero(known & (known_us > to_us(champion.as_of)))),
            changed_at=changed,
            labels_since_change=int(np.count_nonzero(since_change)),
        )

    def _reign(self, since: datetime, sentence: str) -> None:
        as_of = self.champion.package.manifest.lineage.frame.as_of
        self.reigns.append(Reign(version=self.champion.number, since=since, as_of=as_of, sentence=sentence))


def instants_between(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    """Return the instants of a walk: every step after the start, and the end.

    >>> [instant.day for instant in instants_between(datetime(2013, 3, 1), datetime(2013, 3, 4), timedelta(days=2))]
    [3, 4]
    """
    count = -(-(end - start) // step)
    return [min(start + step * number, end) for number in range(1, count + 1)]

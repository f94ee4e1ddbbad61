"""One model's share of a round: it is looked at, its policy is asked, and its rollout goes on."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from everfit.core.clock import to_us
from everfit.core.errors import EverfitError
from everfit.core.finding import Finding, Incident
from everfit.core.rollout import last_transition
from everfit.delivery.state_machine import advance
from everfit.loop.alias_reconciler import heed
from everfit.loop.cache import Memory
from everfit.loop.health import OF_A_LOOK, in_words, loop_trouble
from everfit.loop.policy_inputs import champion_facts, decide_on, open_incidents, order_findings, project_code
from everfit.triggers.facts import Champion, Facts

if TYPE_CHECKING:
    from everfit.artifact.schema import InputSchema
    from everfit.core.order import OrderRecord
    from everfit.core.rollout import Rollout, Transition
    from everfit.runtime.workflows import Engine, State
    from everfit.system import System
    from everfit.triggers.decide import Decision

_log = logging.getLogger(__name__)
_HEED_S = 5.0
"""How often the registry is asked: that costs tens of milliseconds."""
_COUNT_S, _COUNT_SHARE = 5.0, 0.02
"""The labels are counted at most so often while no version is deployed, and take at most this share of the time."""
_JITTER = timedelta(seconds=1)
"""By so much a clock may be corrected without its being worth a word."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a look told the loop."""

    incidents: tuple[Incident, ...] = ()
    labels_since: int = 0
    """Labels of events that the champion did not learn from."""
    rows_since: int = 0
    """Labels that became known since it was trained."""


class ModelLoop:
    """What one model's rounds share.

    Args:
        system: The parts.
        model: Its name.
    """

    def __init__(self, system: System, model: str) -> None:
        self.name = model
        self._system = system
        self._definition = system.project.model(model)
        self._memory = Memory(include_unshipped=True)
        self._known: dict[str, Champion] = {}
        self._heed_at_s = 0.0
        self._labels: int | None = None
        self._count_at_s = 0.0
        self._latest: datetime | None = None
        self._untold: list[Finding] = []
        """What could not be put on record when it was found."""
        self.says = ""
        """What the policy last said."""

    def attend(self, engine: Engine, now: datetime, trouble: str) -> None:
        """Look at the model, go on with its rollout, and ask its policy.

        What goes wrong with one model must not keep the others waiting: it is told as a finding.

        Args:
            engine: Carries out what is decided.
            now: The present instant.
            trouble: What is wrong whatever the model, in words; empty if nothing is.
        """
        clock = self._clock_findings(now)
        try:
            self._attend(engine, now, [*clock, *([loop_trouble(self.name, trouble, now)] if trouble else [])])
        except Exception as error:  # noqa: BLE001 - whatever a source, a database or a library raises
            _log.exception("%s could not be attended to", self.name)
            words = f"{trouble} {in_words(self.name, error)}".strip()
            self._tell([*clock, loop_trouble(self.name, words, now)], now)
        else:
            self._untold = []

    def _attend(self, engine: Engine, now: datetime, own: Sequence[Finding]) -> None:
        history = self._system.orders.of(self.name)
        try:
            look = self._look(now, history, [*self._untold, *own])
        finally:
            # A rollout's brakes must work, whatever else does not.
            self._heed(now)
            for rollout in self._system.rollouts.of(self.name)[-1:]:
                self._go_on(engine, rollout, now)
        if self._system.project.settings.loop.level != "manual":
            self.says = self._decide(look, history, now).sentence

    def _tell(self, findings: list[Finding], now: datetime) -> None:
        """Put on record what is wrong, though no look was possible; what cannot be, is told at the next look."""
        self._untold = findings
        try:
            orders = order_findings(self.name, self._system.orders.of(self.name))
            self._system.incidents.record(self.name, (*findings, *orders), now=now, not_evaluated=OF_A_LOOK)
        except Exception as error:  # noqa: BLE001 - the ledger may be what failed
            _log.error("nor could that be put on record: %s", error)
        else:
            self._untold = []

    def _decide(self, look: Look, history: Sequence[OrderRecord], now: datetime) -> Decision:
        """Ask the policy; what it orders is in the ledger then."""
        champion = self._champion()
        facts = Facts(
            model=self.name,
            champion=champion,
            code=project_code(self._system),
            incidents=open_incidents(look.incidents),
            labels_since=look.labels_since,
            rows_since=look.rows_since,
            labels=self._count_labels(now) if champion is None else None,
        )
        decision = decide_on(self._definition, facts, history, now)
        if decision.order is not None:
            self._system.orders.ask(decision.order)
        return decision

    def _count_labels(self, now: datetime) -> int | None:
        """Count the labels that the events' source has, seldom enough to take a small share of the time."""
        from everfit.features.labels import scan_labels

        began_s = time.monotonic()
        if began_s >= self._count_at_s:
            try:
                rows = scan_labels(self._definition, self._system.reader, as_of=now)
                self._labels = int(rows.select(pl.len()).collect().item())
            except (EverfitError, pl.exceptions.PolarsError) as error:
                _log.warning("the labels of %s could not be counted: %s", self.name, error)
                self._labels = None
            took_s = time.monotonic() - began_s
            self._count_at_s = began_s + max(_COUNT_S, took_s / _COUNT_SHARE)
        return self._labels

    def _look(self, now: datetime, history: Sequence[OrderRecord], own: Sequence[Finding]) -> Look:
        """Look at the model, and let incidents open and end by what is found."""
        from everfit.loop.monitoring_run import watch

        also = (*order_findings(self.name, history), *own)
        watched = watch(self._system, self.name, self._memory, as_of=now, also=also)
        return Look(incidents=watched.incidents, labels_since=watched.labelled, rows_since=watched.labelled)

    def _clock_findings(self, now: datetime) -> list[Finding]:
        """That the clock was set back, until it has caught up."""
        if self._latest is None or now >= self._latest - _JITTER:
            self._latest = now
            return []
        sentence = (
            f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC, but it was {self._latest:%Y-%m-%d %H:%M:%S} already; nothing "
            "is ordered twice, but schedules wait until the clock has caught up."
        )
        return [Finding(kind="clock_set_back", model=self.name, severity="warning", since=now, sentence=sentence)]

    def _heed(self, now: datetime) -> None:
        """Now and then, see whether somebody moved the champion's alias in the registry itself."""
        if time.monotonic() >= self._heed_at_s:
            heed(self._system, self.name, now)
            self._heed_at_s = time.monotonic() + _HEED_S

    def _go_on(self, engine: Engine, rollout: Rollout, now: datetime) -> None:
        """Decide the newest rollout's next step, and have it carried out if it is one."""
        last = _states(engine, rollout, len(rollout.history) - 1)[-1:]
        if last == ["failed"]:
            # On record, but alias or deployment record could not follow.
            self._begin(engine, rollout, last_transition(rollout), now)
        elif last != ["running"] and not rollout.ended:
            step = self._next_step(rollout, now)
            if step.changes:
                self._begin(engine, rollout, step, now)

    def _next_step(self, rollout: Rollout, now: datetime) -> Transition:
        from everfit.loop.rollout_evidence import rollout_evidence

        answers = self._memory.answers(self._system, self._definition)
        schemas = {number: self._schema(number) for number in (rollout.previous, rollout.version)}
        evidence = rollout_evidence(self._system, self._definition, rollout, schemas, answers, now)
        return advance(rollout, self._definition.rollout_plan, evidence, now)

    def _begin(self, engine: Engine, rollout: Rollout, step: Transition, now: datetime) -> None:
        """Have a step carried out, unless that is under way; after a failure it is tried again."""
        attempts = _states(engine, rollout, step.place)
        if attempts[-1:] in ([], ["failed"]):
            argument = {"rollout": rollout.number, "step": msgspec.to_builtins(step), "at_us": to_us(now)}
            engine.start("move", _move_key(rollout, step.place, len(attempts)), argument)

    def _schema(self, version: int) -> InputSchema:
        from everfit.artifact.package import open_package

        registry = self._system.registry
        package = open_package(registry.fetch(registry.version(self.name, version)), trust=self._system.trust)
        return package.schema

    def _champion(self) -> Champion | None:
        """The version that answers, with what its package says of its training."""
        from everfit.artifact.package import open_package

        present = self._system.deployment.of(self.name)
        if present is None:
            return None
        deployed = present.champion
        if deployed.digest not in self._known:
            package = open_package(self._system.deployment.folder_of(deployed), trust=self._system.trust)
            self._known = {deployed.digest: champion_facts(package, deployed.version)}
        return self._known[deployed.digest]


def _move_key(rollout: Rollout, place: int, attempt: int) -> str:
    return f"rollout/{rollout.number}/{place}/{attempt}"


def _states(engine: Engine, rollout: Rollout, place: int) -> list[State]:
    """Of the attempts at a step of a rollout, the latest last."""
    found = (engine.state(_move_key(rollout, place, attempt)) for attempt in itertools.count())
    return [state for state in itertools.takewhile(lambda each: each is not None, found) if state is not None]

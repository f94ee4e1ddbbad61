"""Level of automation of a project, capability by capability, judged from facts. Pure.

A capability is *on* if it works now. It is *broken* if it should work at the configured level, or was set up, and does
not. It is *off* if the level does not ask for it, or it was not set up yet.
"""

from __future__ import annotations

from typing import get_args

from msgspec import Struct

from everfit.loop import capability_rules as rules
from everfit.loop.capability_rules import Rule, State
from everfit.loop.level_facts import Level, LevelFacts

_RULES: tuple[tuple[str, Level, Rule], ...] = (
    ("tracking", "manual", rules.tracking),
    ("source repository", "full", rules.source_repository),
    ("feature store", "semi", rules.feature_store),
    ("metadata store", "manual", rules.metadata_store),
    ("registry", "manual", rules.registry),
    ("orchestrated training and tuning", "semi", rules.orchestrated_training),
    ("tests of data and model", "semi", rules.tests_of_data_and_model),
    ("delivery of models", "semi", rules.delivery_of_models),
    ("prediction service", "manual", rules.prediction_service),
    ("real-time monitoring", "semi", rules.real_time_monitoring),
    ("triggered retraining", "semi", rules.triggered_retraining),
    ("delivery of pipelines", "full", rules.delivery_of_pipelines),
    ("update of prediction services", "semi", rules.update_of_services),
    ("standardised design", "full", rules.standardised_design),
    ("documentation", "full", rules.documentation),
)
"""Every capability with the lowest level that asks for it."""


class Capability(Struct, frozen=True, kw_only=True):
    """One capability and its state."""

    name: str
    level: Level
    """The lowest level that asks for it."""
    state: State
    sentence: str
    """The way in which it works, or the reason why it does not."""
    next_step: str = ""
    """The way to turn it on; empty if it is on."""
    needed: bool = True
    """False if this project does without it."""


class LevelReport(Struct, frozen=True, kw_only=True):
    """Level of a project, with every capability."""

    project: str
    level: Level
    """The configured level."""
    reached: Level | None
    """The highest level, up to the configured one, whose capabilities are all on; ``None`` if not even the first is."""
    capabilities: tuple[Capability, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Return the names of the capabilities that are broken."""
        return tuple(one.name for one in self.capabilities if one.state == "broken")


def judge_level(facts: LevelFacts) -> LevelReport:
    """Return the configured level of a project, the reached one, and every capability at the configured level."""
    configured = facts.definitions.level
    reached = [level for level in _up_to(configured) if _is_whole(facts, level)]
    return LevelReport(
        project=facts.definitions.project,
        level=configured,
        reached=reached[-1] if reached else None,
        capabilities=_judge(facts, configured),
    )


def _up_to(level: Level) -> tuple[Level, ...]:
    levels: tuple[Level, ...] = get_args(Level)
    return levels[: levels.index(level) + 1]


def _is_whole(facts: LevelFacts, level: Level) -> bool:
    """Return true if all that a level asks for is on."""
    asked = [one for one in _judge(facts, level) if one.level in _up_to(level)]
    return all(one.state == "on" or not one.needed for one in asked)


def _judge(facts: LevelFacts, level: Level) -> tuple[Capability, ...]:
    """Return every capability as it is if a level is wanted."""
    found = []
    for name, lowest, rule in _RULES:
        judgement = rule(facts, level)
        found.append(Capability(name=name, level=lowest, **judgement._asdict()))
    return tuple(found)

"""Level of automation of a project, capability by capability. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from everfit.core.errors import DefinitionError
from everfit.definitions.model import Model
from everfit.definitions.project import Project

Level = Literal["manual", "semi", "full"]


class Capability(Struct, frozen=True, kw_only=True):
    """One requirement of a level."""

    level: Level
    name: str
    present: bool
    sentence: str
    """The way in which it is present, or what is missing."""


class LevelReport(Struct, frozen=True, kw_only=True):
    """Level of a project, with the capabilities that it has and lacks."""

    project: str
    level: Level
    capabilities: tuple[Capability, ...]


def level(project: Project) -> LevelReport:
    """Return the highest level of which nothing is missing, with every capability of every level."""
    settings, models = project.settings, project.models
    untrained = ", ".join(name for name, model in models.items() if not _has_trainer(model))
    silent = ", ".join(name for name, model in models.items() if not list(model.policy.trigger.leaves))
    held = ", ".join(name for name, model in models.items() if model.rollout_plan.approval == "required")
    views = ", ".join(sorted({view.name for model in models.values() for view in model.views}))
    orders, trigger = "everfit up carries orders out, durably", f"a trigger for {silent}: retrain_when(...)"
    no_loop = '[loop] level = "semi"' if settings.loop.level == "manual" else ""
    stages = "what passes is rolled out in stages" + (f"; {held} after approval" if held else "")
    releases = "releases: this version of Everfit does not watch the source repository"
    rows: tuple[tuple[Level, str, str, str], ...] = (
        ("manual", "history", "every run, data version, code version and model is recorded", ""),
        ("manual", "training", "everfit train, promote and serve", f"a trainer for {untrained}" if untrained else ""),
        ("semi", "orchestration", orders, no_loop),
        ("semi", "feature store", f"views: {views}" if views else "no view is needed", ""),
        ("semi", "registry", f"MLflow at {settings.stores.tracking}", ""),
        ("semi", "delivery", stages, ""),
        ("semi", "monitoring", "performance, drift and data quality, at every shipping of the log", ""),
        ("semi", "triggered retraining", "each model has a policy", trigger if silent else ""),
        ("full", "pipeline under delivery", "", releases),
    )
    found = tuple(
        Capability(level=of, name=name, present=not missing, sentence=f"missing: {missing}" if missing else sentence)
        for of, name, sentence, missing in rows
    )
    lacking = {capability.level for capability in found if not capability.present}
    reached: Level = "manual" if lacking & {"manual", "semi"} else "semi" if lacking else "full"
    return LevelReport(project=project.name, level=reached, capabilities=found)


def _has_trainer(model: Model) -> bool:
    try:
        return bool(model.learner)
    except DefinitionError:
        return False

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
    found = (*_manual(project), *_semi(project), *_full())
    reached: Level = "manual"
    if all(capability.present for capability in found if capability.level in {"manual", "semi"}):
        reached = "full" if all(capability.present for capability in found) else "semi"
    return LevelReport(project=project.name, level=reached, capabilities=found)


def _manual(project: Project) -> list[Capability]:
    trained = [name for name, model in project.models.items() if not _has_trainer(model)]
    return [
        _capability("manual", "history", "every run, data version, code version and model is recorded"),
        _capability(
            "manual",
            "training",
            "everfit train, promote and serve",
            missing=f"a trainer for {', '.join(trained)}" if trained else "",
        ),
    ]


def _semi(project: Project) -> list[Capability]:
    settings = project.settings
    silent = [name for name, model in project.models.items() if not list(model.policy.trigger.leaves)]
    held = [name for name, model in project.models.items() if model.rollout_plan.approval == "required"]
    views = sorted({view.name for model in project.models.values() for view in model.views})
    return [
        _capability(
            "semi",
            "orchestration",
            "everfit up carries orders out, durably",
            missing="" if settings.loop.level != "manual" else '[loop] level = "semi"',
        ),
        _capability("semi", "feature store", f"views: {', '.join(views)}" if views else "no view is needed"),
        _capability("semi", "registry", f"MLflow at {settings.stores.tracking}"),
        _capability(
            "semi",
            "delivery",
            "what passes is rolled out in stages" + (f"; {', '.join(held)} after approval" if held else ""),
        ),
        _capability("semi", "monitoring", "performance, drift and data quality, at every shipping of the log"),
        _capability(
            "semi",
            "triggered retraining",
            "each model has a policy",
            missing=f"a trigger for {', '.join(silent)}: retrain_when(...)" if silent else "",
        ),
    ]


def _full() -> list[Capability]:
    return [
        _capability(
            "full",
            "pipeline under delivery",
            "",
            missing="releases: this version of Everfit does not watch the source repository",
        )
    ]


def _capability(of: Level, name: str, sentence: str, *, missing: str = "") -> Capability:
    return Capability(level=of, name=name, present=not missing, sentence=f"missing: {missing}" if missing else sentence)


def _has_trainer(model: Model) -> bool:
    try:
        return bool(model.learner)
    except DefinitionError:
        return False

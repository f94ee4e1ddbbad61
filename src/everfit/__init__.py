"""Everfit keeps machine-learning models fit for purpose after they ship.

The names below are all that is public; each is imported when it is first used, so that ``import everfit`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everfit.client.client import Client as Client
    from everfit.core.errors import EverfitError as EverfitError
    from everfit.core.evidence import Evidence as Evidence
    from everfit.core.evidence import TrainingFrame as TrainingFrame
    from everfit.core.records import GateReport as GateReport
    from everfit.core.records import ModelVersion as ModelVersion
    from everfit.core.records import Verdict as Verdict
    from everfit.definitions.entity import Entity as Entity
    from everfit.definitions.events import Events as Events
    from everfit.definitions.events import Label as Label
    from everfit.definitions.model import Model as Model
    from everfit.definitions.on_demand import OnDemand as OnDemand
    from everfit.definitions.on_demand import on_demand as on_demand
    from everfit.definitions.project import Project as Project
    from everfit.definitions.rollout import Canary as Canary
    from everfit.definitions.rollout import Shadow as Shadow
    from everfit.definitions.source import Source as Source
    from everfit.definitions.space import Choice as Choice
    from everfit.definitions.space import Float as Float
    from everfit.definitions.space import Int as Int
    from everfit.definitions.trigger import Cron as Cron
    from everfit.definitions.trigger import Every as Every
    from everfit.definitions.trigger import NewData as NewData
    from everfit.definitions.trigger import NewRelease as NewRelease
    from everfit.definitions.trigger import StaleModel as StaleModel
    from everfit.definitions.view import FeatureView as FeatureView
    from everfit.definitions.view import feature_view as feature_view
    from everfit.definitions.watch import Drift as Drift
    from everfit.definitions.watch import PerformanceDrop as PerformanceDrop
    from everfit.gates.baseline import BeatsBaseline as BeatsBaseline
    from everfit.gates.categories import NewCategories as NewCategories
    from everfit.gates.champion import BeatsChampion as BeatsChampion
    from everfit.gates.coverage import LabelCoverage as LabelCoverage
    from everfit.gates.custom import gate as gate
    from everfit.gates.freshness import Freshness as Freshness
    from everfit.gates.label_shift import LabelBalance as LabelBalance
    from everfit.gates.latency import MaxLatency as MaxLatency
    from everfit.gates.missing import MissingShare as MissingShare
    from everfit.gates.schema_gate import DataSchema as DataSchema
    from everfit.gates.slices import Slices as Slices
    from everfit.system import System as System
    from everfit.wiring import load_project as load_project
    from everfit.wiring import open_system as open_system

_HOME = {
    "BeatsBaseline": "gates.baseline",
    "BeatsChampion": "gates.champion",
    "Canary": "definitions.rollout",
    "Choice": "definitions.space",
    "Client": "client.client",
    "Cron": "definitions.trigger",
    "DataSchema": "gates.schema_gate",
    "Drift": "definitions.watch",
    "Entity": "definitions.entity",
    "Events": "definitions.events",
    "EverfitError": "core.errors",
    "Every": "definitions.trigger",
    "Evidence": "core.evidence",
    "FeatureView": "definitions.view",
    "Float": "definitions.space",
    "Freshness": "gates.freshness",
    "GateReport": "core.records",
    "Int": "definitions.space",
    "Label": "definitions.events",
    "LabelBalance": "gates.label_shift",
    "LabelCoverage": "gates.coverage",
    "MaxLatency": "gates.latency",
    "MissingShare": "gates.missing",
    "Model": "definitions.model",
    "ModelVersion": "core.records",
    "NewCategories": "gates.categories",
    "NewData": "definitions.trigger",
    "NewRelease": "definitions.trigger",
    "OnDemand": "definitions.on_demand",
    "PerformanceDrop": "definitions.watch",
    "Project": "definitions.project",
    "Shadow": "definitions.rollout",
    "Slices": "gates.slices",
    "Source": "definitions.source",
    "StaleModel": "definitions.trigger",
    "System": "system",
    "TrainingFrame": "core.evidence",
    "Verdict": "core.records",
    "feature_view": "definitions.view",
    "gate": "gates.custom",
    "load_project": "wiring",
    "on_demand": "definitions.on_demand",
    "open_system": "wiring",
}

__version__ = "0.1.0"
__all__ = sorted(_HOME)  # noqa: PLE0605 - a test proves that these are exactly the names imported above


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'everfit' has no attribute {name!r}; public are {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"everfit.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

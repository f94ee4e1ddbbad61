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
    from everfit.gates.comparison import BeatsBaseline as BeatsBaseline
    from everfit.gates.comparison import BeatsChampion as BeatsChampion
    from everfit.gates.custom import gate as gate
    from everfit.gates.data_gates import Freshness as Freshness
    from everfit.gates.data_gates import LabelCoverage as LabelCoverage
    from everfit.gates.data_gates import MissingShare as MissingShare
    from everfit.gates.data_gates import NewCategories as NewCategories
    from everfit.gates.label_shift import LabelBalance as LabelBalance
    from everfit.gates.model_gates import MaxLatency as MaxLatency
    from everfit.gates.schema_gate import DataSchema as DataSchema
    from everfit.gates.slices import Slices as Slices
    from everfit.system import System as System
    from everfit.wiring import load_project as load_project
    from everfit.wiring import open_system as open_system

_MODULES = {
    "client.client": "Client",
    "core.errors": "EverfitError",
    "core.evidence": "Evidence TrainingFrame",
    "core.records": "GateReport ModelVersion Verdict",
    "definitions.entity": "Entity",
    "definitions.events": "Events Label",
    "definitions.model": "Model",
    "definitions.on_demand": "OnDemand on_demand",
    "definitions.project": "Project",
    "definitions.rollout": "Canary Shadow",
    "definitions.source": "Source",
    "definitions.space": "Choice Float Int",
    "definitions.trigger": "Cron Every NewData NewRelease StaleModel",
    "definitions.view": "FeatureView feature_view",
    "definitions.watch": "Drift PerformanceDrop",
    "gates.comparison": "BeatsBaseline BeatsChampion",
    "gates.custom": "gate",
    "gates.data_gates": "Freshness LabelCoverage MissingShare NewCategories",
    "gates.label_shift": "LabelBalance",
    "gates.model_gates": "MaxLatency",
    "gates.schema_gate": "DataSchema",
    "gates.slices": "Slices",
    "system": "System",
    "wiring": "load_project open_system",
}
"""Public names by module, below ``everfit``."""
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

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

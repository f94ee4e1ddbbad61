"""The loop. Read this first.

    design → releases → features → training → gates → registry → delivery → serving → journal → monitoring → triggers ↺

Each station is a folder that knows none of the others; what they hand on is a record. The functions below walk the
ring, and they alone know its order. Today a person starts every step (level ``manual``); stations without a module
are the ones still to come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.core.clock import Clock

if TYPE_CHECKING:
    from everfit.artifact.signing import Signer, Trust
    from everfit.definitions.project import Project
    from everfit.registry.registry import Registry
    from everfit.store.online import OnlineStore
    from everfit.store.reader import Reader


@dataclass(frozen=True, kw_only=True)
class Station:
    """One stop on the ring."""

    name: str
    takes: str
    gives: str
    line: str
    module: str = ""
    """The package that holds it; empty while a person does its work."""


STATIONS: tuple[Station, ...] = (
    Station(
        name="design",
        takes="the project's definitions",
        gives="DesignCheck",
        line="what the model is for, held against the data",
        module="everfit.design",
    ),
    Station(name="releases", takes="a git commit", gives="Release", line="tested, locked, isolated code"),
    Station(
        name="features",
        takes="definitions, time range, as-of",
        gives="TrainingFrame, online rows",
        line="point-in-time history, online store, materialisation",
        module="everfit.features",
    ),
    Station(
        name="training",
        takes="TrainingFrame",
        gives="Candidate",
        line="time split, tuning, fitting",
        module="everfit.training",
    ),
    Station(
        name="gates",
        takes="Evidence on a Candidate and the champion",
        gives="GateReport",
        line="tests of data and model that decide whether it may ship",
        module="everfit.gates",
    ),
    Station(
        name="registry",
        takes="a package, GateReport",
        gives="ModelVersion",
        line="versions, aliases, lineage, history",
        module="everfit.registry",
    ),
    Station(name="delivery", takes="ModelVersion", gives="Rollout", line="shadow, canary, full, rolled back"),
    Station(
        name="serving",
        takes="request",
        gives="Prediction",
        line="HTTP, feature lookup, model execution",
        module="everfit.serving",
    ),
    Station(name="journal", takes="Prediction, outcome", gives="ScoredWindow", line="durable log, late labels joined"),
    Station(name="monitoring", takes="ScoredWindow", gives="Finding", line="performance, drift, data quality"),
    Station(name="triggers", takes="Finding, schedule", gives="RetrainOrder", line="when to retrain, and why"),
)


@dataclass(frozen=True)
class System:
    """The running parts of one project, put together by :mod:`everfit.wiring`."""

    project: Project
    clock: Clock
    state: Path
    """The folder that holds everything this project remembers."""
    reader: Reader
    online: OnlineStore
    signer: Signer
    trust: Trust
    connect_registry: Callable[[], Registry]

    @cached_property
    def registry(self) -> Registry:
        """The registry; connected when first used, since MLflow takes seconds to import."""
        return self.connect_registry()

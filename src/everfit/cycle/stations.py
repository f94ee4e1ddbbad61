"""The stations of the ring, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


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
    Station(
        name="delivery",
        takes="ModelVersion",
        gives="Rollout",
        line="shadow, canary, full, rolled back",
        module="everfit.delivery",
    ),
    Station(
        name="serving",
        takes="request",
        gives="Prediction",
        line="HTTP, feature lookup, model execution",
        module="everfit.serving",
    ),
    Station(
        name="journal",
        takes="Prediction, outcome",
        gives="ScoredWindow",
        line="durable log, late labels joined",
        module="everfit.journal",
    ),
    Station(
        name="monitoring",
        takes="predictions with outcomes, the version's profile",
        gives="Finding",
        line="performance, drift, data quality",
        module="everfit.monitoring",
    ),
    Station(
        name="triggers",
        takes="Finding, schedule",
        gives="RetrainOrder",
        line="when to retrain, and why",
        module="everfit.triggers",
    ),
)

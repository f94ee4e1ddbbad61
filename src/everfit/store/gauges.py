"""Gauges of the latest evaluation, in files that the prediction service exposes in ``/metrics``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from everfit.store.atomic_file import replace_file


class Gauge(NamedTuple):
    """A number for every combination of labels."""

    name: str
    help: str
    labels: tuple[str, ...]


class Sample(Struct, frozen=True, array_like=True):
    """One number."""

    gauge: str
    labels: tuple[str, ...]
    value: float


_SCORE = ("model", "version", "route", "metric")

GAUGES: tuple[Gauge, ...] = (
    Gauge("everfit_model_score", "A version's metric on the outcomes that are known, at the last evaluation.", _SCORE),
    Gauge("everfit_model_reference_score", "The same metric on the version's hold-out.", _SCORE),
    Gauge(
        "everfit_model_estimated_score",
        "The metric as estimated without outcomes, on the newest window of predictions.",
        _SCORE,
    ),
    Gauge(
        "everfit_model_label_coverage",
        "The share of a version's predictions whose outcome is known.",
        ("model", "version", "route"),
    ),
    Gauge(
        "everfit_model_drift",
        "Distance of a column from its reference, roughly in standard deviations.",
        ("model", "version", "column"),
    ),
    Gauge("everfit_model_source_age_seconds", "Age of the newest row of a view's source.", ("model", "source", "view")),
    Gauge("everfit_model_open_incidents", "Incidents that are open.", ("model", "severity")),
    Gauge("everfit_model_looked_at_seconds", "Time of the last evaluation, in seconds since 1970.", ("model",)),
)


def write_samples(folder: Path, model: str, samples: Sequence[Sample]) -> None:
    """Replace a model's samples. Raises :class:`OSError` if the disk refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / f"{model}.json", msgspec.json.encode(samples))


def read_samples(folder: Path) -> list[Sample]:
    """Return the samples of all models; files that cannot be decoded are left out."""
    found: list[Sample] = []
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError, msgspec.DecodeError):
            found += msgspec.json.decode(path.read_bytes(), type=list[Sample])
    return found

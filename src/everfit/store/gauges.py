"""Gauges of the latest evaluation, in files that the prediction service exposes in ``/metrics``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.store.atomic_file import replace_file


class Gauge(Struct, frozen=True, kw_only=True):
    """A number for every combination of labels."""

    name: str
    help: str
    labels: tuple[str, ...]


class Sample(Struct, frozen=True, array_like=True):
    """One number."""

    gauge: str
    labels: tuple[str, ...]
    value: float


GAUGES: tuple[Gauge, ...] = (
    Gauge(
        name="everfit_model_score",
        help="A version's metric on the outcomes that are known, at the last evaluation.",
        labels=("model", "version", "route", "metric"),
    ),
    Gauge(
        name="everfit_model_reference_score",
        help="The same metric on the version's hold-out.",
        labels=("model", "version", "route", "metric"),
    ),
    Gauge(
        name="everfit_model_estimated_score",
        help="The metric as estimated without outcomes, on the newest window of predictions.",
        labels=("model", "version", "route", "metric"),
    ),
    Gauge(
        name="everfit_model_label_coverage",
        help="The share of a version's predictions whose outcome is known.",
        labels=("model", "version", "route"),
    ),
    Gauge(
        name="everfit_model_drift",
        help="Distance of a column from its reference, roughly in standard deviations.",
        labels=("model", "version", "column"),
    ),
    Gauge(
        name="everfit_model_source_age_seconds",
        help="Age of the newest row of a view's source.",
        labels=("model", "source", "view"),
    ),
    Gauge(
        name="everfit_model_open_incidents",
        help="Incidents that are open.",
        labels=("model", "severity"),
    ),
    Gauge(
        name="everfit_model_looked_at_seconds",
        help="Time of the last evaluation, in seconds since 1970.",
        labels=("model",),
    ),
)


def write_samples(folder: Path, model: str, samples: Sequence[Sample]) -> None:
    """Replace a model's samples. Raises :class:`OSError` if the disk refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / f"{model}.json", msgspec.json.encode(samples))


def read_samples(folder: Path) -> list[Sample]:
    """Return the samples of all models; files that cannot be decoded are left out."""
    found: list[Sample] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found += msgspec.json.decode(path.read_bytes(), type=list[Sample])
        except (OSError, msgspec.DecodeError):
            continue
    return found

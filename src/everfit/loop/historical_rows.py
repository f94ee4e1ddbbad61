"""Rows of a model's history with their labels and windows, by the versions that predicted them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

import polars as pl

from everfit.core.columns import ID, TIME, VERSION
from everfit.core.errors import UnknownVersionError
from everfit.definitions.model import Model
from everfit.journal.label_join import join_labels, known_labels
from everfit.journal.prediction_history import PredictionHistory
from everfit.loop.feature_parity import open_packages
from everfit.monitoring.cache import CachedVersion, VersionCache, counts_folder
from everfit.monitoring.evaluation import CountedBefore, own_rows, versions_by_route
from everfit.monitoring.prediction_frame import standard_rows
from everfit.system import System


def versions_of(system: System, definition: Model, predictions: pl.DataFrame) -> dict[int, CachedVersion]:
    """Return the references of all versions that made predictions and whose package is still there.

    Raises :class:`UnknownVersionError` if there is none.
    """
    numbers, cache = sorted(set(predictions[VERSION].to_list())), VersionCache()
    packages = open_packages(system, definition.name, numbers)
    if not packages:
        rule = "of the versions that made predictions, one must still be there"
        raise UnknownVersionError(rule, value=numbers, place=definition.name)
    return {
        number: cache.version(package.digest, definition, partial(lambda opened: opened, package))
        for number, package in packages.items()
    }


def labelled_rows(
    history: PredictionHistory,
    predictions: pl.DataFrame,
    versions: Mapping[int, CachedVersion],
    definition: Model,
    now: datetime,
) -> pl.DataFrame:
    """Return predictions in monitoring's form, with the labels known by now, each version's by the classes it knows.

    A version without a package is read by the newest one's schema.
    """
    joined = join_labels(predictions, known_labels(history.outcomes, history.labels, now))
    newest, parts = versions[max(versions)].schema, []
    for number in joined[VERSION].unique().sort().to_list():
        schema = versions[number].schema if number in versions else newest
        wanted = [*(newest.names if definition.task == "regression" else ()), *definition.slices]
        parts.append(standard_rows(joined.filter(pl.col(VERSION) == number), schema, slices=wanted))
    return pl.concat(parts, how="diagonal_relaxed").sort(TIME, ID, maintain_order=True)


def counted_windows(
    system: System,
    definition: Model,
    versions: Mapping[int, CachedVersion],
    rows: pl.DataFrame,
    history: PredictionHistory,
    now: datetime,
) -> dict[tuple[int, str], CountedBefore]:
    """Return the counted windows of the versions with a reference.

    Raises :class:`StoreError` if rows or counts cannot be read.
    """
    counted = {}
    for number, route in versions_by_route(rows):
        if number in versions:
            folder, own = counts_folder(system.state, definition, number, route), own_rows(rows, number, route)
            counted[number, route] = versions[number].counted(folder, own, history.between, until=now)
    return {part: windows for part, windows in counted.items() if windows is not None}

"""What was answered, what became of it, and the packages that answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from everfit.core.errors import EmptyWindowError, EverfitError
from everfit.store.deployment import ModelDeployment

if TYPE_CHECKING:
    import polars as pl

    from everfit.artifact.package import Package
    from everfit.cycle.system import System
    from everfit.definitions.model import Model


def answers_of(system: System, definition: Model, now: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every answer with what became of it, and the outcomes as they were reported."""
    import polars as pl

    from everfit.features.labels import scan_labels
    from everfit.journal.outcomes import OUTCOME, OUTCOME_KNOWN_AT, join_labels, join_outcomes
    from everfit.journal.tables import scan_outcomes, scan_predictions

    name = definition.name
    predictions = scan_predictions(system.lake, system.journal, name).collect()
    if predictions.is_empty():
        raise EmptyWindowError(
            "a model must have answered before it can be watched", value=name, remedy="Serve it: everfit serve."
        )
    outcomes = scan_outcomes(system.lake, system.journal, name).collect()
    reported = join_outcomes(predictions.lazy(), outcomes.lazy(), now).collect()
    labels = scan_labels(definition, system.reader, as_of=now).filter(pl.col("id").is_in(predictions["id"].implode()))
    found = labels.collect()
    if found.is_empty():
        return reported, outcomes.filter(pl.col("recorded_at") <= now).select("id", "value")
    texts = found.with_columns(pl.col("value").cast(pl.String))
    labelled = join_labels(predictions.lazy(), texts.lazy(), as_of=now).collect()
    # What was reported to the service counts before what the source says.
    theirs = labelled.select("id", "route", *(pl.col(each).alias(f"__{each}") for each in (OUTCOME, OUTCOME_KNOWN_AT)))
    both = reported.join(theirs, on=["id", "route"], how="left", maintain_order="left")
    return (
        both.with_columns(
            pl.coalesce(OUTCOME, f"__{OUTCOME}").alias(OUTCOME),
            pl.coalesce(OUTCOME_KNOWN_AT, f"__{OUTCOME_KNOWN_AT}").alias(OUTCOME_KNOWN_AT),
        ),
        pl.concat([outcomes.filter(pl.col("recorded_at") <= now).select("id", "value"), texts.select("id", "value")]),
    )


def packages_of(
    system: System, model: str, versions: Sequence[int], deployed: ModelDeployment | None
) -> dict[int, Package]:
    """The packages of the versions that answered; one that is gone, or that nobody trusts, is left out."""
    from everfit.artifact.package import open_package

    folders = {each.version: system.deployment.folder_of(each) for each in deployed.taking_part} if deployed else {}
    found = {}
    for version in versions:
        try:
            folder = folders.get(version) or system.registry.fetch(system.registry.version(model, version))
            found[version] = open_package(folder, trust=system.trust)
        except EverfitError:
            continue
    return found

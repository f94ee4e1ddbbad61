"""Parity of served features with the same ones computed from history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import polars as pl
from msgspec.structs import replace

from everfit.artifact.package import Package, open_package
from everfit.core.columns import TIME
from everfit.core.errors import EmptyWindowError, EverfitError
from everfit.core.evidence import ID
from everfit.core.progress import SILENT, Progress
from everfit.features.parity import KNOWN_UNTIL, ParityReport, compare_features
from everfit.journal.tables import scan_predictions
from everfit.store.replay_spans import ReplaySpan, read_spans
from everfit.system import System


def parity(
    system: System,
    model: str | None = None,
    *,
    since: datetime | None = None,
    as_of: datetime | None = None,
    limit: int = 10_000,
    progress: Progress = SILENT,
) -> ParityReport:
    """Compute the features of recorded predictions again, from history, and compare them with those that were served.

    Args:
        model: Its name; may be left out where there is only one.
        since: What was asked earlier is left out.
        as_of: Nothing that was recorded or known later is used; now by default.
        limit: Only so many predictions are looked at, those recorded last.

    Raises :class:`EmptyWindowError` if nothing was asked, or no version that answered is still there.
    """
    definition, now = system.project.model(model), as_of or system.clock.now()
    progress.start("Reading")
    answers = scan_predictions(system.lake, system.journal, definition.name).filter(pl.col("recorded_at") <= now)
    if since is not None:
        answers = answers.filter(pl.col("event_time") >= since)
    # Two instants of every answer first, since all features of a few months would fill the memory.
    moments = answers.select("recorded_at", "event_time").top_k(limit, by="recorded_at").min().collect()
    from_then = [pl.col(name) >= first for name, first in moments.row(0, named=True).items() if first is not None]
    newest = answers.filter(*from_then).top_k(limit, by="recorded_at").collect()
    progress.finish("Reading", note=f"{newest.height:,} predictions")
    versions = sorted(set(newest["version"].to_list()))
    packages = open_packages(system, definition.name, versions)
    if not packages:
        raise EmptyWindowError(
            "there must be recorded predictions of a version that is still there",
            value=versions,
            place=definition.name,
            remedy="Serve it: everfit serve." if newest.is_empty() else "",
        )
    fields = [
        (pl.col(f"request.{name}") if f"request.{name}" in newest.columns else pl.lit(None)).alias(name)
        for name in definition.request
    ]
    served = newest.select(
        pl.col("id").alias(ID),
        "version",
        pl.col("event_time").alias(TIME),
        _known_until(read_spans(system.state)).alias(KNOWN_UNTIL),
        *fields,
        r"^feature\..*$",
    )
    schemas = {version: package.schema for version, package in packages.items()}
    today = {view.name: view.definition for view in definition.views}
    used, other_definitions = {}, []
    for version, schema in schemas.items():
        # What a version takes from the request as it is need not be compared.
        names = set(schema.names).difference(field.name for field in schema.request)
        for lookup in schema.lookups:
            if lookup.definition and today.get(lookup.view, lookup.definition) != lookup.definition:
                other_definitions.append(f"{lookup.view} of version {version}")
                names.difference_update(f"{lookup.view}.{feature}" for feature in lookup.features)
        used[version] = names
    report = compare_features(definition, system.reader, served, used, as_of=now, progress=progress)
    return replace(report, other_definitions=tuple(other_definitions))


def _known_until(spans: Iterable[ReplaySpan]) -> pl.Expr:
    """Return the instant up to which the online store was filled: in a replay, the beginning of its slice."""
    until = at = pl.col("event_time")
    for span in spans:
        into = (at - span.start).dt.total_microseconds()
        length = round(span.slice_s * 1e6)
        begun = span.start + pl.duration(microseconds=into // length * length)
        until = pl.when(at.is_between(span.start, span.end, closed="left")).then(begun).otherwise(until)
    return until


def open_packages(system: System, model: str, versions: Sequence[int]) -> dict[int, Package]:
    """Return the packages of versions, by number; one that is gone, or not trusted, is left out."""
    deployed = system.deployment.of(model)
    folders = {one.version: system.deployment.folder_of(one) for one in deployed.taking_part} if deployed else {}
    found = {}
    for version in versions:
        try:
            folder = folders.get(version) or system.registry.fetch(system.registry.version(model, version))
            found[version] = open_package(folder, trust=system.trust)
        except EverfitError:
            continue
    return found

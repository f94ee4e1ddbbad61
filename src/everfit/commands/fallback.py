"""Test of a model's fallback: a prediction service of its own serves the version that would replace the champion."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
from msgspec import Struct, structs

from everfit.artifact.package import ROWS, Package, open_package
from everfit.artifact.package_writer import write_package
from everfit.commands.trial_service import ServiceAnswer, request_predictions, served_alone
from everfit.core.class_names import class_name
from everfit.core.design_record import DesignRecord, FallbackPlan
from everfit.core.errors import DefinitionError, ProcessError, UnknownVersionError
from everfit.core.records import ModelVersion
from everfit.design.record import design_digest, read_design
from everfit.registry.aliases import PREVIOUS
from everfit.store.temporary_folder import temporary_folder
from everfit.system import System
from everfit.training.constant import chosen_class, constant_model

FALLBACK_TAG = "everfit.fallback"
"""Tag of a version that predicts a constant: the constant."""
_ROWS = 20
_NEAR = 1e-9


class FallbackTest(Struct, frozen=True, kw_only=True):
    """Result of the test."""

    model: str
    fallback: FallbackPlan
    tested: bool
    """False for a rule in words, which only persons can try."""
    passed: bool
    sentence: str
    version: int | None = None
    """The version that predicts then; ``None`` for a rule."""
    made: bool = False
    """True if the version was made and registered by this test."""
    rows: int = 0
    """Rows that were predicted over HTTP."""


def check_fallback(system: System, model: str | None = None, *, actor: str) -> FallbackTest:
    """Serve a model's fallback in a service of its own, and request predictions from it.

    A constant prediction is made a version first: registered, so that it can be promoted, but without an alias.
    Nothing of the test is in the project's log. Raises :class:`DefinitionError` if the model has no design record, or
    one with a fault, or its constant is none of the task, :class:`UnknownVersionError` if there is no such version or
    no champion, and :class:`PackageError` if a package must not be used.
    """
    name = system.project.model(model).name
    document = read_design(system.project, name)
    record = None if document is None else document.record
    if document is None or record is None:
        remedy = "Write one with 'everfit design new', or see what is wrong with 'everfit check'."
        raise DefinitionError("the model must have a design record without a fault", value=name, remedy=remedy)
    plan, made = record.oversight.fallback, False
    if plan.rule:
        sentence = f"The fallback is a rule for persons, which a machine cannot test: {plan.rule}"
        return FallbackTest(model=name, fallback=plan, tested=False, passed=True, sentence=sentence)
    if plan.prediction is not None:
        place = document.where("oversight.fallback.prediction")
        version, made = _constant_version(system, name, record, plan.prediction, place=place, actor=actor)
    else:
        version = system.registry.version(name, PREVIOUS if plan.version == PREVIOUS else str(plan.version))
    found = FallbackTest(
        model=name, fallback=plan, tested=True, passed=False, sentence="", version=version.version, made=made
    )
    package = open_package(system.registry.fetch(version), trust=system.trust)
    try:
        with served_alone(system, version) as url:
            answer = request_predictions(url, name, _requests(package, system))
    except (OSError, ProcessError) as error:
        return structs.replace(found, sentence=f"Version {version.version} does not predict: {error}")
    problem = _problem(answer, version.version, plan.prediction)
    predicted = f"Version {version.version} predicted {len(answer.predictions)} rows in a service of its own"
    passed, sentence = not problem, problem or f"{predicted}. Engage it: everfit promote {name} {version.version}"
    return structs.replace(found, passed=passed, sentence=sentence, rows=len(answer.predictions))


def _constant_version(
    system: System, model: str, record: DesignRecord, value: float | str, *, place: str, actor: str
) -> tuple[ModelVersion, bool]:
    """Return the version that predicts a constant, and true if it had to be made."""
    champion = system.registry.champion(model)
    if champion is None:
        remedy = f"Promote a version first: everfit promote {model}."
        raise UnknownVersionError("a fallback needs a champion, whose requests it takes", value=model, remedy=remedy)
    package, tag = open_package(system.registry.fetch(champion), trust=system.trust), class_name(value)
    if champion.tags.get(FALLBACK_TAG) == tag:
        return champion, False
    for version in reversed(system.registry.versions(model)):
        if version.tags.get(FALLBACK_TAG) == tag:
            schema = open_package(system.registry.fetch(version), trust=system.trust).schema
            if (schema.request, schema.classes) == (package.schema.request, package.schema.classes):
                return version, False
    recorded = system.recorded_project(package)
    lineage = structs.replace(
        package.manifest.lineage,
        params={"fallback": value},
        design=design_digest(record),
        trials=(),
        scores=(),
        slices=(),
    )
    with temporary_folder(system.state, "fallback") as folder:
        written = write_package(
            folder / "package",
            fitted=constant_model(package.schema, value, place=place),
            model=recorded.model(model),
            rows=pl.read_parquet(package.folder / ROWS),
            lineage=lineage,
            signer=system.signer,
            project=recorded.code,
        )
        tags = {FALLBACK_TAG: tag, "everfit.actor": actor, "everfit.reason": "the fallback of the design record"}
        run = system.registry.start_run(model, tags=tags, started_at=system.clock.now())
        tags["everfit.form"] = written.manifest.runtime
        version = system.registry.register(model, package=written.folder, digest=written.digest, run_id=run, tags=tags)
        system.registry.end_run(run, status="FINISHED", params=lineage.params)
    return version, True


def _requests(package: Package, system: System) -> list[dict[str, Any]]:
    """Return requests like those of the reference rows; they are for now, as features of long ago are gone."""
    schema = package.schema
    rows = pl.read_parquet(package.folder / ROWS).head(_ROWS).select([field.name for field in schema.request])
    if schema.event_time:
        now = pl.lit(system.clock.now()).cast(rows.schema[schema.event_time])
        rows = rows.with_columns(now.alias(schema.event_time))
    return rows.to_dicts()


def _problem(answer: ServiceAnswer, version: int, constant: float | str | None) -> str:
    """Return what is wrong with the predictions, as a sentence; empty if nothing is."""
    if answer.version != version:
        return f"Version {answer.version} predicted instead of version {version}."
    for place, prediction in enumerate(answer.predictions):
        values = list(prediction.values()) if isinstance(prediction, dict) else [prediction]
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            return f"The prediction of row {place} is not finite: {prediction}."
        if constant is None:
            continue
        chosen = prediction[chosen_class(constant)] if isinstance(prediction, dict) else prediction
        wanted = 1.0 if isinstance(prediction, dict) else float(constant)
        if abs(chosen - wanted) > _NEAR * max(1.0, abs(wanted)):
            return f"The prediction of row {place} is {chosen}, and not {wanted:g}."
    return ""

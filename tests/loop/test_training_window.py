"""A training window in all that a training leads to: hold-out, refit, check, reproduction, the next candidate."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import DEFINITIONS, make_project, orders

from everfit.artifact.encode import encode_inputs
from everfit.artifact.package import open_package
from everfit.commands.documentation.version_blocks import data_blocks
from everfit.commands.documentation.version_facts import version_facts
from everfit.commands.reproduce import reproduce
from everfit.commands.rollouts import promote
from everfit.commands.train import TrainingResult, train
from everfit.features.history import build_frame
from everfit.loop.candidate_pipeline import build_candidate
from everfit.loop.champion_predictions import learning_start, predict_holdout
from everfit.loop.training_record import TrainingRequest
from everfit.system import System
from everfit.training.refit import fit_without_holdout
from everfit.training.split import holdout_rows, split_by_time
from everfit.wiring import open_system

MODEL, WHO = "late", "a person"
AS_OF = datetime(2026, 1, 21, 20, tzinfo=UTC)


def with_history(history: str) -> str:
    """The definitions with a training window."""
    return DEFINITIONS.replace('    slices=["shop"],\n', f'    slices=["shop"],\n    history={history},\n')


def rewritten(root: Path, history: str) -> System:
    (root / "shop.py").write_text(with_history(history))
    sys.modules.pop("shop", None)
    return open_system(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_project(tmp_path / "shop", definitions=with_history("'8d'"))


def trained(system: System) -> TrainingResult:
    result = train(system, as_of=AS_OF, actor=WHO)
    assert result.version is not None
    return result


@pytest.mark.slow
def test_a_training_its_reproduction_and_the_next_one_keep_to_the_window(root: Path) -> None:
    system = open_system(root)
    first = trained(system)
    manifest, since = first.manifest, AS_OF - timedelta(days=8)
    assert (manifest.history, manifest.start, manifest.rows) == ("the last 8d", since, 8 * 144)
    assert first.split.holdout_from > since + timedelta(days=6)
    assert first.version is not None
    package = open_package(system.registry.fetch(first.version), trust=system.trust)
    assert package.manifest.lineage.frame == manifest
    promote(system, MODEL, first.version.version, actor=WHO, reason="the first")
    system = rewritten(root, "2_000")
    again = reproduce(system, MODEL)
    assert again.identical, again.sentence
    second = trained(system)
    assert second.manifest.history == "the newest 2,000 labelled rows"
    assert second.manifest.labelled == 2_000
    # The labels of the last 40 minutes are not known yet.
    assert second.manifest.rows == 2_003
    verdict = next(one for one in second.report.verdicts if one.gate == "beats_champion")
    assert verdict.outcome == "passed", verdict.sentence


@pytest.mark.slow
def test_a_champion_is_refitted_on_its_own_window(root: Path, tmp_path: Path) -> None:
    system = open_system(root)
    champion = system.project.model(MODEL)
    candidate = build_candidate(system, TrainingRequest(model=MODEL, as_of=AS_OF), into=tmp_path)
    package = open_package(Path(candidate.folder), trust=system.trust)
    lineage, names = package.manifest.lineage, package.schema.names
    assert (lineage.frame.history, lineage.frame.start) == ("the last 8d", AS_OF - timedelta(days=8))
    system = rewritten(root, "None")
    frame = build_frame(system.project.model(MODEL), system.reader, as_of=AS_OF)
    assert frame.manifest.rows == 3_000
    split = split_by_time(system.project.model(MODEL), frame, holdout_share=0.5, validation_share=0.2).split
    found = predict_holdout(system, package, frame, split, is_own=False)
    # Half of the rows are ten days, and the champion's window is shorter: half of it ends where they begin.
    start = learning_start(champion, system.reader, frame.manifest, split.holdout_from)
    assert start is not None
    assert timedelta(days=3.9) < split.holdout_from - start < timedelta(days=4.1)
    own = build_frame(champion, system.reader, as_of=AS_OF, start=start)
    fitted = fit_without_holdout(champion, own, lineage, features=names, holdout_from=split.holdout_from)
    expected = fitted.predict(encode_inputs(fitted.schema, holdout_rows(own.data, split)))
    assert (found.problem, found.refitted) == ("", True)
    assert found.prediction is not None
    assert found.prediction.tolist() == expected.tolist()


@pytest.mark.slow
def test_a_choice_is_recorded_judged_and_reproduced(tmp_path: Path) -> None:
    """Until the ninth day labels were the opposite."""
    data = orders(3_000)
    was_other = pl.col("ordered_at") < data["ordered_at"][0] + timedelta(days=9)
    root = make_project(
        tmp_path / "shop",
        definitions=with_history("ef.Choice('all', '6d')"),
        data=data.with_columns((pl.col("late") ^ was_other).alias("late")),
    )
    system = open_system(root)
    first = trained(system)
    manifest = first.manifest
    assert (manifest.history, manifest.start) == ("all history or the last 6d", AS_OF - timedelta(days=6))
    assert manifest.history_choice.startswith("It learns from the last 6d: the log loss of what the last 6d ")
    verdict = next(one for one in first.report.verdicts if one.gate == "label_coverage")
    assert manifest.history_choice in verdict.sentence
    assert first.version is not None
    assert manifest.history_choice in str(list(data_blocks(version_facts(system, first.version))))
    promote(system, MODEL, first.version.version, actor=WHO, reason="the first")
    assert reproduce(system, MODEL).identical
    # The champion's recipe is fitted on the rows that the candidate has.
    package = open_package(system.registry.fetch(first.version), trust=system.trust)
    definition = system.project.model(MODEL)
    assert package.manifest.lineage.frame == manifest
    assert learning_start(definition, system.reader, manifest, first.split.holdout_from) == manifest.start
    by_hand = train(system, start=AS_OF - timedelta(days=10), as_of=AS_OF, actor=WHO)
    assert by_hand.manifest.history_choice == ""


WEIGHTED = DEFINITIONS.replace("learning_rate, seed):", "learning_rate, weight, seed):").replace(
    ".fit(X, y)", ".fit(X, y, sample_weight=weight)"
)


def judged_on(holdout: str, half_life: str) -> str:
    """The definitions with a hold-out, and weights by age."""
    more = f'    slices=["shop"],\n    holdout={holdout},\n    half_life={half_life},\n'
    return WEIGHTED.replace('    slices=["shop"],\n', more)


@pytest.mark.slow
def test_a_hold_out_and_weights_by_age_are_recorded_and_reproduced(tmp_path: Path) -> None:
    root = make_project(tmp_path / "shop", definitions=judged_on("'3d'", "'2d'"))
    system = open_system(root)
    first = trained(system)
    assert first.version is not None
    # 144 orders a day, the last of which are not delivered yet.
    assert first.split.holdout_rows == 3 * 144
    assert first.split.holdout_rule == "the last 3d up to the newest mature label"
    verdict = next(one for one in first.report.verdicts if one.gate == "label_coverage")
    assert first.split.holdout_rule in verdict.sentence
    package = open_package(system.registry.fetch(first.version), trust=system.trust)
    assert (package.manifest.lineage.split, package.manifest.lineage.half_life) == (first.split, "2d")
    data = str(list(data_blocks(version_facts(system, first.version))))
    assert "halved for every 2d of its age" in data
    assert first.split.holdout_rule in data
    promote(system, MODEL, first.version.version, actor=WHO, reason="the first")
    (root / "shop.py").write_text(judged_on("None", "'20d'"))
    sys.modules.pop("shop", None)
    system = open_system(root)
    again = reproduce(system, MODEL)
    assert again.identical, again.sentence
    second = trained(system)
    assert second.split.holdout_rule == "the newest 20 % of the labelled rows"
    # The champion is fitted again without the longer hold-out, with its own weights.
    verdict = next(one for one in second.report.verdicts if one.gate == "beats_champion")
    assert verdict.outcome == "passed", verdict.sentence

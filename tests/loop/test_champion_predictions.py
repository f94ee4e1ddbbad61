"""A candidate of new code and the champion of old code are compared on the same events, each by its own features."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace
from tests.acceptance.shop import DEFINITIONS, make_project
from tests.serving.environment import make_environment

from everfit.artifact.package import Package, open_package
from everfit.commands.rollouts import promote
from everfit.commands.train import train
from everfit.core.evidence import TrainingFrame
from everfit.features.history import build_frame
from everfit.loop.champion_predictions import predict_holdout
from everfit.runtime.launcher import release_launcher
from everfit.store.active_release import ReleaseFolder, read_release, write_release
from everfit.system import System
from everfit.training.split import holdout_rows
from everfit.wiring import open_system

MODEL, WHO = "late", "a person"
AS_OF = datetime(2026, 1, 21, 20, tzinfo=UTC)
RENAMED = DEFINITIONS.replace("shop_record", "past_of_shop")
"""The same features, under another name."""
FEWER = RENAMED.replace(
    'ef.Events(orders, id="order_id")', 'ef.Events(orders, id="order_id", where=pl.col("shop") != "shop-3")'
)
"""Without the orders of one shop."""
FAR_FEWER = FEWER.replace('pl.col("shop") != "shop-3"', 'pl.col("shop").is_in(["shop-0", "shop-4", "shop-7"])')


@dataclass
class Trained:
    """A project with a champion, which was not refitted on its hold-out."""

    root: Path
    package: Package
    frame: TrainingFrame

    def now(self, definitions: str) -> tuple[System, TrainingFrame]:
        """The project after its code was changed, and its frame."""
        (self.root / "shop.py").write_text(definitions)
        sys.modules.pop("shop", None)
        system = open_system(self.root)
        return system, build_frame(system.project.model(MODEL), system.reader, as_of=AS_OF)


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    root = make_project(tmp_path / "shop")
    with (root / "everfit.toml").open("a") as settings:
        settings.write("refit = false\n")
    system = open_system(root)
    version = train(system, as_of=AS_OF, actor=WHO).version
    assert version is not None
    promote(system, MODEL, version.version, actor=WHO, reason="the first")
    package = open_package(system.registry.fetch(version), trust=system.trust)
    return Trained(root, package, build_frame(system.project.model(MODEL), system.reader, as_of=AS_OF))


def expected(trained: Trained) -> dict[Any, float]:
    """What the champion predicts from its own features, by event."""
    split = trained.package.manifest.lineage.split
    assert split is not None
    rows = holdout_rows(trained.frame.data, split)
    predicted = trained.package.native().predict(trained.package.transform(rows))
    return dict(zip(rows["event_id"].to_list(), predicted.tolist(), strict=True))


def test_the_champion_sees_its_own_features_whatever_they_are_called_now(trained: Trained) -> None:
    system, frame = trained.now(RENAMED)
    assert "shop_record.late" not in frame.data.columns
    split = trained.package.manifest.lineage.split
    assert split is not None
    found = predict_holdout(system, trained.package, frame, split, is_own=False)
    assert (found.problem, found.remark, found.refitted) == ("", "", False)
    assert found.prediction is not None
    ids = holdout_rows(frame.data, split)["event_id"].to_list()
    assert dict(zip(ids, found.prediction.tolist(), strict=True)) == expected(trained)


def test_a_champion_that_has_learnt_from_the_hold_out_also_predicts_what_is_newer(trained: Trained) -> None:
    """As deployed, only where it has learnt nothing; its recipe without the hold-out is one that may be shipped."""
    package, system = trained.package, open_system(trained.root)
    split, lineage = package.manifest.lineage.split, package.manifest.lineage
    assert split is not None
    learnt_until = split.holdout_from
    earlier = replace(split, holdout_from=learnt_until - timedelta(days=2))
    found = predict_holdout(system, package, trained.frame, earlier, is_own=True)
    assert found.refitted
    assert found.recipe is not None
    assert found.deployed is not None
    rows = holdout_rows(trained.frame.data, earlier)
    newer = (rows["event_time"] >= learnt_until).to_numpy()
    assert 0 < newer.sum() < len(newer)
    assert (np.isfinite(found.deployed) == newer).all()
    assert found.deployed[newer].tolist() == list(expected(trained).values())
    assert lineage.params.keys() == {"learning_rate"}
    assert predict_holdout(system, package, trained.frame, earlier, is_own=False).recipe is None


def test_events_that_only_the_candidate_has_are_left_out_and_counted(trained: Trained) -> None:
    narrow, _ = trained.now(FEWER)
    version = train(narrow, as_of=AS_OF, actor=WHO).version
    assert version is not None
    package = open_package(narrow.registry.fetch(version), trust=narrow.trust)
    system, frame = trained.now(DEFINITIONS)
    split = package.manifest.lineage.split
    assert split is not None
    found = predict_holdout(system, package, frame, split, is_own=False)
    assert found.prediction is not None
    asked = holdout_rows(frame.data, split)
    missing = asked["shop"] == "shop-3"
    assert np.isnan(found.prediction).tolist() == missing.to_list()
    assert f"{missing.sum():,} of {asked.height:,} rows are no events by its own definitions" in found.remark
    promote(system, MODEL, version.version, actor=WHO, reason="fewer events")
    report = train(system, as_of=AS_OF, actor=WHO).report
    verdict = next(one for one in report.verdicts if one.gate == "beats_champion")
    assert verdict.outcome == "passed"
    told = re.search(r"(\d+) of (\d+) rows are no events by its own definitions, and are left out", verdict.sentence)
    assert told is not None
    assert f"on {int(told[2]) - int(told[1])} rows" in verdict.sentence


def test_too_few_common_events_are_no_comparison(trained: Trained) -> None:
    narrow, _ = trained.now(FAR_FEWER)
    version = train(narrow, as_of=AS_OF, actor=WHO).version
    assert version is not None
    package = open_package(narrow.registry.fetch(version), trust=narrow.trust)
    system, frame = trained.now(DEFINITIONS)
    split = package.manifest.lineage.split
    assert split is not None
    found = predict_holdout(system, package, frame, split, is_own=False)
    assert found.prediction is None
    assert "at least half of the rows must be events by the champion's own definitions" in found.problem


def test_code_that_cannot_read_the_sources_any_more_gives_way_to_features_of_the_same_names(trained: Trained) -> None:
    source = trained.root / "orders.parquet"
    pl.read_parquet(source).rename({"late": "was_late"}).write_parquet(source)
    newer = DEFINITIONS.replace('pl.col("late")', 'pl.col("was_late").alias("late")').replace(
        'ef.Label("late"', 'ef.Label("was_late"'
    )
    system, frame = trained.now(newer)
    split = trained.package.manifest.lineage.split
    assert split is not None
    found = predict_holdout(system, trained.package, frame, split, is_own=False)
    assert found.prediction is not None
    assert "Its own code cannot compute its features, so those of the candidate are taken" in found.remark
    renamed, frame = trained.now(newer.replace("shop_record", "past_of_shop"))
    found = predict_holdout(renamed, trained.package, frame, split, is_own=False)
    assert "its own code must compute shop_record.late, which the candidate's does not" in found.problem


Released = Callable[[int, str, float], None]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_project(tmp_path / "shop", definitions="raise SystemExit('the folder is no code of a release')\n")


@pytest.fixture
def release(home: Path) -> Released:
    def make(number: int, definitions: str, tinylib: float) -> None:
        state, commit = home / ".everfit", f"{number:040d}"
        tree, environment = f"releases/trees/{commit}", f"releases/environments/{number}"
        (state / tree).mkdir(parents=True)
        shutil.copy(home / "everfit.toml", state / tree)
        (state / tree / "shop.py").write_text(definitions)
        make_environment(state / environment, number=tinylib)
        write_release(
            state,
            ReleaseFolder(number=number, commit=commit, code=f"sha256:{number}", tree=tree, environment=environment),
        )

    return make


def run(home: Path, number: int, *words: str) -> tuple[Any, str]:
    """Run a command in a release; its JSON, and what it wrote to standard error."""
    state = home / ".everfit"
    launcher = release_launcher(home, state, read_release(state, number))
    command = launcher.command(*words, "--json")
    done = subprocess.run(command, env=launcher.variables, cwd=home, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.stderr


TINY = """
import tinylib


@ef.on_demand
def tiny(request):
    assert tinylib.NUMBER == {number}
    return request.select({name}=pl.col("distance_km") * tinylib.NUMBER)


late = ef.Model("""


def with_tinylib(definitions: str, number: int, name: str) -> str:
    text = definitions.replace("\nlate = ef.Model(", TINY.format(number=number, name=name))
    return text.replace('"shop", "distance_km"],\n    label', '"shop", tiny],\n    label')


@pytest.mark.slow
def test_a_champion_of_another_release_predicts_in_its_own_code_and_environment(home: Path, release: Released) -> None:
    release(1, with_tinylib(DEFINITIONS, 1, "far"), 1)
    release(2, with_tinylib(RENAMED, 2, "very_far"), 2)
    first, _ = run(home, 1, "train", "--as-of", AS_OF.isoformat())
    assert first["version"]["version"] == 1
    run(home, 1, "promote", MODEL, "1")
    second, _ = run(home, 2, "train", "--as-of", AS_OF.isoformat())
    verdict = next(one for one in second["report"]["verdicts"] if one["gate"] == "beats_champion")
    assert verdict["outcome"] == "passed", verdict["sentence"]
    assert "its recipe was fitted again without them" in verdict["sentence"]
    # The same recipe on the same rows, up to a factor of two in one feature.
    assert abs(verdict["value"]) < 0.02
    assert second["version"]["version"] == 2
    # Both wrote nothing to the trees.
    assert not list((home / ".everfit" / "releases" / "trees").rglob("__pycache__"))
    shutil.rmtree(home / ".everfit" / "releases" / "environments" / "1")
    third, _ = run(home, 2, "train", "--as-of", AS_OF.isoformat())
    verdict = next(one for one in third["report"]["verdicts"] if one["gate"] == "beats_champion")
    assert verdict["outcome"] == "failed"
    assert "could not be scored on the same rows: the process must be able to start" in verdict["sentence"]

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.training.test_train import boosted, learn
from tests.training.world import QUICK, make_frame

import everfit as ef
from everfit.artifact.encode import encode_frame
from everfit.artifact.manifest import Lineage
from everfit.artifact.provenance import CodeVersion
from everfit.training.candidate import Candidate, ChampionPredictions
from everfit.training.labels import judging
from everfit.training.recipe import better_recipe
from everfit.training.refit import fit_without_holdout, refit
from everfit.training.split import holdout_rows
from everfit.training.train import score_fitted

GOOD, DULL = {"rate": 0.3}, {"rate": 0.001}


class Shop:
    """A model, its rows, and candidates of chosen parameters."""

    def __init__(self, task: Any) -> None:
        self.model: ef.Model = boosted(task, slices=["shop"])
        self.frame, self.tuned = make_frame(self.model), learn(self.model)

    def lineage(self, params: dict[str, float]) -> Lineage:
        return Lineage(
            frame=self.frame.manifest,
            params=dict(params),
            seed=self.tuned.seed,
            code=CodeVersion(commit="", dirty=False, digest=""),
            split=self.tuned.split,
            libraries={},
            refitted=True,
        )

    def champion(self, params: dict[str, float]) -> ChampionPredictions:
        since = self.tuned.split.holdout_from
        features = self.frame.features
        fitted = fit_without_holdout(
            self.model, self.frame, self.lineage(params), features=features, holdout_from=since
        )
        return ChampionPredictions(refitted=True, recipe=fitted)

    def candidate(self, params: dict[str, float]) -> Candidate:
        fitted = self.champion(params).recipe
        assert fitted is not None
        rows = judging(self.model, self.frame, by=self.frame.manifest.as_of, since=self.tuned.split.holdout_from)
        scores, slices = score_fitted(self.model, fitted, rows, QUICK)
        return replace(self.tuned, fitted=fitted, params=params, scores=scores, slices=slices)

    def chosen(self, tuned: dict[str, float], champion: dict[str, float]) -> Candidate:
        return better_recipe(
            self.model,
            self.frame,
            self.candidate(tuned),
            self.champion(champion),
            self.lineage(champion),
            settings=QUICK,
        )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_champion_s_parameters_are_kept_where_they_are_better(task: Any) -> None:
    shop = Shop(task)
    found, expected = shop.chosen(DULL, GOOD), shop.candidate(GOOD)
    assert (found.params, found.scores, found.slices) == (GOOD, expected.scores, expected.slices)
    rows = encode_frame(found.fitted.schema, holdout_rows(shop.frame.data, found.split))
    assert np.array_equal(found.fitted.predict(rows), expected.fitted.predict(rows))
    assert found.recipe.startswith("The champion's parameters (rate 0.3), fitted on the same rows, have ")
    assert f"{found.metric} {found.scores[0].value:.4g} where those that were tuned have" in found.recipe
    # What is shipped is fitted with them on all rows.
    shipped = refit(shop.model, shop.frame, found)
    assert np.array_equal(shipped.predict(rows), refit(shop.model, shop.frame, expected).predict(rows))


def test_those_that_were_tuned_are_kept_where_the_champion_s_are_no_better() -> None:
    shop = Shop("binary")
    for champion in (DULL, GOOD):
        found = shop.chosen(GOOD, champion)
        assert (found.params, found.recipe) == (GOOD, "")


def test_a_champion_of_other_code_or_other_parameters_has_no_recipe_for_it() -> None:
    shop = Shop("binary")
    tuned, champion, lineage = shop.candidate(DULL), shop.champion(GOOD), shop.lineage(GOOD)
    for theirs, recorded in (
        (replace(champion, recipe=None), lineage),
        (champion, shop.lineage({"depth": 3.0})),
        (ChampionPredictions(), lineage),
    ):
        assert better_recipe(shop.model, shop.frame, tuned, theirs, recorded, settings=QUICK) is tuned

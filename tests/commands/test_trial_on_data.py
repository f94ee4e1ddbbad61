"""Steps `data`, `training` and `features` of a release: mistakes that only rows show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.commands.trials import Release, make_release

from everfit.core.release_trial import TrialResult, TrialStep

SALES = "data/sales.csv"
TRAINER = "    return HistGradientBoostingRegressor("


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path)


def add_column(release: Release, name: str, values: pl.Expr) -> None:
    """Add a column to the project's data, and have the release use it as a feature."""
    sales = release.home / SALES
    pl.read_csv(sales).with_columns(values.alias(name)).write_csv(sales)
    release.edit('"price", "promotion"]', f'"price", "promotion", "{name}"]')
    release.edit('features=["shop", "price",', f'features=["shop", "{name}", "price",')


def only(release: Release, step: TrialStep) -> TrialResult:
    return release.tried_here(step)[step]


def leak(release: Release) -> str:
    """The sentence with which the data test refuses; the definitions alone look sound."""
    results = release.tried_here("check", "data", "training")
    assert {step: result.outcome for step, result in results.items()} == {"check": "passed", "data": "refused"}
    return results["data"].sentence


def test_a_feature_computed_from_the_label_too_early_is_refused(release: Release) -> None:
    path = release.tree / "project.py"
    text = path.read_text()
    start, end = text.index("@ef.feature_view"), text.index("# On-demand features")
    path.write_text(text[:start] + text[start:end].replace("closes_at", "opens_at") + text[end:])
    sentence = leak(release)
    assert "feature view recent_sales: a row at opens_at must use only outcomes that are known by then" in sentence
    assert "last_day, mean_7d, mean_28d changes if sold" in sentence


def test_the_label_passed_through_by_a_view_is_refused(release: Release) -> None:
    view = 'today = ef.FeatureView("today", entities=[shop], source=sales, ttl="3d", features=["sold"])'
    release.edit("# On-demand features", f"{view}\n\n\n# On-demand features")
    release.edit("calendar, recent_sales]", "calendar, recent_sales, today]")
    sentence = leak(release)
    assert "feature view today: a row at opens_at must use only outcomes" in sentence
    assert "sold changes if sold after" in sentence


def test_a_feature_that_looks_ahead_is_refused(release: Release) -> None:
    release.edit('last_day=pl.col("sold").last()', 'last_day=pl.col("next").last()')
    release.edit('sales.sort("closes_at")', 'sales.sort("closes_at").with_columns(next=pl.col("sold").shift(-4))')
    sentence = leak(release)
    assert "feature view recent_sales: a row must depend on rows until its own closes_at only" in sentence
    assert "change in last_day once later ones are known" in sentence
    assert "shift(-1)" in sentence


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("takings", pl.col("sold") * pl.col("price")),
        ("till", pl.col("sold") + pl.Series(np.random.default_rng(7).normal(0, 4, 2160))),
    ],
)
def test_a_field_that_is_known_only_with_the_label_is_refused(release: Release, name: str, values: pl.Expr) -> None:
    add_column(release, name, values)
    sentence = leak(release)
    assert f"model demand, feature {name}: no single feature should predict the label alone" in sentence
    assert f"known_at_event=['{name}']" in sentence


def test_a_field_that_says_when_it_is_known_is_refused_by_that(release: Release) -> None:
    add_column(release, "returned", pl.col("sold") % 7)
    release.edit('timestamp="opens_at",\n', 'timestamp="opens_at",\n    known_at={"returned": "closes_at"},\n')
    sentence = leak(release)
    assert "a request field must be known at the event, but returned is known at closes_at" in sentence


def test_a_strong_feature_that_is_declared_passes(release: Release) -> None:
    add_column(release, "ordered", pl.col("sold") + 1)
    release.edit('    metric="mae",', '    metric="mae",\n    known_at_event=["ordered"],')
    result = only(release, "data")
    assert result.outcome == "passed", result.sentence


def test_a_label_that_claims_to_be_known_at_its_event_hides_no_leak(release: Release) -> None:
    sales, path = release.home / SALES, release.tree / "project.py"
    pl.read_csv(sales).with_columns(noted_at=pl.col("opens_at")).write_csv(sales)
    path.write_text(path.read_text().replace("closes_at", "noted_at"))
    assert "feature recent_sales.last_day: no single feature should predict the label alone" in leak(release)


def test_a_project_without_models_passes(release: Release) -> None:
    path = release.tree / "project.py"
    text = path.read_text()
    path.write_text(text[: text.index("# On-demand features")])
    results = release.tried_here("check", "data", "training", "features", served=())
    outcomes = {step: result.outcome for step, result in results.items()}
    assert outcomes == {"check": "passed", "data": "passed", "training": "skipped", "features": "passed"}


def test_stale_data_warns_and_refuses_nothing(release: Release) -> None:
    sales = pl.read_csv(release.home / SALES)
    sales.head(2000).write_csv(release.home / SALES)
    result = only(release, "data")
    assert result.outcome == "passed"
    assert (
        "1 warned: feature view recent_sales: the newest row of sales should be younger than the ttl" in result.sentence
    )


def test_a_small_sample_grows_until_labels_vary(release: Release) -> None:
    sales = pl.read_csv(release.home / SALES)
    newest = pl.int_range(pl.len()) >= sales.height - 400
    sales.with_columns(sold=pl.when(newest).then(50).otherwise("sold")).write_csv(release.home / SALES)
    result = release.tried_here("data", sample_rows=100)["data"]
    assert result.outcome == "passed"
    assert result.sentence == "No error in 1 feature views, 1,000 events of demand (1,000 labelled)."


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            '    raise ValueError("no oven")',
            ("the trainer train must not raise, but raised ValueError: no oven at project.py line 103",),
        ),
        ("    return Broken()", ("model demand, trainer train: predictions must be finite numbers, but got nan",)),
        ("    return Unstorable()", ("an estimator must predict the same once it was saved and loaded again",)),
        ("    return Random()", ("demand, determinism: Fitted twice with the seed 0, predictions differ by",)),
        ("    return Fragile()", ("demand, robustness:", "rows got no proper prediction")),
    ],
)
def test_a_training_that_no_rows_could_save_is_refused(release: Release, body: str, words: tuple[str, ...]) -> None:
    release.edit(TRAINER, f"{body}\n{TRAINER}")
    release.edit("demand = ef.Model(", ESTIMATORS + "demand = ef.Model(")
    result = only(release, "training")
    assert result.outcome == "refused"
    for word in words:
        assert word in result.sentence


ESTIMATORS = """
import itertools
import threading
import numpy as np

COUNT = itertools.count()


class Broken:
    def predict(self, X):
        return np.full(len(X), np.nan)


class Unstorable:
    def __init__(self):
        self.lock = threading.Lock()

    def predict(self, X):
        return np.ones(len(X))


class Random:
    def __init__(self):
        self.value = float(next(COUNT))

    def predict(self, X):
        return np.full(len(X), self.value)


class Fragile:
    def predict(self, X):
        return np.where(np.isnan(X[:, 1]), np.nan, 50.0)


"""


def test_a_worse_model_passes_since_the_training_on_all_rows_decides(release: Release) -> None:
    release.edit(
        TRAINER, f"    from sklearn.dummy import DummyRegressor\n    return DummyRegressor().fit(X, y)\n{TRAINER}"
    )
    result = only(release, "training")
    assert result.outcome == "passed"
    assert "On all rows these may pass: beats_baseline" in result.sentence
    assert not result.reports[0].passed


@pytest.mark.parametrize(
    ("gate", "outcome"),
    [
        ("ef.gate(lambda evidence: evidence.nothing)", "refused"),
        ("ef.gate(lambda evidence: None)", "refused"),
        ("ef.gate(lambda evidence: False)", "passed"),
    ],
)
def test_a_gate_refuses_the_code_if_it_cannot_judge(release: Release, gate: str, outcome: str) -> None:
    release.add(f"\ndemand.ship_when({gate})\n")
    result = only(release, "training")
    assert result.outcome == outcome, result.sentence


@pytest.mark.parametrize(("p99_ms", "outcome"), [("0.000001", "refused"), ("20", "passed")])
def test_a_latency_far_over_its_limit_refuses(release: Release, p99_ms: str, outcome: str) -> None:
    release.edit("p99_ms: 20", f"p99_ms: {p99_ms}", file="design.md")
    result = only(release, "training")
    assert result.outcome == outcome
    assert ("max_latency: 99 % of 300 rows take at most" in result.sentence) == (outcome == "refused")


def test_features_are_compared_with_those_of_the_release_before(release: Release) -> None:
    before = Release(home=release.home, tree=release.home)
    assert before.tried("features")["features"].sentence == "Features were computed: 8 of demand on 2,160 events."
    previous = str(before.folder)
    same = release.tried("features", previous=previous)["features"]
    assert same.features == ()
    assert "They are the same as in the release before, of demand." in same.sentence
    release.edit('mean_7d=pl.col("sold").mean()', 'week=pl.col("sold").mean(), median=pl.col("sold").median()')
    release.edit('period="28d"', 'period="56d"')
    release.edit('lookback="28d"', 'lookback="56d"')
    release.edit('month=pl.col("opens_at").dt.month()', 'month=pl.col("opens_at").dt.month().cast(pl.Int32)')
    result = release.tried("features", previous=previous)["features"]
    assert result.outcome == "passed"
    found = {change.feature: change for change in result.features}
    assert [(change.change, change.feature) for change in result.features] == [
        ("removed", "recent_sales.mean_7d"),
        ("added", "recent_sales.median"),
        ("added", "recent_sales.week"),
        ("type", "calendar.month"),
        ("values", "recent_sales.mean_28d"),
    ]
    assert found["recent_sales.week"].sentence == (
        "recent_sales.week is new, with the values that recent_sales.mean_7d had."
    )
    assert found["recent_sales.median"].sentence == "recent_sales.median is new."
    window = found["recent_sales.mean_28d"]
    assert window.changed_share is not None
    assert 0.9 < window.changed_share < 1
    assert window.largest_difference is not None
    assert 0 < window.largest_difference < 40
    assert "recent_sales.mean_28d differs in" in result.sentence


def test_features_that_cannot_be_computed_are_refused(release: Release) -> None:
    release.edit('weekday=pl.col("opens_at").dt.weekday()', 'weekday=pl.col("opens_at").str.len_chars()')
    result = only(release, "features")
    assert result.outcome == "refused"
    assert "on-demand transformation calendar: its function must not raise" in result.sentence

"""`check` on projects that are wrong in one way each, and in several at once."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import orders
from tests.design.records import FRONT, design

import everfit as ef
from everfit.commands.validate import check
from everfit.core.records import DesignCheck

PROJECT = """
import polars as pl
import everfit as ef

orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
shop = ef.Entity("shop", dtype=pl.String)

@ef.feature_view(entities=[shop], source=orders, timestamp="delivered_at", ttl="2d", lookback="1d")
def shop_record(orders):
    return orders.sort("delivered_at").rolling("delivered_at", period="1d", group_by="shop").agg(pl.col("late").mean())

late = ef.Model(
    "late", task="binary", events=ef.Events(orders, id="order_id"), request=["shop", "distance_km"],
    features=[shop_record, "distance_km"], label=ef.Label("late", known_at="delivered_at"),
)

@late.trainer()
def train(X, y):
    from sklearn.dummy import DummyClassifier
    return DummyClassifier(strategy="prior").fit(X, y)
"""


def checked(folder: Path, text: str = PROJECT, data: pl.DataFrame | None = None) -> DesignCheck:
    (folder / "everfit.toml").write_text("")
    (folder / "project.py").write_text(text)
    (folder / "design.md").write_text(design())
    (orders(600) if data is None else data).write_parquet(folder / "orders.parquet")
    return check(ef.open_system(folder))


def said(found: DesignCheck) -> str:
    return "\n".join(f"{each.place}: {each.rule} [{each.value}] {each.remedy}" for each in found.problems)


def test_a_sound_project_passes(tmp_path: Path) -> None:
    found = checked(tmp_path)
    assert found.passed, said(found)
    assert not found.problems
    assert "source orders" in found.checked


@pytest.mark.parametrize(
    ("text", "data", "message"),
    [
        ('"distance_km"]', '"distanse_km"]', "Did you mean 'distance_km'"),
        ("dtype=pl.String", "dtype=pl.Int64", "shop"),
        ('known_at="delivered_at"', 'known_at="shop"', "shop must be an instant"),
        ('request=["shop",', 'request=["late", "shop",', "must not be a request field"),
        ('ef.Label("late"', 'ef.Label(pl.col("delivered_at") > pl.col("ordered_at")', "always True"),
        ('path="orders.parquet"', 'path="nowhere.parquet"', "nowhere.parquet"),
        ("@late.trainer()", "@late.trainer(depth=ef.Int(1, 9))", "must be an argument of the trainer"),
        ('task="binary"', 'task="binary", metric="mae"', "mae"),
        ('task="binary"', 'task="binary", slices=["moon"]', "moon"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, data: str, message: str) -> None:
    assert text in PROJECT
    found = checked(tmp_path, PROJECT.replace(text, data))
    assert not found.passed
    assert message in said(found)


def test_naive_instants_are_refused(tmp_path: Path) -> None:
    found = checked(tmp_path, data=orders(600).with_columns(pl.col("ordered_at").dt.replace_time_zone(None)))
    assert not found.passed
    assert "replace_time_zone" in said(found)


def test_doubled_ids_are_refused(tmp_path: Path) -> None:
    data = orders(600)
    found = checked(tmp_path, data=pl.concat([data, data.tail(2)]))
    assert not found.passed
    assert "4 rows share an id, such as order-598, order-599" in said(found)


def test_a_feature_that_is_the_answer_is_pointed_out(tmp_path: Path) -> None:
    leaky = PROJECT.replace('"distance_km"]', '"distance_km", "refund"]')
    data = orders(600).with_columns(refund=pl.col("late").cast(pl.Float64) * 5)
    found = checked(tmp_path, leaky, data)
    assert "feature refund" in said(found)
    assert "no single feature should predict the label alone" in said(found)


REFUND = PROJECT.replace('"distance_km"]', '"distance_km", "refund"]')


def test_a_feature_that_is_there_only_with_the_answer_is_pointed_out(tmp_path: Path) -> None:
    """A ticket that late orders get: its number says nothing, that there is one says all."""
    data = orders(600).with_columns(refund=pl.when("late").then(pl.int_range(pl.len()) * 37 % 101))
    assert "model late, feature refund" in said(checked(tmp_path, REFUND, data))


def test_a_feature_that_is_declared_as_known_is_not_pointed_out(tmp_path: Path) -> None:
    data = orders(600).with_columns(refund=pl.col("late").cast(pl.Float64) * 5)
    declared = 'features=[shop_record, "distance_km", "refund"], known_at_event=["refund"]'
    text = REFUND.replace('features=[shop_record, "distance_km", "refund"]', declared)
    found = checked(tmp_path, text, data)
    assert not found.problems, said(found)
    (tmp_path / "misspelt").mkdir()
    misspelt = text.replace('known_at_event=["refund"]', 'known_at_event=["refunds"]')
    found = checked(tmp_path / "misspelt", misspelt, data)
    assert "only features may be named [refunds] Did you mean 'refund'?" in said(found)


def test_a_strong_feature_of_a_few_rows_may_be_chance(tmp_path: Path) -> None:
    data = orders(600).with_columns(late=pl.int_range(pl.len()).is_in([40, 80, 120]))
    found = checked(tmp_path, REFUND, data.with_columns(refund=pl.col("late").cast(pl.Float64)))
    assert not found.problems, said(found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('sort("delivered_at")', 'sort("delivered_at").with_columns(pl.col("late").shift(-1))'),
        ('pl.col("late").mean())', 'pl.col("late").mean()).with_columns(pl.col("late") - pl.col("late").mean())'),
    ],
)
def test_a_view_that_uses_later_rows_is_refused(tmp_path: Path, old: str, new: str) -> None:
    found = checked(tmp_path, PROJECT.replace(old, new))
    assert not found.passed
    assert "a row must depend on rows until its own delivered_at only" in said(found)
    assert "change in late once later ones are known" in said(found)


def test_outcomes_of_a_second_source_of_the_same_rows_are_noticed(tmp_path: Path) -> None:
    again = 'again = ef.Source("again", path="orders.parquet", timestamp="ordered_at")\n'
    again += 'today = ef.FeatureView("today", entities=[shop], source=again, ttl="2d", features=["late"])\n'
    text = PROJECT.replace("late = ef.Model(", f"{again}\nlate = ef.Model(").replace(
        "[shop_record,", "[shop_record, today,"
    )
    assert "feature view today: a row at ordered_at must use only outcomes" in said(checked(tmp_path, text))


def test_names_that_nothing_defines_are_refused(tmp_path: Path) -> None:
    found = checked(tmp_path, PROJECT.replace("DummyClassifier(strategy", "DumyClassifier(strategy"))
    assert not found.passed
    assert "project.py:20: a name must be defined or imported before it is used [DumyClassifier]" in said(found)


def test_a_view_that_uses_outcomes_too_early_is_refused(tmp_path: Path) -> None:
    found = checked(tmp_path, PROJECT.replace("delivered_at", "ordered_at").replace(
        'known_at="ordered_at"', 'known_at="delivered_at"'
    ))  # fmt: skip
    assert not found.passed
    assert "must use only outcomes that are known by then" in said(found)
    assert "timestamp='delivered_at'" in said(found)


def test_a_field_known_only_with_the_answer_is_refused(tmp_path: Path) -> None:
    leaky = PROJECT.replace('request=["shop",', 'request=["handed_over_at", "shop",')
    data = orders(600).with_columns(handed_over_at=pl.col("delivered_at"))
    found = checked(tmp_path, leaky, data)
    assert not found.passed
    assert "coincides with the label" in said(found)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = PROJECT.replace('request=["shop",', 'request=["moon", "shop",').replace(
        '"late", known_at', '"latt", known_at'
    )
    found = checked(tmp_path, text.replace("@late.trainer()", "@late.trainer(depth=ef.Int(1, 9))"))
    assert len(found.problems) == 3
    for message in ("moon", "Did you mean 'late'", "depth"):
        assert message in said(found)


def test_infinite_values_are_counted_where_they_are(tmp_path: Path) -> None:
    text = PROJECT.replace('agg(pl.col("late").mean())', "agg(ratio=pl.len() / (pl.len() % 7))")
    near = pl.col("distance_km") < 1
    data = orders(600).with_columns(distance_km=pl.when(near).then(float("inf")).otherwise("distance_km"))
    found = checked(tmp_path, text, data)
    assert found.passed, said(found)
    many = data.filter(pl.col("distance_km").is_infinite()).height
    assert f"source orders: the values of distance_km should be finite [{many} are infinite]" in said(found)
    assert "feature view shop_record: the values of ratio should be finite" in said(found)


def test_as_of_hides_what_came_later(tmp_path: Path) -> None:
    data = orders(600)
    later = data.tail(20).with_columns(pl.col("ordered_at", "delivered_at").dt.offset_by("1y"))
    (tmp_path / "everfit.toml").write_text("")
    (tmp_path / "project.py").write_text(PROJECT)
    pl.concat([data, later]).write_parquet(tmp_path / "orders.parquet")
    system = ef.open_system(tmp_path)
    assert check(system, as_of=data["delivered_at"].max()).passed  # type: ignore[arg-type]
    assert "40 rows share an id" in said(check(system, as_of=later["delivered_at"].max()))  # type: ignore[arg-type]


def with_design(folder: Path, front: str) -> DesignCheck:
    checked(folder)
    (folder / "design.md").write_text(design(front))
    return check(ef.open_system(folder))


def test_a_contradicting_design_hides_nothing_else(tmp_path: Path) -> None:
    found = checked(tmp_path, data=orders(600).with_columns(late=pl.lit(value=True)))
    (tmp_path / "design.md").write_text(design(FRONT.replace("at_most", "at_least")))
    both = check(ef.open_system(tmp_path))
    assert {one.place for one in both.problems} - {one.place for one in found.problems} == {
        f"design.md:{design().split('at_most')[0].count(chr(10)) + 1}, success.model.at_least"
    }
    assert set(found.problems) <= set(both.problems)


@pytest.mark.parametrize("expected", ["1m", "30d"])
def test_a_label_that_comes_at_another_time_is_pointed_out(tmp_path: Path, expected: str) -> None:
    found = with_design(tmp_path, FRONT.replace("expected_delay: 1h", f"expected_delay: {expected}"))
    (only,) = found.problems
    assert only.severity == "warning"
    assert only.place.endswith(", label.expected_delay")
    assert only.value.startswith(f"{expected}, and after ")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("distanse_km", "Did you mean 'distance_km'"),
        ("shop", "a baseline must be a number, but shop is String"),
        ("distance_km", "but distance_km is between 0.14"),
    ],
)
def test_a_column_that_is_no_baseline_is_refused(tmp_path: Path, column: str, message: str) -> None:
    found = with_design(tmp_path, FRONT.replace("what: Never tell them.", f"what: Never tell them., column: {column}"))
    assert not found.passed
    assert message in said(found)


def test_a_column_with_chances_can_be_the_baseline(tmp_path: Path) -> None:
    front = FRONT.replace("what: Never tell them.", "what: Never tell them., column: shop_record.late")
    assert not with_design(tmp_path, front).problems


KNOWN_AT = PROJECT.replace('timestamp="ordered_at")', 'timestamp="ordered_at", known_at={"tip": "delivered_at"})')
TIPS = orders(600).with_columns(tip=pl.col("distance_km") * 2)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('request=["shop",', 'request=["tip", "shop",', ("tip is known at delivered_at", "Remove tip from request")),
        (
            '.agg(pl.col("late").mean())',
            '.agg(pl.col("tip").mean())',
            ("must use tip only when it is known, at delivered_at", "timestamp='delivered_at'"),
        ),
    ],
)
def test_what_is_known_later_is_refused(tmp_path: Path, old: str, new: str, words: tuple[str, ...]) -> None:
    text = KNOWN_AT.replace(old, new)
    if "agg" in old:
        text = text.replace('timestamp="delivered_at", ttl', 'timestamp="ordered_at", ttl')
        text = text.replace('sort("delivered_at").rolling("delivered_at"', 'sort("ordered_at").rolling("ordered_at"')
    found = checked(tmp_path, text, TIPS)
    assert not found.passed
    for word in words:
        assert word in said(found)


def test_what_is_known_later_is_fine_once_it_is_known(tmp_path: Path) -> None:
    found = checked(tmp_path, KNOWN_AT.replace('pl.col("late").mean()', 'pl.col("tip").mean()'), TIPS)
    assert found.passed, said(found)
    with pytest.raises(ef.EverfitError, match="nowhere"):
        ef.open_system(tmp_path).reader.scan(
            ef.Source("s", path="orders.parquet", timestamp="ordered_at", known_at={"tip": "nowhere"})
        )


@pytest.mark.parametrize("part", ["shop_record.share", "shop_record.late"])
def test_a_request_field_named_like_a_feature_is_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(ef.EverfitError, match="must not have the name of a feature of shop_record"):
        checked(tmp_path, PROJECT.replace('request=["shop",', f'request=["{part}", "shop",'))


def test_naive_request_fields_are_refused(tmp_path: Path) -> None:
    data = orders(600).with_columns(promised=pl.col("ordered_at").dt.replace_time_zone(None))
    found = checked(tmp_path, PROJECT.replace('request=["shop",', 'request=["promised", "shop",'), data)
    assert "which promised is not" in said(found)
    assert "replace_time_zone" in said(found)

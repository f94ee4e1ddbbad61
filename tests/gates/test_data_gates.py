"""The tests of the data: each catches what it is for, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from everfit.core.columns import LABEL, TIME
from everfit.core.errors import DefinitionError, SourceError
from everfit.core.evidence import ID, SourceFreshness
from everfit.core.records import Verdict
from everfit.gates.data_gates import Freshness, LabelCoverage, MissingShare, NewCategories
from everfit.gates.data_schema import check_schema, infer_schema, load_schema, save_schema
from everfit.gates.label_shift import LabelBalance
from everfit.gates.schema_gate import DataSchema


def changed(world: Any, *columns: pl.Expr) -> Any:
    return world.but(holdout=world.evidence.holdout.with_columns(*columns))


def some(share: float) -> pl.Expr:
    """True in this share of rows."""
    return pl.int_range(pl.len()) % 500 < share * 500


def only(verdicts: Any) -> Verdict:
    (verdict,) = verdicts
    assert isinstance(verdict, Verdict)
    return verdict


class TestDataSchema:
    def test_a_schema_survives_its_file(self, world: Any, tmp_path: Path) -> None:
        frame = world.evidence.reference.with_columns(
            kind=pl.lit("a").cast(pl.Enum(["a", "b"])),
            town=pl.col("town").cast(pl.Categorical()),
            day=pl.col(TIME).dt.date(),
            price=pl.lit("1.50").cast(pl.Decimal(10, 2)),
            busy=pl.col("distance") > 5,
            count=pl.col("distance").cast(pl.Int32),
            at=pl.col(TIME).dt.cast_time_unit("ms"),
            nothing=pl.lit(None),
        )
        schema = infer_schema(frame)
        save_schema(schema, tmp_path / "late.yaml")
        back = load_schema(tmp_path / "late.yaml")
        assert back == schema
        assert check_schema(back, frame) == []
        text = (tmp_path / "late.yaml").read_text()
        assert "Aachen" in text
        assert "person" not in text, "identifiers are not listed"
        assert not {ID, TIME, LABEL, "nothing"} & set(back.columns)

    @pytest.mark.parametrize(
        ("candidate", "named"),
        [
            ({"at": "date, the event time"}, "at is date, the event time instead of instant, the event time"),
            ({"at": "instant"}, "at is instant instead of instant, the event time"),
            (
                {"shop": "integer, a key"},
                "shop is integer, a key instead of string, a key",
            ),
            ({"shop": "string"}, "shop is string instead of string, a key"),
            ({"extra": "number"}, "extra is number instead of absent"),
            ({"size": None}, "size is absent instead of number"),
        ],
    )
    def test_a_request_that_means_something_else_is_refused(self, world: Any, candidate: Any, named: str) -> None:
        champion = {"at": "instant, the event time", "shop": "string, a key", "size": "number"}
        request = {name: kind for name, kind in (champion | candidate).items() if kind}
        evidence = world.but(request=request, champion_request=champion, champion_version=7)
        verdict = only(DataSchema().judge(evidence))
        assert verdict.outcome == "failed"
        assert f"the request field {named} as for the champion, version 7" in verdict.sentence
        assert only(DataSchema(request="any").judge(evidence)).outcome == "passed"
        for same in (world.but(request=champion, champion_request=champion), world.but(request=request)):
            assert only(DataSchema().judge(same)).outcome == "passed"

    def test_a_reviewed_file_is_what_counts(self, world: Any, tmp_path: Path) -> None:
        path = tmp_path / "late.yaml"
        save_schema(infer_schema(world.evidence.reference), path)
        assert only(DataSchema(path=str(path)).judge(world.evidence)).outcome == "passed"
        path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "Aachen" not in line))
        verdict = only(DataSchema(path=str(path)).judge(world.evidence))
        assert verdict.outcome == "failed"
        assert "town has a name that is not listed in" in verdict.sentence

    @pytest.mark.parametrize("content", [None, "", "just text", "columns: [", "columns: {a: {dtype: Nonsense}}"])
    def test_a_file_that_holds_no_schema(self, world: Any, tmp_path: Path, content: str | None) -> None:
        path = tmp_path / "late.yaml"
        if content is not None:
            path.write_text(content)
        with pytest.raises(SourceError, match=r"late\.yaml"):
            load_schema(path)
        assert "save_schema" in only(DataSchema(path=str(path)).judge(world.evidence)).sentence

    @pytest.mark.parametrize(
        ("change", "clause"),
        [
            (pl.when(some(0.05)).then(-999.0).otherwise("distance").alias("distance"), "distance breaks in_range"),
            (pl.col("distance").cast(pl.String), "distance is String instead of Float64"),
            (pl.col("distance") * 1000, "distance breaks in_range"),
            (pl.when(some(0.5)).then(None).otherwise("distance").alias("distance"), "distance is missing, though"),
            (pl.when(some(0.5)).then(float("nan")).otherwise("distance").alias("distance"), "distance is missing"),
            (pl.when(some(0.5)).then(float("inf")).otherwise("distance").alias("distance"), "distance breaks in_range"),
            (pl.when(some(0.5)).then(pl.lit("Dresden")).otherwise("town").alias("town"), "town has a name that"),
        ],
    )
    def test_what_breaks_it(self, world: Any, change: pl.Expr, clause: str) -> None:
        verdict = only(DataSchema().judge(changed(world, change)))
        assert verdict.outcome == "failed"
        assert verdict.value == 1
        assert clause in verdict.sentence

    def test_a_column_gone(self, world: Any) -> None:
        verdict = only(DataSchema().judge(world.but(holdout=world.evidence.holdout.drop("distance"))))
        assert (verdict.outcome, verdict.value) == ("failed", 1)
        assert "distance is missing" in verdict.sentence

    @pytest.mark.parametrize(
        "change",
        [
            (pl.col("distance") * 1.7).alias("distance"),
            pl.when(some(0.002)).then(-999.0).otherwise("distance").alias("distance"),
            pl.when(some(0.03)).then(pl.lit("Dresden")).otherwise("town").alias("town"),
            pl.lit(1).alias("more"),
        ],
    )
    def test_what_it_bears(self, world: Any, change: pl.Expr) -> None:
        assert only(DataSchema().judge(changed(world, change))).outcome == "passed"


class TestFreshness:
    def stale(self, age: timedelta | None) -> SourceFreshness:
        return SourceFreshness(source="stations", view="weather", age=age, ttl=timedelta(hours=3))

    @pytest.mark.parametrize(
        ("age", "outcome"),
        [(timedelta(hours=3), "passed"), (timedelta(hours=3, seconds=1), "failed"), (None, "failed")],
    )
    def test_ttl_is_the_limit(self, world: Any, age: timedelta | None, outcome: str) -> None:
        fresh = self.stale(timedelta(0))
        verdict = only(Freshness().judge(world.but(freshness=[fresh, self.stale(age)])))
        assert verdict.outcome == outcome
        assert "stations" in verdict.sentence

    def test_another_limit(self, world: Any) -> None:
        old = world.but(freshness=[self.stale(timedelta(days=1))])
        assert only(Freshness(max_age="2d").judge(old)).outcome == "passed"
        verdict = only(Freshness(max_age="12h").judge(old))
        assert (verdict.outcome, verdict.value) == ("failed", 2.0)
        assert "ended 1d before the frame, allowed are 12h" in verdict.sentence
        with pytest.raises(DefinitionError, match="max_age must be a positive duration"):
            Freshness(max_age="soon")


class TestMissingShare:
    @pytest.mark.parametrize(("share", "outcome"), [(0.05, "passed"), (0.1, "passed"), (0.3, "failed")])
    def test_counts_the_increase(self, world: Any, share: float, outcome: str) -> None:
        evidence = changed(world, pl.when(some(share)).then(float("nan")).otherwise("distance").alias("distance"))
        verdict = only(MissingShare().judge(evidence))
        assert verdict.outcome == outcome
        if outcome == "failed":
            assert verdict.value == pytest.approx(share, abs=0.05)
            assert "distance is missing in" in verdict.sentence

    def test_few_rows_do_not_fail_by_chance(self, world: Any) -> None:
        few = world.evidence.holdout.head(20).with_columns(
            pl.when(pl.int_range(pl.len()) < 4).then(None).otherwise("distance").alias("distance")
        )
        assert only(MissingShare().judge(world.but(holdout=few))).outcome == "passed"

    def test_a_column_that_was_always_empty_is_no_news(self, world: Any) -> None:
        empty = pl.lit(None, dtype=pl.Float64).alias("distance")
        evidence = dataclasses.replace(changed(world, empty), reference=world.evidence.reference.with_columns(empty))
        assert only(MissingShare().judge(evidence)).outcome == "passed"


class TestNewCategories:
    @pytest.mark.parametrize(
        "dtype", [pl.String(), pl.Categorical(), pl.Enum(["Aachen", "Bremen", "Celle", "Dresden"])]
    )
    @pytest.mark.parametrize(("share", "outcome"), [(0.0, "passed"), (0.04, "passed"), (0.2, "failed")])
    def test_counts_rows(self, world: Any, dtype: Any, share: float, outcome: str) -> None:
        town = pl.when(some(share)).then(pl.lit("Dresden")).otherwise("town").cast(dtype).alias("town")
        evidence = dataclasses.replace(
            changed(world, town),
            reference=world.evidence.reference.with_columns(pl.col("town").cast(dtype)),
        )
        verdict = only(NewCategories().judge(evidence))
        assert verdict.outcome == outcome
        assert verdict.value == pytest.approx(share, abs=0.03)

    def test_missing_is_not_new(self, world: Any) -> None:
        verdict = only(NewCategories().judge(changed(world, pl.lit(None, dtype=pl.String).alias("town"))))
        assert (verdict.outcome, verdict.value) == ("passed", 0.0)


def labelled(world: Any, labels: Any, *, every: str = "1m") -> pl.DataFrame:
    """Return the reference with other labels, and rows at such intervals before the hold-out."""
    reference: pl.DataFrame = world.evidence.reference
    begin = world.evidence.holdout[TIME].min()
    times = pl.datetime_range(
        pl.lit(begin).dt.offset_by(f"-{len(reference) * int(every[:-1])}{every[-1]}"), begin, every, closed="left"
    )
    return reference.with_columns(times.cast(reference[TIME].dtype).alias(TIME), pl.Series(LABEL, labels))


class TestLabelBalance:
    def test_a_degenerate_label_fails(self, world: Any) -> None:
        verdict = only(LabelBalance().judge(world.but(truth=np.ones(1500))))
        assert verdict.outcome == "failed"
        assert "All 1500 labelled rows" in verdict.sentence

    @pytest.mark.parametrize(
        ("task", "dtype"), [("binary", pl.Boolean), ("binary", pl.Int8), ("multiclass", pl.Float64)]
    )
    def test_classes_are_found_whatever_their_type(
        self, build_world: Callable[..., Any], task: str, dtype: Any
    ) -> None:
        evidence = build_world(task).evidence
        evidence = dataclasses.replace(evidence, reference=evidence.reference.with_columns(pl.col(LABEL).cast(dtype)))
        assert only(LabelBalance().judge(evidence)).outcome == "passed"

    def test_classes_may_be_names(self, build_world: Callable[..., Any]) -> None:
        evidence = build_world("multiclass").evidence
        names = ("early", "late", "punctual")
        labels = pl.col(LABEL).replace_strict([0, 1, 2], names).cast(pl.Categorical())
        evidence = dataclasses.replace(evidence, classes=names, reference=evidence.reference.with_columns(labels))
        assert only(LabelBalance().judge(evidence)).outcome == "passed"
        rare = dataclasses.replace(evidence, truth=np.repeat([0.0, 1.0, 2.0], [5, 5, 900]), weight=np.ones(910))
        verdict = only(LabelBalance().judge(rare))
        assert verdict.outcome == "failed"
        assert verdict.value is not None
        assert verdict.value > 3

    def test_a_flipped_label_fails(self, world: Any) -> None:
        assert only(LabelBalance().judge(world.evidence)).outcome == "passed"
        rare = np.zeros(1500)
        rare[:30] = 1
        verdict = only(LabelBalance().judge(world.but(truth=rare)))
        assert verdict.outcome == "failed"
        assert "in training (56.4 % to 59.6 % in windows as long); beyond chance its odds" in verdict.sentence

    def test_a_share_that_an_earlier_season_had_passes(self, world: Any) -> None:
        """Nearly all rows of the hold-out are late, and a twentieth of the reference's; then a part of it is alike."""
        truth = (np.arange(1500) % 20 != 0).astype(np.float64)
        late = np.arange(6_000) % 20 == 0
        verdict = only(LabelBalance().judge(world.but(truth=truth, reference=labelled(world, late))))
        assert (verdict.outcome, verdict.value is not None and verdict.value > 30) == ("failed", True)
        late[1500:3000] = ~late[1500:3000]
        verdict = only(LabelBalance().judge(world.but(truth=truth, reference=labelled(world, late))))
        assert verdict.outcome == "passed", verdict.sentence
        assert "% in windows as long)" in verdict.sentence

    def test_a_median_that_an_earlier_season_had_passes(self, build_world: Callable[..., Any]) -> None:
        world = build_world("regression")
        values = world.evidence.reference[LABEL].to_numpy().copy()
        higher = 8 * np.subtract(*np.quantile(values, [0.75, 0.25]))
        truth = world.evidence.truth + higher
        reference = labelled(world, values)
        assert only(LabelBalance().judge(world.but(truth=truth, reference=reference))).outcome == "failed"
        values[1500:3000] += higher
        reference = labelled(world, values)
        assert only(LabelBalance().judge(world.but(truth=truth, reference=reference))).outcome == "passed"

    @pytest.mark.parametrize("apart", [timedelta(0), timedelta(microseconds=1)])
    def test_a_hold_out_of_an_instant_has_no_windows(self, world: Any, apart: timedelta) -> None:
        """Of so short a length, a month has more windows than there is memory."""
        holdout = world.evidence.holdout
        times = pl.Series(TIME, [holdout[TIME].min()] * (len(holdout) - 1) + [holdout[TIME].min() + apart])
        held_out = holdout.with_columns(times.cast(holdout[TIME].dtype))
        verdict = only(LabelBalance().judge(world.but(holdout=held_out)))
        assert verdict.outcome == "passed"
        assert "windows" not in verdict.sentence

    def test_where_whole_days_are_alike_more_is_chance(self, world: Any) -> None:
        """A tenth of all days is bad, or a tenth of all rows: the same rows of the hold-out say less of the former."""
        random = np.random.default_rng(3)
        bad = (random.random(6_000 // 24) < 0.1).repeat(24)
        truth = (np.arange(1500) < 400).astype(np.float64)
        by_days, by_rows = (
            only(LabelBalance().judge(world.but(truth=truth, reference=labelled(world, late, every="1h")))).value
            for late in (bad, random.permutation(bad))
        )
        assert by_days is not None
        assert by_rows is not None
        assert by_days < by_rows

    def test_few_rows_do_not_fail_by_chance(self, world: Any) -> None:
        few = world.but(truth=np.array([0.0] * 9 + [1.0]), weight=np.ones(10))
        assert only(LabelBalance().judge(few)).outcome == "passed"

    def test_early_labels_do_not_speak_for_those_to_come(self, world: Any) -> None:
        """Nine in ten known labels are of the swift class, of which all are known, and a tenth of the other."""
        truth = (np.arange(1500) % 10 != 0).astype(np.float64)
        raw = only(LabelBalance(max_ratio=1.5).judge(world.but(truth=truth)))
        mended = only(LabelBalance(max_ratio=1.5).judge(world.but(truth=truth, weight=np.where(truth == 1, 0.5, 4.5))))
        assert (raw.outcome, mended.outcome) == ("failed", "passed")
        assert re.search(
            r"50 % of 1500 rows, weighted as early labels must be \((10|90) % as they are\)", mended.sentence
        )


class TestLabelCoverage:
    def test_states_what_is_known(self, world: Any) -> None:
        verdict = only(LabelCoverage().judge(world.evidence))
        assert verdict.outcome == "passed"
        assert verdict.sentence.startswith(
            "1500 of the 1507 rows in the hold-out's time have a label (99.5 %); about 5 "
        )
        assert "are worth 1500 rows" in verdict.sentence

    def test_states_what_the_hold_out_is(self, world: Any) -> None:
        rule, since = "the last 14d up to the newest mature label", datetime(2026, 2, 1, 12, tzinfo=UTC)
        verdict = only(LabelCoverage().judge(world.but(holdout_rule=rule, holdout_from=since)))
        assert verdict.sentence.endswith(f" The hold-out is {rule}: from 2026-02-01 12:00 UTC on.")

    @pytest.mark.parametrize(("to_come", "outcome"), [(0.0, "passed"), (13_000.0, "passed"), (14_000.0, "failed")])
    def test_too_few_labels_cannot_judge(self, world: Any, to_come: float, outcome: str) -> None:
        verdict = only(LabelCoverage().judge(world.but(unlabelled=15_000, labels_to_come=to_come)))
        assert verdict.outcome == outcome
        assert verdict.value == pytest.approx(1500 / (1500 + to_come))

    def test_weights_tell_what_labels_are_worth(self, world: Any) -> None:
        weight = np.where(np.arange(1500) % 2, 1.9, 0.1)
        verdict = only(LabelCoverage().judge(world.but(weight=weight)))
        assert f"are worth {1500 / 1.81:.0f} rows" in verdict.sentence

    def test_a_share_is_asked_for(self) -> None:
        with pytest.raises(DefinitionError, match="between 0 and 1"):
            LabelCoverage(least=1.5)

    @pytest.mark.parametrize(("shift", "outcome"), [(0.0, "passed"), (10.0, "passed"), (1000.0, "failed")])
    def test_a_median_that_moved(self, build_world: Callable[..., Any], shift: float, outcome: str) -> None:
        evidence = build_world("regression").evidence
        moved = dataclasses.replace(evidence, truth=evidence.truth + shift)
        assert only(LabelBalance().judge(moved)).outcome == outcome

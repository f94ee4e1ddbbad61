from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.training.world import START, frame_of, make_model

import everfit as ef
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import EmptyWindowError, LabelError
from everfit.core.evidence import ID, TrainingFrame
from everfit.training.labels import WEIGHT, judging, learnable
from everfit.training.split import holdout_rows, split_by_time

DAY = timedelta(days=1)
instants = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30), st.booleans()), min_size=40, max_size=120)


def world_of(drawn: list[tuple[int, int, bool]], **more: Any) -> tuple[ef.Model, TrainingFrame]:
    """A model and its frame: minutes of the event and until its label, and the label."""
    ordered = sorted(drawn)
    at = [START + timedelta(minutes=at) for at, _, _ in ordered]
    known = [START + timedelta(minutes=at + delay) for at, delay, _ in ordered]
    model = make_model(**more)
    labels = [label for _, _, label in ordered]
    return model, frame_of(model, at, known, labels, as_of=START + timedelta(days=1))


@given(instants, st.floats(0.1, 0.5), st.floats(0.1, 0.5))
def test_parts_follow_each_other_and_learn_nothing_from_later(
    drawn: list[tuple[int, int, bool]], holdout_share: float, validation_share: float
) -> None:
    model, whole = world_of(drawn)
    frame = whole.data
    try:
        parts = split_by_time(model, whole, holdout_share=holdout_share, validation_share=validation_share)
    except (EmptyWindowError, LabelError):
        return  # too few rows on one side: refused, which other tests look at
    split = parts.split
    assert (parts.train[TIME] < split.validation_from).all()
    assert (parts.train[KNOWN_AT] <= split.validation_from).all()
    assert ((parts.validation[TIME] >= split.validation_from) & (parts.validation[TIME] < split.holdout_from)).all()
    assert (parts.learning[KNOWN_AT] <= split.holdout_from).all()
    assert (parts.learning[TIME] < split.holdout_from).all()
    assert (parts.holdout[TIME] >= split.holdout_from).all()
    # Every row before the boundary is learnt from, unless its label came too late; every row after is held out.
    learnable = frame.filter((pl.col(TIME) < split.holdout_from) & (pl.col(KNOWN_AT) <= split.holdout_from))
    assert set(parts.learning[ID]) == set(learnable[ID])
    assert parts.holdout.height == frame.filter(pl.col(TIME) >= split.holdout_from).height
    assert parts.holdout.height >= holdout_share * frame.height - 1
    assert holdout_rows(frame, split).equals(parts.holdout.drop(WEIGHT))
    # So short a history is split by the shares alone.
    assert split.holdout_rule == f"the newest {holdout_share * 100:.3g} % of the labelled rows"
    assert split.holdout_from == frame[TIME][int(frame.height * (1 - holdout_share))]


long_histories = st.tuples(st.integers(60, 400), st.integers(4, 60), st.integers(0, 60), st.integers(2, 9))


@given(long_histories, st.sampled_from([None, "10d", "30d", 400]), st.sampled_from(["known", "mature", "weighted"]))
@settings(max_examples=30)
def test_parts_of_a_long_history(drawn: tuple[int, int, int, int], holdout: Any, labels: Any) -> None:
    days, a_day, delay, values = drawn
    at = [START + number * DAY / a_day for number in range(days * a_day)]
    known = [instant + delay * DAY * (number % 7) / 6 for number, instant in enumerate(at)]
    as_of = at[-1] + DAY
    model = make_model("multiclass", holdout=holdout, labels=labels)
    frame = frame_of(model, at, known, [f"kind-{number % values}" for number in range(len(at))], as_of=as_of)
    try:
        parts = split_by_time(model, frame, holdout_share=0.3, validation_share=0.3)
    except (EmptyWindowError, LabelError):
        return  # no label was known before the validation
    split, labelled = parts.split, frame.data.filter(pl.col(LABEL).is_not_null())
    assert split.validation_from < split.holdout_from <= split.end
    # Nothing is learnt from later rows, or from labels that became known later.
    for rows, instant in ((parts.train, split.validation_from), (parts.learning, split.holdout_from)):
        assert (rows[TIME] < instant).all()
        assert (rows[KNOWN_AT] <= instant).all()
    assert parts.validation[TIME].is_between(split.validation_from, split.holdout_from, closed="left").all()
    assert (parts.validation[KNOWN_AT] <= split.holdout_from).all()
    assert parts.train.equals(learnable(model, frame, by=split.validation_from, before=split.validation_from))
    assert parts.holdout.equals(judging(model, frame, by=as_of, since=split.holdout_from))
    # No larger than its share, and where it is smaller, sufficient.
    bound = labelled[TIME][int(labelled.height * 0.7)]
    assert split.holdout_from >= bound
    if split.holdout_from > bound:
        least = {None: 500, 400: 400}.get(holdout, 200)
        assert parts.holdout.height >= least
        span = {None: 14, "10d": 10, "30d": 30}.get(holdout, 0)
        assert split.end - split.holdout_from >= (span - 1) * DAY
    assert split.holdout_rows == parts.holdout.height


def test_a_hold_out_does_not_grow_with_history() -> None:
    model, sizes = make_model("regression"), []
    for days in (50, 100, 400, 1_000):
        at = [START + number * DAY / 100 for number in range(days * 100)]
        frame = frame_of(model, at, at, [number % 10 for number in range(len(at))], as_of=at[-1])
        split = split_by_time(model, frame, holdout_share=0.2, validation_share=0.2).split
        sizes.append((split.holdout_rows, split.validation_rows))
    # Before it was a fifth of 100,000 rows in the end: 200 days.
    assert sizes == [(1_000, 800), (1_400, 1_400), (1_400, 1_400), (1_400, 1_400)]


def test_labels_that_come_late_extend_the_hold_out() -> None:
    model = make_model("regression")
    at = [START + number * DAY / 100 for number in range(40_000)]
    known = [instant + 20 * DAY for instant in at]
    frame = frame_of(model, at, known, [number % 10 for number in range(len(at))], as_of=at[-1])
    parts = split_by_time(model, frame, holdout_share=0.2, validation_share=0.2)
    assert parts.split.holdout_rule == "the last 14d up to the newest mature label"
    # None of the last 20 days has a label; the two weeks are those before.
    assert parts.split.holdout_rows == 1_400
    assert at[-1] - parts.split.holdout_from == 34 * DAY - DAY / 100
    # When the hold-out begins, the labels of the last 20 days before it are not known: so it is once more.
    assert parts.split.holdout_from - parts.split.validation_from == 34 * DAY - DAY / 100


def test_labels_that_are_all_alike_are_refused() -> None:
    with pytest.raises(LabelError, match=r"one class.*True on 50 rows"):
        split_by_time(*world_of([(at, 0, True) for at in range(50)]), holdout_share=0.2, validation_share=0.2)


def test_no_labels_at_all_are_refused() -> None:
    model, frame = world_of([(at, 0, True) for at in range(50)])
    frame = replace(frame, data=frame.data.with_columns(pl.lit(None, pl.Boolean).alias(LABEL)))
    with pytest.raises(EmptyWindowError, match="0 of 50 rows"):
        split_by_time(model, frame, holdout_share=0.2, validation_share=0.2)


def test_too_few_rows_for_three_parts_are_refused() -> None:
    with pytest.raises((EmptyWindowError, LabelError)):
        split_by_time(*world_of([(0, 0, True), (1, 0, False)]), holdout_share=0.5, validation_share=0.5)

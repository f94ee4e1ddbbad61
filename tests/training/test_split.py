from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.training.world import START, frame_of, make_model

import everfit as ef
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import EmptyWindowError, LabelError
from everfit.core.evidence import ID, TrainingFrame
from everfit.training.labels import WEIGHT
from everfit.training.split import holdout_rows, split_by_time

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

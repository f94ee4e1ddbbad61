"""The argument history as a value."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import everfit as ef
from everfit.core.errors import DefinitionError
from everfit.definitions.training_window import DEFAULT_HISTORY, TrainingWindow, parse_history, parse_training_window


@pytest.mark.parametrize(
    ("history", "window", "text"),
    [
        ("120d", TrainingWindow(span=timedelta(days=120)), "the last 120d"),
        ("2w12h", TrainingWindow(span=timedelta(days=14, hours=12)), "the last 14d12h"),
        (50_000, TrainingWindow(rows=50_000), "the newest 50,000 labelled rows"),
        (200, TrainingWindow(rows=200), "the newest 200 labelled rows"),
    ],
)
def test_a_duration_or_a_number_of_rows(history: Any, window: TrainingWindow, text: str) -> None:
    found = parse_training_window(history, place="model late")
    assert found == window
    assert str(found) == text


def test_nothing_is_all_history() -> None:
    assert parse_training_window(None, place="model late") is None


def test_another_argument_is_named() -> None:
    message = r"holdout must be a duration such as .* but got '14'. Leave it out to judge on two weeks."
    with pytest.raises(DefinitionError, match=message):
        parse_training_window("14", name="holdout", default="judge on two weeks", place="model late")


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (
            "120",
            r"model late: history must be a duration such as '120d', or a number of labelled rows .* but got '120'",
        ),
        ("-5d", "history must be a duration"),
        ("", "history must be a duration"),
        (True, "history must be a duration"),
        (5e4, "or a number of labelled rows such as 50_000, but got 50000.0. Leave it out to train on all history."),
        (120, r"or at least 200 labelled rows, but got 120. .* For 120 days, write '120d'."),
        (-1, "at least 200 labelled rows, but got -1"),
    ],
)
def test_what_is_neither_is_refused(history: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        parse_training_window(history, place="model late")


def test_the_windows_of_a_choice_are_ordered() -> None:
    options = parse_history(ef.Choice("14d", "all", "60d"), place="model late")
    assert [option and str(option) for option in options] == [None, "the last 60d", "the last 14d"]
    assert parse_history(ef.Choice([300, 5_000]), place="model late") == (
        TrainingWindow(rows=5_000),
        TrainingWindow(rows=300),
    )


def test_the_default_is_a_choice() -> None:
    windows = (None, TrainingWindow(span=timedelta(days=180)), TrainingWindow(span=timedelta(days=60)))
    assert parse_history(None, place="model late") == parse_history(DEFAULT_HISTORY, place="model late") == windows


def test_without_a_choice_there_is_one_window() -> None:
    assert parse_history("all", place="model late") == (None,)
    assert parse_history("60d", place="model late") == (TrainingWindow(span=timedelta(days=60)),)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (ef.Choice("all", "60d", default="60d"), "model late: a choice of history must have no default, but got '60d'"),
        (ef.Choice("60d", 5_000), "durations only, or numbers of labelled rows only"),
        (ef.Choice("60d", "60d"), "each window once"),
        (ef.Choice("all", "all"), "each window once"),
        (ef.Choice("all", None), "all history must be written as 'all' in a choice"),
        (ef.Choice("all", "soon"), "history must be a duration"),
        (ef.Choice("all", 5), "at least 200 labelled rows"),
        (ef.Choice("all", True), "history must be a duration"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(choice: ef.Choice, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        parse_history(choice, place="model late")

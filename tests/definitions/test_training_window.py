"""The argument history as a value."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from everfit.core.errors import DefinitionError
from everfit.definitions.training_window import TrainingWindow, parse_training_window


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

"""A training window that leaves too few labels is refused; a young project is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.acceptance.shop import DEFINITIONS, make_project, orders
from tests.training.world import START, make_model

import everfit as ef
from everfit.commands.validate import check, check_history
from everfit.core.records import Problem
from everfit.design.labels import describe_history
from everfit.features.history import build_frame
from everfit.store.reader import Reader
from everfit.wiring import open_system

READER = Reader(Path(), {})


def problems(history: str | int, *, hours: int) -> list[Problem]:
    """Six events an hour, each labelled an hour later, checked at an instant."""
    model, as_of = make_model(history=history), START + timedelta(hours=hours)
    return check_history(model, build_frame(model, READER, as_of=as_of), READER, as_of=as_of)


def test_the_window_and_a_sufficient_one_are_named() -> None:
    (problem,) = problems("24h", hours=72)
    assert (problem.severity, problem.place) == ("error", "model late, history")
    assert problem.rule.startswith("the training window must hold 200 labelled rows or more")
    assert problem.value == "139 of 427 in the last 1d, from 2026-01-03 00:00 UTC on"
    assert problem.remedy == "Write history='2d' or longer, or leave it out."


@pytest.mark.parametrize(("history", "hours"), [("36h", 72), ("2d", 72), (200, 72), ("5d", 20), (500, 20)])
def test_a_window_that_is_not_the_cause_is_not_refused(history: str | int, hours: int) -> None:
    assert problems(history, hours=hours) == []


def test_a_choice_is_named_with_its_windows() -> None:
    model = make_model(history=ef.Choice("all", "2d"))
    frame = build_frame(model, READER, as_of=START + timedelta(hours=90))
    assert describe_history(model, frame) == (
        "late is trained on all history or the last 2d: each training chooses by evidence."
    )


def test_check_names_the_window(tmp_path: Path) -> None:
    definitions = DEFINITIONS.replace('    slices=["shop"],\n', '    history="2d",\n')
    root = make_project(tmp_path, definitions=definitions, data=orders(450))
    found = check(open_system(root), as_of=datetime(2026, 1, 4, tzinfo=UTC))
    assert found.passed, found.problems
    assert found.windows == ("late is trained on the last 2d: 285 labelled events, from 2026-01-02 00:00 UTC on.",)

"""Processes are killed at each step of a release: it is completed or cleanly refused, and never half active.

The number of lives is that of ``EVERFIT_TEST_RELEASE_KILLS``; see CONTRIBUTING.md.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.loop.release_lives import PUSHES, Kill, Life, assert_whole, make_project

LIVES = int(os.environ.get("EVERFIT_TEST_RELEASE_KILLS", "2"))
_STRIDE = 29
"""So that few lives are of different kinds."""


def _at(push: str, *points: str, target: str = "self", release: str = "") -> Iterator[tuple[str, Kill]]:
    """Yield a life for each point, with its number if it is not the first, and the seconds after it."""
    for text in points:
        point, _, seconds = text.partition(" + ")
        point, _, nth = point.partition(" × ")
        yield push, Kill(point, target, float(seconds or 0), int(nth or 1), release=release)


_WHEN = (("before", "self"), ("after", "self"), ("after", "all"))

TABLE: tuple[tuple[str, Kill], ...] = (
    # The controller, in the order of what it does.
    *_at("better", "before fetch", "after fetch", "after ask", "before seen", "before start release/1/0"),
    *_at("better", "after start release/1/0", "after begin", "after step tree", "after tree-write", "after tree-seal"),
    *_at("better", "after tree", "before end tree", "after end tree", "after step environment", "before child export"),
    *_at("better", "before child venv", "before child sync", "after install", "before child compileall", "before seal"),
    *_at("better", "after seal", "before end environment", "before child release-trial", "after step check + 2"),
    *_at("better", "before end check", "after step tests + 1", "before end tests", "after end data"),
    *_at("better", "after step training + 2", "before end training", "before copy"),
    *_at("better", "before child release-trial × 2", "before child release-trial × 3"),
    *_at("better", "before end features", "after step activate", "before end activate", "before document 1"),
    *_at("better", "before sync 1", "before activate", "after activate", "before audit release", "after audit release"),
    *_at("better", "before document active", "before sync active", "after sync active", "after document active"),
    *_at("better", "after lead"),
    *_at("better", "before first", "after first", "after engine", release="1"),
    # All of it, as in a power cut.
    *_at(
        "better", "after begin", "after tree-write", "before child sync", "before child release-trial + 2", target="all"
    ),
    *_at("better", "before activate", "after activate", "after sync active", "after document active", target="all"),
    *_at("better", "before first", "after engine", target="all", release="1"),
    # The supervisor alone: the others end by themselves.
    *_at("better", "after step training + 1", "after activate", "after document active", target="parent"),
    # The supervisor, when a controller has started in the new release, or could not.
    *(("better", Kill(f"{when} prove", target, nth=2, process="up")) for when, target in _WHEN),
    *(("start", Kill(f"{when} give-back", target, nth=3, process="up")) for when, target in _WHEN),
    *_at("start", "before take-back", "after take-back", "after audit take_back_release"),
    # Children.
    *_at("better", "before git fetch", "before git read-tree", "before git checkout-index", target="git"),
    *_at("better", "before child export", "before child venv", "before child sync", target="below 1"),
    *_at("better", "before child compileall", "before child environment_check.py", target="below 1"),
    *_at("better", "after step check + 2", "after step tests + 2", "after step training + 2", target="below 1"),
    *_at("better", "before child release-trial × 2 + 1", "before child release-trial × 3 + 1", target="below 1"),
    *_at("better", "after step check + 1", "after step training + 1", target="below 2"),
    *_at("better", "after step tests + 1", target="below 3"),
    # Commits that are refused.
    *_at("link", "after step tree", "before end tree", "after end tree"),
    *_at("link", "after end tree", target="all"),
    *_at("digest", "before end environment", "after end environment"),
    *_at("digest", "before child export", target="below 1"),
    *_at("syntax", "after step check + 1", "before end check", "after end check"),
    *_at("syntax", "after end check", target="all"),
    *_at("test", "after step tests + 1", "before end tests", "after end tests"),
    *_at("test", "after step tests + 2", target="below 1"),
    *_at("leak", "before end data", "after end data"),
    *_at("trainer", "after step training + 1", "before end training", "after end training"),
    *_at("trainer", "after step training + 1", target="all"),
    # The first version of the new code, whose features are another generation in the online store.
    *_at("new features", "before describe × 3"),
    *_at("new features", "before choose", "after choose", "before rows", "before generations", release="1"),
    *_at("new features", "before child make-candidate + 2", release="1", target="below 1"),
    *_at("new features", "before child materialize-version", release="1"),
    *_at("new features", "before child materialize-version", release="1", target="below 1"),
    *_at("new features", "after choose", "after deploy", release="1", target="all"),
)
"""A push and a kill for each of the first lives."""


def plan(number: int) -> tuple[str, tuple[Kill, ...]]:
    """Return the push of a life and its kills: one of the table, or once all of it was lived, two."""
    if number < len(TABLE):
        push, kill = TABLE[number * _STRIDE % len(TABLE)]
        return push, (kill,)
    random = np.random.default_rng(number)
    push, first = TABLE[random.integers(len(TABLE))]
    others = [kill for other, kill in TABLE if other == push and kill != first]
    return push, (first, others[random.integers(len(others))])


def test_every_kill_of_the_table_has_a_life() -> None:
    lives = [plan(number) for number in range(len(TABLE))]
    assert sorted((push, str(kill)) for push, (kill,) in lives) == sorted((push, str(kill)) for push, kill in TABLE)
    assert {push for push, _ in lives} == set(PUSHES)
    assert all(len(kills) == 2 for _, kills in map(plan, range(len(TABLE), len(TABLE) + 50)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("kills") / "made")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(LIVES))
def test_a_release_is_whole_whatever_is_killed(
    made: Path, tmp_path: Path, number: int, record_property: Callable[[str, object], None]
) -> None:
    push, kills = plan(number)
    life = Life(Path(shutil.copytree(made, tmp_path / "life", symlinks=True)), PUSHES[push], kills)
    life.live()
    assert_whole(life)
    assert len(kills) > 1 or not life.left, "the point was not reached"
    record_property("released", life.seconds)
    record_property("killed", [f"{push}: {kill}" for kill in life.done])
    record_property("answered", len(life.callers.answered))
    record_property("unanswered", life.unanswered)
    # Fifty copies would fill the disk.
    life.delete()

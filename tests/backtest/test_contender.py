from __future__ import annotations

from datetime import timedelta

import pytest

import everfit as ef
from everfit.backtest.contender import DEFAULT, parse_contender, parse_contenders
from everfit.core.errors import DefinitionError, MisuseError
from everfit.definitions.trigger import Every


def model() -> ef.Model:
    source = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
    made = ef.Model(
        "late",
        task="binary",
        events=ef.Events(source, id="order_id"),
        request=["distance_km"],
        features=["distance_km"],
        label=ef.Label("late", known_at="delivered_at"),
        history="60d",
    )
    made.retrain_when(ef.NewData(rows=500), cooldown="3d", budget=4, least_labels=50)
    return made


def test_every_default_is_a_policy() -> None:
    assert tuple(contender.name for contender in parse_contenders(", ".join(DEFAULT))) == DEFAULT


@pytest.mark.parametrize(
    ("text", "kind", "period", "window"),
    [
        ("project", "loop", "", ""),
        (" Drop ", "loop", "", ""),
        ("every 2w", "loop", "2w", ""),
        ("refit 7d / 120d", "refit", "7d", "120d"),
        ("refit 7d/5000", "refit", "7d", "5000"),
        ("project/all", "loop", "", "all"),
        ("refit 7d/all|60d", "refit", "7d", "all|60d"),
        ("never", "never", "", ""),
    ],
)
def test_a_policy_is_read(text: str, kind: str, period: str, window: str) -> None:
    contender = parse_contender(text)
    assert (contender.kind, contender.period, contender.window) == (kind, period, window)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sometimes",
        "refit",
        "every",
        "never 3d",
        "project 3d",
        "refit soon",
        "refit 7d/3",
        "never/30d",
        "drop/all|x",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises((MisuseError, DefinitionError), match=r"policy|period|window|duration"):
        parse_contenders(text)


def test_a_misspelt_policy_has_a_suggestion() -> None:
    with pytest.raises(MisuseError, match="Did you mean 'project'"):
        parse_contender("projekt")


def test_the_limits_of_the_model_hold_for_every_policy() -> None:
    own = model()
    policy = parse_contender("every 5d").policy(own)
    assert isinstance(policy.trigger, Every)
    assert (policy.cooldown, policy.budget, policy.least_labels) == ("3d", 4, 50)
    assert parse_contender("project").policy(own) == own.policy
    assert list(parse_contender("never").policy(own).trigger.leaves) == []


def test_a_window_changes_a_copy_of_the_model() -> None:
    own = model()
    varied = parse_contender("refit 7d/all").definition(own)
    assert varied.history is None
    assert own.history is not None
    assert own.history.span == timedelta(days=60)
    chosen = parse_contender("refit 7d/all | 60d|14d").definition(own)
    assert chosen.history_text == "all history, the last 60d or the last 14d"

"""Policies that a backtest compares, by name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from msgspec import Struct

from everfit.core.duration import parse_duration
from everfit.core.errors import MisuseError
from everfit.core.suggestion import did_you_mean
from everfit.definitions.model import Model
from everfit.definitions.policy import Policy
from everfit.definitions.space import Choice
from everfit.definitions.training_window import TrainingWindow, parse_history
from everfit.definitions.trigger import AnyOf, Every, StaleModel, Trigger
from everfit.definitions.watch import PerformanceDrop

Kind = Literal["loop", "refit", "never"]
"""``loop``: a policy with its gates and its rollouts; ``refit``: a schedule that fits and replaces, as a cron job does;
``never``: the first version stays."""

DEFAULT = ("project", "never", "drop", "refit 7d", "refit 14d", "refit 30d")
"""The policies that are compared where none are named."""
_NAMES: Mapping[str, str] = {
    "project": "the model's own policy",
    "never": "the first version stays",
    "drop": "retrain when the performance drops",
    "every": "retrain after a period, with gates and rollout: 'every 30d'",
    "stale": "retrain when the champion is older than a period, with gates and rollout: 'stale 30d'",
    "refit": "fit on everything after a period and replace the model, without gates: 'refit 30d'",
}


class Contender(Struct, frozen=True, kw_only=True):
    """One policy, with the training window that it is combined with."""

    name: str
    """As it was asked for, such as ``refit 30d/120d``."""
    kind: Kind
    word: str
    period: str = ""
    """Of a schedule."""
    window: str = ""
    """The training window; empty for the model's own."""

    @property
    def length(self) -> timedelta:
        """The period as a duration."""
        return parse_duration(self.period)

    def policy(self, model: Model) -> Policy:
        """Return the retraining policy of the loop, with the limits of the model's own."""
        own = model.policy
        triggers: Mapping[str, Trigger] = {"drop": PerformanceDrop(), "project": own.trigger}
        if self.word in {"every", "stale"}:
            trigger: Trigger = Every(self.period) if self.word == "every" else StaleModel(self.period)
        else:
            trigger = triggers.get(self.word, AnyOf(()))
        return Policy(
            trigger=trigger,
            cooldown=own.cooldown,
            budget=own.budget,
            per=own.per,
            least_labels=own.least_labels,
            back_off=own.back_off,
        )

    def definition(self, model: Model) -> Model:
        """Return the model with this contender's training window."""
        if not self.window:
            return model
        varied = copy.copy(model)
        varied.histories = _histories(self.window, place=f"policy {self.name}")
        return varied


def parse_contender(text: str) -> Contender:
    """Return the policy of a name such as ``project``, ``every 30d`` or ``refit 7d/120d``.

    After a slash stands a training window: a duration, a number of labelled rows, or ``all``; or several to choose from
    at each training, with ``|`` between them.

    >>> parse_contender("refit 7d/120d").window
    '120d'

    Raises:
        MisuseError: If there is no such policy, or it has no period where it needs one.
        DefinitionError: If a period or a window is not valid.
    """
    named, _, window = text.strip().partition("/")
    word, _, period = named.strip().partition(" ")
    word, period, window = word.lower(), period.strip(), window.strip()
    if word not in _NAMES:
        listed = "; ".join(f"{name}: {meaning}" for name, meaning in _NAMES.items())
        remedy = did_you_mean(word, tuple(_NAMES), otherwise=f"There are {listed}.")
        raise MisuseError("a policy to compare must be one that everfit knows", value=text, remedy=remedy)
    needs = word in {"every", "stale", "refit"}
    if needs != bool(period):
        rule = f"the policy {word} must {'have a period' if needs else 'stand alone'}"
        remedy = f"Write '{word} 30d'." if needs else f"Write '{word}'."
        raise MisuseError(rule, value=text, remedy=remedy)
    if needs:
        parse_duration(period, name=f"the period of {word}")
    if window and word == "never":
        raise MisuseError("a model that is never retrained has no further training window", value=text)
    if window:
        _histories(window, place=f"policy {text}")
    kind: Kind = "never" if word == "never" else "refit" if word == "refit" else "loop"
    name = f"{named.strip().lower()}/{window}" if window else named.strip().lower()
    return Contender(name=name, kind=kind, word=word, period=period, window=window)


def _histories(window: str, *, place: str) -> tuple[TrainingWindow | None, ...]:
    """Return the training windows of a policy; raises :class:`DefinitionError` if one is not valid."""
    options = [int(option) if option.isdecimal() else option for option in map(str.strip, window.split("|"))]
    return parse_history(options[0] if len(options) == 1 else Choice(options), place=place)


def parse_contenders(names: str) -> tuple[Contender, ...]:
    """Return the policies of a list that is separated by commas, each once.

    Raises :class:`MisuseError` as :func:`parse_contender`, and for an empty list.
    """
    found = dict.fromkeys(parse_contender(name) for name in names.split(",") if name.strip())
    if not found:
        raise MisuseError("a backtest needs at least one policy", value=names, remedy=f"Write {', '.join(DEFAULT)}.")
    return tuple(found)

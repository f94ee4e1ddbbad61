"""Optuna's side of tuning: the study, its search space, and the handle of a trial.

Importing Optuna takes a third of a second, which a training without tuning need not spend.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from everfit.core.records import Trial
from everfit.core.settings import TrainingSettings
from everfit.definitions.model import Model
from everfit.definitions.space import Choice, Float, Parameter
from everfit.measures.quality import Metric

_STATES = {"pruned": optuna.trial.TrialState.PRUNED, "failed": optuna.trial.TrialState.FAIL}


class OptunaHandle:
    """A :class:`everfit.training.trainer.TrialHandle` of Optuna."""

    def __init__(self, trial: optuna.trial.Trial) -> None:
        self._trial = trial

    def report(self, step: int, value: float) -> None:
        """Report the metric after a step."""
        self._trial.report(value, step)

    def should_prune(self) -> bool:
        """Return ``True`` if the trial should stop."""
        return bool(self._trial.should_prune())


def create_study(
    model: Model, metric: Metric, settings: TrainingSettings, untuned: Mapping[str, Any], warm_start: Sequence[Trial]
) -> tuple[optuna.Study, dict[str, BaseDistribution]]:
    """Return a study of the model's space that knows an earlier study's trials, and the space."""
    space = {name: _distribution(parameter) for name, parameter in model.learner.space.items()}
    study = optuna.create_study(
        direction="maximize" if metric.greater_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=settings.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )
    known = [trial for trial in warm_start if trial.value is not None and _fits(trial.params, model.learner.space)]
    known.sort(key=lambda trial: metric.loss(trial.value or 0.0))
    for trial in known:
        study.add_trial(optuna.trial.create_trial(params=trial.params, distributions=space, value=trial.value))
    study.enqueue_trial(dict(untuned))
    for trial in known[:3]:
        if trial.params != untuned:
            study.enqueue_trial(dict(trial.params))
    return study, space


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.options)
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return IntDistribution(parameter.low, parameter.high, log=parameter.log)


def tell(study: optuna.Study, trial: optuna.trial.Trial, done: Trial) -> None:
    """Report a trial's result to its study."""
    study.tell(trial, done.value, state=_STATES.get(done.state))


def _fits(params: Mapping[str, Any], space: Mapping[str, Parameter]) -> bool:
    """Return ``True`` if parameters of an earlier study are in the present space."""
    return params.keys() == space.keys() and all(
        params[name] in parameter.options
        if isinstance(parameter, Choice)
        else isinstance(params[name], int | float) and parameter.low <= params[name] <= parameter.high
        for name, parameter in space.items()
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's log line for each trial, which the progress shows already."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)

"""Tuning: search for the parameters with the best metric on the validation rows, within limits of trials and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from everfit.artifact.schema import InputSchema
from everfit.core.errors import TrainingError
from everfit.core.progress import Progress
from everfit.core.records import Trial
from everfit.core.settings import TrainingSettings
from everfit.definitions.model import Model
from everfit.measures.quality import Metric, metric_for
from everfit.training.trainer import Pruned, Rows, TrialHandle, fit, predict_rows

if TYPE_CHECKING:
    import optuna

Params = dict[str, str | int | float | bool | None]
_TASK = "tuning"


def tune(
    model: Model,
    schema: InputSchema,
    train: Rows,
    valid: Rows,
    *,
    settings: TrainingSettings,
    warm_start: Sequence[Trial],
    progress: Progress,
) -> tuple[Params, tuple[Trial, ...]]:
    """Search the model's space for the parameters with the best metric on the validation rows.

    The first trial takes every parameter's default, then come the best of ``warm_start``, then what the tree-structured
    Parzen estimator suggests (Bergstra et al. 2011), which also learns from all of ``warm_start``. A trial that raises
    counts as failed and the search goes on. With one worker the outcome depends on the seed alone, unless the time
    runs out. Trials of ``warm_start`` outside the present space are left out.

    Returns the best parameters, and all trials in order. Raises :class:`TrainingError` if every trial failed, with the
    first cause.
    """
    untuned: Params = {name: parameter.untuned for name, parameter in model.learner.space.items()}
    if settings.trials == 0 or not untuned:
        return untuned, ()
    from everfit.training import optuna_study  # with Optuna, a third of a second

    metric = _metric_on(model, valid)
    is_own = metric.name == model.metric
    with optuna_study.quiet():
        study, space = optuna_study.create_study(model, metric, settings, untuned, warm_start if is_own else ())
        search = _Search(model, schema, train, valid, metric, settings, optuna_study.OptunaHandle)
        deadline, trials = time.monotonic() + settings.seconds, search.trials
        progress.start(_TASK, total=settings.trials)
        while len(trials) < settings.trials and (not trials or time.monotonic() < deadline):
            asked = [study.ask(space) for _ in range(min(settings.workers, settings.trials - len(trials)))]
            for trial, (done, cause) in zip(asked, search.run(asked), strict=True):
                trials.append(done)
                search.first_cause = search.first_cause or cause
                optuna_study.tell(study, trial, done)
                progress.advance(_TASK, note=search.best_so_far())
        progress.finish(_TASK, note=search.best_so_far())
    # The next study begins with these trials, and must not take values of another metric for its own.
    return search.winner(), tuple(trial if is_own else replace(trial, value=None) for trial in trials)


def _metric_on(model: Model, valid: Rows) -> Metric:
    """Return the model's metric, or log loss if it is undefined on the validation rows.

    The area under the ROC curve is undefined if a class is absent; then no trial could be scored.
    """
    metric = metric_for(model.metric, model.task)
    if model.task == "regression":
        return metric
    classes = int(valid.y.max(initial=0)) + 1
    even = np.full(len(valid.y), 0.5) if model.task == "binary" else np.full((len(valid.y), classes), 1.0 / classes)
    defined = np.isfinite(metric.compute(valid.y.astype(np.float64), even, valid.weight))
    return metric if defined else metric_for("log_loss", model.task)


@dataclass
class _Search:
    """The trials so far."""

    model: Model
    schema: InputSchema
    train: Rows
    valid: Rows
    metric: Metric
    settings: TrainingSettings
    handle: Callable[[optuna.trial.Trial], TrialHandle]
    trials: list[Trial] = field(default_factory=list)
    first_cause: TrainingError | None = None

    def run(self, asked: Sequence[optuna.trial.Trial]) -> list[tuple[Trial, TrainingError | None]]:
        if len(asked) == 1:
            return [self._one(asked[0])]
        # Threads: estimators release the interpreter lock while they fit, and a trainer need not be picklable. Python's
        # and NumPy's generators are shared between threads, so that only trainers with `seed` repeat exactly.
        with ThreadPoolExecutor(len(asked)) as pool:
            return list(pool.map(self._one, asked))

    def _one(self, trial: optuna.trial.Trial) -> tuple[Trial, TrainingError | None]:
        began = time.monotonic()
        value, cause, state = None, None, "complete"
        try:
            seed, handle = self.settings.seed, self.handle(trial)
            fitted = fit(self.model, self.schema, self.train, trial.params, seed=seed, valid=self.valid, trial=handle)
            inputs = self.valid.inputs_of(fitted)
            predicted = predict_rows(fitted, inputs, rows="validation rows", model=self.model.name)
            value = self.metric.compute(self.valid.y.astype(np.float64), predicted, self.valid.weight)
            if not np.isfinite(value):
                cause, value = TrainingError(f"{self.metric.name} on the validation rows must be finite"), None
        except Pruned:
            state = "pruned"
        except TrainingError as error:
            cause = error
        done = Trial(
            number=trial.number,
            params=dict(trial.params),
            value=value,
            state="failed" if cause is not None else state,  # type: ignore[arg-type]
            duration_s=time.monotonic() - began,
        )
        return done, cause

    def best(self) -> Trial | None:
        complete = [trial for trial in self.trials if trial.value is not None]
        return min(complete, key=lambda trial: self.metric.loss(trial.value or 0.0)) if complete else None

    def best_so_far(self) -> str:
        best = self.best()
        return f"{self.metric.name} {best.value:.4f}" if best and best.value is not None else "no trial has worked yet"

    def winner(self) -> Params:
        best = self.best()
        if best is None:
            place = f"model {self.model.name}"
            pruned = TrainingError("at least one trial must finish", value="all were pruned", place=place)
            raise self.first_cause or pruned
        return best.params

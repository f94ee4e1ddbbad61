"""Definition of a model: its events, features, label, trainer, gates, retraining and rollout."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError
from everfit.core.evidence import FrameKind, LabelUse, Task
from everfit.core.printable import printable
from everfit.core.suggestion import did_you_mean
from everfit.definitions.events import Events, Label
from everfit.definitions.gate import Gate
from everfit.definitions.names import require_name
from everfit.definitions.on_demand import OnDemand
from everfit.definitions.policy import Policy
from everfit.definitions.rollout import Approval, FastWhen, RolloutPlan, Stage
from everfit.definitions.space import Choice, Float, Int, Parameter
from everfit.definitions.training_window import TrainingWindow, parse_history, parse_training_window
from everfit.definitions.trigger import AnyOf, StaleModel, Trigger
from everfit.definitions.view import FeatureView
from everfit.definitions.watch import Drift, PerformanceDrop, Watch

DEFAULT_METRIC: Mapping[Task, str] = {"binary": "log_loss", "multiclass": "log_loss", "regression": "mae"}


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """The function that fits an estimator, and its tuned arguments."""

    function: Callable[..., Any]
    space: Mapping[str, Parameter]
    frame: FrameKind = "matrix"
    """The type of ``X``."""
    categories: tuple[str, ...] = ()
    """Features with a categorical dtype in the data frame."""


class Model:
    """The definition of one model.

    Args:
        name: Name of the model in the registry and in URLs.
        task: ``binary``, ``multiclass`` or ``regression``.
        events: The events that are predicted.
        request: Columns of the events' source that a caller sends as request fields.
        features: Feature views, on-demand transformations and names of request fields, in the order of the
            estimator's inputs.
        label: The value that is predicted.
        labels: Labels that are used for training. ``known``: all that are known at the time of training; late labels
            bias the model. ``mature``: those of events so old that nearly all labels are known; the training rows are
            older. ``weighted``: all that are known, weighted by the inverse of the probability that a label of their
            class is known at their age; rare early labels increase the variance. Candidates are always scored on
            weighted labels.
        history: The part of the history that is used for training: a duration such as ``"120d"``, the events of the
            last 120 days before the training's end; or a number such as ``50_000``, the events since the oldest of the
            newest 50,000 labelled ones; or ``"all"``. Tuning, hold-out and the rows that drift is compared with come
            from within it. It limits events only: their features are computed from rows as old as they need. With
            several windows, ``Choice("all", "180d", "60d")``, each training chooses by rolling-origin validation: the
            widest, unless a shorter one is proven to be better. This choice is the default. Where the world has
            changed, it may be what came since; that is decided by evidence.
        half_life: Duration such as ``"30d"`` by which the weight of a row halves: of two rows, the one that is 30 days
            older counts half. It multiplies the weights of ``labels``; the trainer must take ``weight``. Candidates are
            scored without it. By default all rows count alike.
        holdout: The part of the history on which candidates are judged, as ``history``: a duration such as ``"14d"``,
            of 200 labelled rows or more, or a number of labelled rows. It is counted back from the newest mature label,
            and younger rows belong to it. The rows that tuning is scored on are as many before it. Both are at most the
            shares of ``[training]``. By default 14 days, longer where that is less than 500 labelled rows or less than
            100 labels other than the most frequent one.
        metric: Metric that tuning optimises and gates compare; by default ``log_loss``, or ``mae`` for a regression.
        slices: Request fields or features; metrics are also computed for each of their values.
        known_at_event: Features that predict the label almost alone though they are known at the event, such as a list
            price. Others as strong are taken for leaks.
        description: A description for readers.

    Raises:
        DefinitionError: If the arguments contradict each other.
    """

    def __init__(
        self,
        name: str,
        *,
        task: Task,
        events: Events,
        request: Sequence[str],
        features: Sequence[FeatureView | OnDemand | str],
        label: Label,
        labels: LabelUse = "known",
        history: str | int | Choice | None = None,
        half_life: str | None = None,
        holdout: str | int | None = None,
        metric: str | None = None,
        slices: Sequence[str] = (),
        known_at_event: Sequence[str] = (),
        description: str = "",
    ) -> None:
        self.name = require_name(name, of="a model")
        if task not in get_args(Task):
            raise self._wrong("task must be one of binary, multiclass and regression", task)
        self.task: Task = task
        self.events, self.label = events, label
        self.request, self.features, self.slices = tuple(request), tuple(features), tuple(slices)
        self.known_at_event = tuple(known_at_event)
        if labels not in get_args(LabelUse):
            raise self._wrong("labels must be known, mature or weighted", labels)
        self.labels: LabelUse = labels
        self.histories = parse_history(history, place=f"model {name}")
        self.half_life = self._parse_half_life(half_life)
        default = "judge on 14 days, or longer where labels are few"
        self.holdout = parse_training_window(holdout, name="holdout", default=default, place=f"model {name}")
        self.metric = metric or DEFAULT_METRIC[task]
        self.description = description
        self.gates: tuple[Gate, ...] = ()
        # A new version is observed for a week, and its own labels are not known before.
        self.policy = Policy(trigger=PerformanceDrop() | StaleModel("30d"), cooldown="7d")
        self.rollout_plan = RolloutPlan()
        self._watches: tuple[Watch, ...] | None = None
        self._watched_by_policy: tuple[Watch, ...] = ()
        self._trainer: Trainer | None = None
        self._check()

    @property
    def history(self) -> TrainingWindow | None:
        """Return the widest training window; ``None`` for all history."""
        return self.histories[0]

    @property
    def history_text(self) -> str:
        """Return the training windows in words: empty for all history, several where they are a choice."""
        if len(self.histories) == 1:
            return "" if self.history is None else str(self.history)
        *others, last = ("all history" if window is None else str(window) for window in self.histories)
        return f"{', '.join(others)} or {last}"

    @property
    def views(self) -> tuple[FeatureView, ...]:
        """Return the feature views among the features."""
        return tuple(part for part in self.features if isinstance(part, FeatureView))

    @property
    def on_demand(self) -> tuple[OnDemand, ...]:
        """Return the on-demand transformations among the features."""
        return tuple(part for part in self.features if isinstance(part, OnDemand))

    def trainer(
        self, *, frame: FrameKind = "matrix", categories: Sequence[str] = (), **space: Parameter
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register the decorated function as the model's trainer.

        The function is called with ``X``, float64 of shape ``(rows, features)`` with missing values as NaN and
        categories as codes, ``y`` of shape ``(rows,)``, and one argument for each parameter of ``space``. It returns
        an object with ``predict``, and with ``predict_proba`` for classification. Further arguments are listed in
        :mod:`everfit.training.trainer`.

        Args:
            frame: Type of ``X``: a ``matrix``, or a ``pandas`` or ``polars`` data frame with the features' names and
                dtypes. The service builds the same data frame for each request, which takes about a millisecond; a
                matrix takes microseconds.
            categories: Text or integer features with a categorical dtype in the data frame; its categories are those
                of the training rows. Other text stays text.
            **space: Tuned parameters by argument name: ``Float``, ``Int`` or ``Choice``.

        Raises:
            DefinitionError: If an argument is not valid, or the model has a trainer already.
        """
        if frame not in get_args(FrameKind):
            remedy = "A tuned parameter must not have the name frame or categories."
            raise self._wrong("frame must be matrix, pandas or polars", frame, remedy)
        if isinstance(categories, str) or not all(isinstance(name, str) for name in categories):
            raise self._wrong("categories must be a list of names of features", categories)
        if categories and frame == "matrix":
            remedy = "Add frame='pandas' or frame='polars'; in a matrix, all text is codes of categories."
            raise self._wrong("categories may be given for a data frame only", tuple(categories), remedy)
        for argument, parameter in space.items():
            if not isinstance(parameter, Float | Int | Choice):
                raise self._wrong(f"the parameter {argument} must be Float, Int or Choice", parameter)

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            if self._trainer is not None:
                raise self._wrong("a model must have one trainer", self._trainer.function.__name__)
            weighted_by = "labels='weighted'" if self.labels == "weighted" else "half_life"
            if (self.labels == "weighted" or self.half_life) and not _takes_weight(function):
                remedy = "Add the argument weight and use it: .fit(X, y, sample_weight=weight)."
                rule = f"with {weighted_by}, the trainer must have the argument weight"
                raise self._wrong(rule, function.__name__, remedy)
            self._trainer = Trainer(function=function, space=dict(space), frame=frame, categories=tuple(categories))
            return function

        return register

    @property
    def learner(self) -> Trainer:
        """Return the trainer. Raises :class:`DefinitionError` if there is none."""
        if self._trainer is None:
            raise self._wrong("a model needs a trainer", None, f"Decorate a function with @{self.name}.trainer().")
        return self._trainer

    @property
    def frame(self) -> FrameKind:
        """Return the type of ``X`` in the trainer; a matrix without a trainer."""
        return "matrix" if self._trainer is None else self._trainer.frame

    @property
    def categories(self) -> tuple[str, ...]:
        """Return the features with a categorical dtype in the trainer's data frame."""
        return () if self._trainer is None else self._trainer.categories

    def ship_when(self, *gates: Gate) -> None:
        """Set the gates that a candidate must pass, in addition to those of every candidate.

        Args:
            *gates: Gates such as :class:`everfit.BeatsChampion`, or functions decorated with :func:`everfit.gate`.

        Raises:
            DefinitionError: If one is not a gate.
        """
        for gate in gates:
            if not isinstance(gate, Gate):
                raise self._wrong(
                    "the arguments of ship_when must be gates", gate, "Decorate yours with @everfit.gate."
                )
        self.gates = gates

    @property
    def watches(self) -> tuple[Watch, ...]:
        """Return the monitors of :meth:`watch_for` and of :meth:`retrain_when`."""
        named = (PerformanceDrop(), Drift()) if self._watches is None else self._watches
        kinds = {type(watch) for watch in self._watched_by_policy}
        return (*(watch for watch in named if type(watch) not in kinds), *self._watched_by_policy)

    def watch_for(self, *watches: Watch) -> None:
        """Set the monitors of the served versions; by default ``PerformanceDrop()`` and ``Drift()``.

        Args:
            *watches: :class:`everfit.PerformanceDrop` and :class:`everfit.Drift`, each once at most.

        Raises:
            DefinitionError: If an argument is another object, or a kind is given twice.
        """
        for watch in watches:
            if not isinstance(watch, PerformanceDrop | Drift):
                raise self._wrong("the arguments of watch_for must be PerformanceDrop or Drift", watch)
        if len({type(watch) for watch in watches}) < len(watches):
            raise self._wrong("watch_for must have each kind once at most", watches)
        self._require_one_of_a_kind((*watches, *self._watched_by_policy))
        self._watches = watches

    def retrain_when(
        self,
        *triggers: Trigger,
        cooldown: str = Policy.cooldown,
        budget: int | None = Policy.budget,
        per: str = Policy.per,
        least_labels: int = Policy.least_labels,
        back_off: str = Policy.back_off,
    ) -> None:
        """Set the conditions for retraining; without a trigger, the model is never retrained by itself.

        The default is ``PerformanceDrop() | StaleModel("30d")`` with a cool-down of 7 days. A
        :class:`everfit.PerformanceDrop` or :class:`everfit.Drift` among the triggers is also a monitor, with the
        arguments given here.

        Args:
            *triggers: Triggers, combined with *or*; combine with ``&`` for *and*.
            cooldown: Duration after a training order in which no other is given. One that was in vain is repeated
                before, once the labels since the begin of the same incident have doubled.
            budget: Largest number of training orders in any period of length ``per``; ``None``: no limit.
            per: Period of the budget, a duration.
            least_labels: Number of known labels that the events' source must have, of events later than the champion's
                training rows; a new release does not wait for them.
            back_off: Longest cool-down: it doubles with every training in a row that did not improve the model.

        Raises:
            DefinitionError: If a limit is out of range, or a kind of monitor has different arguments.
        """
        for trigger in triggers:
            if not isinstance(trigger, Trigger):
                raise self._wrong("the arguments of retrain_when must be triggers such as everfit.Every", trigger)
        trigger = AnyOf(triggers)
        policy = Policy(
            trigger=trigger, cooldown=cooldown, budget=budget, per=per, least_labels=least_labels, back_off=back_off
        )
        watched = tuple(leaf for leaf in dict.fromkeys(trigger.leaves) if isinstance(leaf, PerformanceDrop | Drift))
        self._require_one_of_a_kind((*(self._watches or ()), *watched))
        self.policy, self._watched_by_policy = policy, watched

    def roll_out(
        self,
        *stages: Stage,
        watch: str = RolloutPlan.watch,
        approval: Approval = RolloutPlan.approval,
        alpha: float = RolloutPlan.alpha,
        p99_ms: float | None = RolloutPlan.p99_ms,
        fast_when: FastWhen = RolloutPlan.fast_when,
    ) -> None:
        """Set the rollout of versions that pass their gates; by default ``Shadow(200)``, ``Canary(0.1, 200)`` and
        ``Canary(0.5, 200)``.

        Args:
            *stages: :class:`everfit.Shadow` and :class:`everfit.Canary`, one or more, in order.
            watch: Duration after the promotion in which the previous champion runs as shadow; a version that is shown
                to be worse is rolled back.
            approval: ``none``, or ``required``: a person must approve the rollout before its first stage.
            alpha: Largest probability, over the whole rollout, that a version which is not worse is rolled back.
            p99_ms: Longest latency of 99 % of the version's rows, in milliseconds; without it, the latency is only
                compared with the champion's.
            fast_when: Condition under which the stages that are left are skipped: ``champion is worse``: outcomes
                prove the version better, while an incident says that the champion has become worse; ``proven better``:
                also without an incident; ``never``.

        Raises:
            DefinitionError: If there is no stage, or an argument is out of range.
        """
        self.rollout_plan = RolloutPlan(
            stages=stages, watch=watch, approval=approval, alpha=alpha, p99_ms=p99_ms, fast_when=fast_when
        )

    def _require_one_of_a_kind(self, watches: Sequence[Watch]) -> None:
        """Refuse two monitors of a kind with different arguments, so that alarms and retraining agree."""
        if len({type(watch) for watch in watches}) < len(set(watches)):
            remedy = "Give it in retrain_when only: its triggers are monitored as well."
            raise self._wrong("a kind of monitor must have the same arguments everywhere", tuple(watches), remedy)

    def _parse_half_life(self, half_life: str | None) -> timedelta | None:
        try:
            return None if half_life is None else parse_duration(half_life, name="half_life")
        except DefinitionError as error:
            rule, remedy = "half_life must be a duration such as '30d'", "Leave it out to weight all rows alike."
            raise self._wrong(rule, half_life, remedy) from error

    def _check(self) -> None:
        if not self.features:
            raise self._wrong("a model needs at least one feature", None)
        if self.label.positive is not None and self.task != "binary":
            remedy = "Leave positive out, or use task='binary'."
            raise self._wrong("only a binary label has a positive class", self.label.positive, remedy)
        names = [part if isinstance(part, str) else part.name for part in self.features]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise self._wrong("features must not be named twice", doubles)
        parts = {part.name for part in self.features if not isinstance(part, str)}
        for field in self.request:
            # Requests are JSON objects with these keys; msgspec decodes no key that JSON must escape.
            if printable(field) != field or {'"', "\\"} & set(field):
                rule = "a request field must not hold '\"', a backslash or control characters"
                remedy = "Rename the column where the source is written, or in a source function."
                raise self._wrong(rule, field, remedy)
            part, dot, _ = field.partition(".")
            if dot and part in parts:
                remedy = f"Rename the column {field}, or the view or transformation {part}."
                raise self._wrong(f"a request field must not have the name of a feature of {part}", field, remedy)
        for name in names:
            if name not in parts and name not in self.request:
                remedy = did_you_mean(name, self.request, otherwise=f"Add {name!r} to request.")
                raise self._wrong("a feature given by name must be a request field", name, remedy)
        for view in self.views:
            for key in view.keys:
                if key not in self.request:
                    remedy = f"Add {key!r} to request; {view.name} is looked up by it."
                    raise self._wrong("the keys of every view must be request fields", key, remedy)

    def _wrong(self, rule: str, value: object, remedy: str = "") -> DefinitionError:
        return DefinitionError(rule, value=value, remedy=remedy, place=f"model {self.name}")


def _takes_weight(function: Callable[..., Any]) -> bool:
    return "weight" in inspect.signature(function).parameters

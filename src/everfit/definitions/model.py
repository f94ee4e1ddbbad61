"""What is predicted, from what, how it is learnt and when it may ship."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from everfit.core.errors import DefinitionError
from everfit.core.evidence import FrameKind, LabelUse, Task
from everfit.core.printable import printable
from everfit.core.suggestion import did_you_mean
from everfit.definitions.events import Events, Label
from everfit.definitions.gate import Gate
from everfit.definitions.names import require_name
from everfit.definitions.on_demand import OnDemand
from everfit.definitions.policy import Policy
from everfit.definitions.rollout import Approval, RolloutPlan, Stage
from everfit.definitions.space import Choice, Float, Int, Parameter
from everfit.definitions.trigger import AnyOf, StaleModel, Trigger
from everfit.definitions.view import FeatureView
from everfit.definitions.watch import Drift, PerformanceDrop, Watch

DEFAULT_METRIC: Mapping[Task, str] = {"binary": "log_loss", "multiclass": "log_loss", "regression": "mae"}


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """The function that fits an estimator, and what tuning may vary of its arguments."""

    function: Callable[..., Any]
    space: Mapping[str, Parameter]
    frame: FrameKind = "matrix"
    """The type of ``X``."""
    categories: tuple[str, ...] = ()
    """Features that a data frame holds with a categorical dtype."""


class Model:
    """The definition of one model.

    Args:
        name: Its name in the registry and in URLs.
        task: ``binary``, ``multiclass`` or ``regression``.
        events: The moments at which a prediction is asked.
        request: The columns of the events' source that a caller sends.
        features: Views, on-demand transformations and names of request fields, in the order the estimator sees them.
        label: The answer and when it was known.
        labels: Which labels are learnt from: every one ``known`` by then; those of events so old that hardly one is
            missing (``mature``); or every one, ``weighted`` by how seldom those of its class are known at its age. Late
            labels bias the first, age weakens the second, and rare early labels the third: a backtest tells which is
            least. Whatever is chosen, candidates are judged by weighted labels.
        metric: What tuning optimises and gates compare; by default log loss, or the mean absolute error.
        slices: Request fields or features by whose values metrics are broken down.
        description: A line for readers.

    Raises:
        DefinitionError: If the parts do not fit together.
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
        metric: str | None = None,
        slices: Sequence[str] = (),
        description: str = "",
    ) -> None:
        self.name = require_name(name, of="a model")
        if task not in get_args(Task):
            raise self._wrong("task must be one of binary, multiclass and regression", task)
        self.task: Task = task
        self.events = events
        self.request = tuple(request)
        self.features = tuple(features)
        self.label = label
        if labels not in get_args(LabelUse):
            raise self._wrong("labels must be known, mature or weighted", labels)
        self.labels: LabelUse = labels
        self.metric = metric or DEFAULT_METRIC[task]
        self.slices = tuple(slices)
        self.description = description
        self.gates: tuple[Gate, ...] = ()
        # A newcomer is watched for a week, so that nothing is learnt from it sooner.
        self.policy = Policy(trigger=PerformanceDrop() | StaleModel("30d"), cooldown="7d")
        self.rollout_plan = RolloutPlan()
        self._watches: tuple[Watch, ...] | None = None
        self._watched_by_policy: tuple[Watch, ...] = ()
        self._trainer: Trainer | None = None
        self._check()

    @property
    def views(self) -> tuple[FeatureView, ...]:
        """The feature views among the features."""
        return tuple(part for part in self.features if isinstance(part, FeatureView))

    @property
    def on_demand(self) -> tuple[OnDemand, ...]:
        """The on-demand transformations among the features."""
        return tuple(part for part in self.features if isinstance(part, OnDemand))

    def trainer(
        self, *, frame: FrameKind = "matrix", categories: Sequence[str] = (), **space: Parameter
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register the function that fits an estimator.

        The function is called with ``X``, float64 of shape ``(rows, features)`` with missing values as NaN and
        categories as codes, ``y`` of shape ``(rows,)``, and one argument for each parameter of ``space``. It returns
        anything with ``predict``, and ``predict_proba`` for classification. What else it may ask for by name is listed
        in :mod:`everfit.training.trainer`.

        Args:
            frame: The type of ``X``: a ``matrix``, or a ``pandas`` or ``polars`` data frame with the features' names
                and dtypes. The estimator is served through the same data frame, which costs about a millisecond a
                request where a matrix costs microseconds.
            categories: Text or integer features that the data frame holds with a categorical dtype, whose categories
                are those of the training rows; other text stays text.
            **space: What tuning may vary, by argument name.

        Raises:
            DefinitionError: If an argument is out of range.
        """
        if frame not in get_args(FrameKind):
            remedy = "A tuned parameter must not be called frame or categories."
            raise self._wrong("frame must be matrix, pandas or polars", frame, remedy)
        if isinstance(categories, str) or not all(isinstance(name, str) for name in categories):
            raise self._wrong("categories must be a list of features' names", categories)
        if categories and frame == "matrix":
            remedy = "Add frame='pandas' or frame='polars'; a matrix holds all text as codes of categories."
            raise self._wrong("categories belong to a data frame", tuple(categories), remedy)
        for argument, parameter in space.items():
            if not isinstance(parameter, Float | Int | Choice):
                raise self._wrong(f"the parameter {argument} must be Float, Int or Choice", parameter)

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            if self._trainer is not None:
                raise self._wrong("a model has one trainer", self._trainer.function.__name__)
            if self.labels == "weighted" and "weight" not in inspect.signature(function).parameters:
                remedy = "Add the argument weight and pass it on: .fit(X, y, sample_weight=weight)."
                raise self._wrong("with labels='weighted', the trainer must take weight", function.__name__, remedy)
            self._trainer = Trainer(function=function, space=dict(space), frame=frame, categories=tuple(categories))
            return function

        return register

    @property
    def learner(self) -> Trainer:
        """The trainer.

        Raises:
            DefinitionError: If none was registered.
        """
        if self._trainer is None:
            raise self._wrong("a model needs a trainer", None, f"Decorate a function with @{self.name}.trainer().")
        return self._trainer

    @property
    def frame(self) -> FrameKind:
        """The type of ``X`` in the trainer; a matrix while there is no trainer."""
        return "matrix" if self._trainer is None else self._trainer.frame

    @property
    def categories(self) -> tuple[str, ...]:
        """The features that the trainer's data frame holds with a categorical dtype."""
        return () if self._trainer is None else self._trainer.categories

    def ship_when(self, *gates: Gate) -> None:
        """Say which gates a candidate must pass, beside those that every candidate must pass.

        Args:
            *gates: Gates such as :class:`everfit.BeatsChampion`, or functions decorated with :func:`everfit.gate`.
        """
        for candidate in gates:
            if not isinstance(candidate, Gate):
                raise self._wrong("ship_when takes gates", candidate, "Decorate your own with @everfit.gate.")
        self.gates = gates

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What is watched once it serves: what :meth:`watch_for` named, and what :meth:`retrain_when` waits for."""
        named = (PerformanceDrop(), Drift()) if self._watches is None else self._watches
        kinds = {type(each) for each in self._watched_by_policy}
        return (*(each for each in named if type(each) not in kinds), *self._watched_by_policy)

    def watch_for(self, *watches: Watch) -> None:
        """Say what is watched once it serves; by default a drop of performance, and drift.

        Args:
            *watches: :class:`everfit.PerformanceDrop` and :class:`everfit.Drift`, each once at most.
        """
        for watch in watches:
            if not isinstance(watch, PerformanceDrop | Drift):
                raise self._wrong("watch_for takes PerformanceDrop and Drift", watch)
        if len({type(watch) for watch in watches}) < len(watches):
            raise self._wrong("watch_for takes each kind once", watches)
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
        """Say when it is trained anew; without triggers, never by itself.

        By default it is when its performance dropped or it was trained 30 days ago, but at most once in 7 days.

        A :class:`everfit.PerformanceDrop` or :class:`everfit.Drift` among the triggers is watched as it is given here.

        Args:
            *triggers: Each is reason enough; combine with ``&`` what must hold together.
            cooldown: As for :class:`everfit.definitions.policy.Policy`, like all that follow.
            budget: At most so many orders ...
            per: ... in any such period.
            least_labels: The events' source must have at least so many known labels of events later than those that the
                champion was trained on; a new release does not wait for them.
            back_off: The longest wait after trainings in a row that brought nothing.

        Raises:
            DefinitionError: If a limit is out of range, or what is watched is said twice and differently.
        """
        for trigger in triggers:
            if not isinstance(trigger, Trigger):
                raise self._wrong("retrain_when takes triggers such as everfit.Every", trigger)
        policy = Policy(
            trigger=AnyOf(triggers), cooldown=cooldown, budget=budget, per=per, least_labels=least_labels,
            back_off=back_off,
        )  # fmt: skip
        leaves = dict.fromkeys(policy.trigger.leaves)
        watched = tuple(each for each in leaves if isinstance(each, PerformanceDrop | Drift))
        self._require_one_of_a_kind((*(self._watches or ()), *watched))
        self.policy, self._watched_by_policy = policy, watched

    def roll_out(
        self,
        *stages: Stage,
        watch: str = RolloutPlan.watch,
        approval: Approval = RolloutPlan.approval,
        alpha: float = RolloutPlan.alpha,
        p99_ms: float | None = RolloutPlan.p99_ms,
    ) -> None:
        """Say how a version that passed its gates takes the champion's place; by default as :class:`RolloutPlan` does.

        Args:
            *stages: :class:`everfit.Shadow` and :class:`everfit.Canary`, one after the other; at least one.
            watch: As for :class:`everfit.definitions.rollout.RolloutPlan`, like all that follow.
            approval: Whether a person must say yes first.
            alpha: The chance that a version which is no worse is taken back for being worse.
            p99_ms: The longest that 99 % of its answers may take.

        Raises:
            DefinitionError: If there is no stage, or an argument is out of range.
        """
        self.rollout_plan = RolloutPlan(stages=stages, watch=watch, approval=approval, alpha=alpha, p99_ms=p99_ms)

    def _require_one_of_a_kind(self, watches: Sequence[Watch]) -> None:
        """One look has one opinion of what counts as a drop, so that alarms and retraining agree."""
        different = set(watches)
        if len({type(each) for each in different}) < len(different):
            remedy = "Name it in retrain_when only: what retraining waits for is watched as well."
            raise self._wrong("what is watched must be said once", tuple(watches), remedy)

    def _check(self) -> None:
        if not self.features:
            raise self._wrong("a model needs at least one feature", None)
        if self.label.positive is not None and self.task != "binary":
            remedy = "Leave positive out, or use task='binary'."
            raise self._wrong("only a binary label has a positive class", self.label.positive, remedy)
        names = [part if isinstance(part, str) else part.name for part in self.features]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise self._wrong("features must not be named twice", doubles)
        for field in self.request:
            # Requests are JSON objects with these keys, decoded by msgspec, which takes no name that JSON must escape.
            if printable(field) != field or {'"', "\\"} & set(field):
                remedy = "Rename the column where the source is written, or in a source function."
                raise self._wrong(
                    "a request field must not hold '\"', a backslash or control characters", field, remedy
                )
        parts = {part.name for part in self.features if not isinstance(part, str)}
        for name in self.request:
            part_name = name.partition(".")[0]
            if "." in name and part_name in parts:
                remedy = f"Rename the column {name}, or the view or transformation {part_name}."
                raise self._wrong(f"a request field must not be called as a feature of {part_name}", name, remedy)
        for part in self.features:
            if isinstance(part, str) and part not in self.request:
                remedy = did_you_mean(part, self.request, otherwise=f"Add {part!r} to request.")
                raise self._wrong("a feature given by name must be a request field", part, remedy)
            if isinstance(part, FeatureView):
                for key in part.keys:
                    if key not in self.request:
                        remedy = f"Add {key!r} to request, so that {part.name} can be looked up."
                        raise self._wrong("the keys of every view must be request fields", key, remedy)

    def _wrong(self, rule: str, value: object, remedy: str = "") -> DefinitionError:
        return DefinitionError(rule, value=value, remedy=remedy, place=f"model {self.name}")

"""Retraining policy, gates, monitors and rollout plan of a model as sentences: its pre-determined changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from inspect import getdoc

from everfit.commands.documentation.blocks import Block, Heading, Items, NamedValues, TableBlock
from everfit.core.design_record import DesignRecord
from everfit.core.settings import Settings
from everfit.definitions.gate import Gate
from everfit.definitions.model import Model
from everfit.definitions.rollout import RolloutPlan, Shadow, Stage
from everfit.definitions.trigger import AllOf, AnyOf, Cron, Every, NewData, NewRelease, StaleModel, Trigger
from everfit.definitions.watch import Drift, PerformanceDrop
from everfit.gates.custom import OwnGate
from everfit.gates.judge import gates_of

_REFERENCES = {
    "training": "the training rows",
    "trailing": "the four weeks before",
    "season": "the same season of the year before",
}
_LEVELS = {
    "manual": "A person starts every training and every rollout.",
    "semi": "Retraining and rollout of the same code happen by themselves.",
    "full": "Retraining, rollout, and the release of new code that passes its tests happen by themselves.",
}


def predetermined_changes(
    model: Model, settings: Settings, record: DesignRecord | None = None, *, level: int = 3
) -> Iterator[Block]:
    """Yield everything that decides, without a person, how the model changes."""
    yield NamedValues([("Level of automation", f"{settings.loop.level}: {_LEVELS[settings.loop.level]}")])
    yield Heading("Retraining policy", level)
    yield NamedValues(list(policy_rows(model)))
    yield Heading("Gates", level)
    yield gate_table(model, record)
    yield Heading("Rollout plan", level)
    yield Items(list(plan_sentences(model.rollout_plan)))


def policy_rows(model: Model) -> Iterator[tuple[str, str]]:
    """Yield the parts of the retraining policy with their meaning."""
    policy = model.policy
    retrains = bool(list(policy.trigger.leaves))
    yield "Retrain if", trigger_text(policy.trigger) if retrains else "a person orders it"
    if not retrains:
        return
    yield (
        "Cool-down",
        f"{policy.cooldown} after an order; doubled by each that brought nothing, up to {policy.back_off}",
    )
    yield "Budget", f"{policy.budget} orders in {policy.per}" if policy.budget else "no limit"
    yield "New labels needed", f"{policy.least_labels:,}, except for a new release"


def trigger_text(trigger: Trigger) -> str:
    """Return a trigger as a condition.

    >>> trigger_text(StaleModel("30d") | Every("7d") & NewData(rows=1000))
    "the champion's newest training rows are older than 30d, or (7d have passed since the last training and 1,000 new \
labels are known)"
    """
    match trigger:
        case AnyOf():
            text = ", or ".join(map(trigger_text, trigger.parts))
        case AllOf():
            text = f"({' and '.join(map(trigger_text, trigger.parts))})"
        case PerformanceDrop():
            text = f"the loss by known outcomes is {_above(trigger)}"
        case Drift():
            harm = "" if trigger.anyway else ", and the champion is shown or estimated to be worse"
            text = f"a column or the prediction has drifted from {_REFERENCES[trigger.against]}{harm}"
        case Every():
            text = f"{trigger.period} have passed since the last training"
        case Cron():
            within = f", for {trigger.within}" if trigger.within else ""
            text = f"the schedule {trigger.text} is due{within}"
        case NewData():
            text = f"{trigger.rows:,} new labels are known"
        case NewRelease():
            text = "a new release differs from the code of the champion"
        case StaleModel():
            text = f"the champion's newest training rows are older than {trigger.age}"
        case _:
            text = repr(trigger)
    return text


def watch_rows(model: Model) -> Iterator[tuple[str, str]]:
    """Yield the monitors with what they report."""
    for watch in model.watches:
        if isinstance(watch, PerformanceDrop):
            chance = f"one false alarm in about {watch.run_length:,} outcomes" if watch.run_length else ""
            chance = chance or f"probability of a false alarm in a version's life at most {watch.alpha:.2g}"
            yield "performance_drop", f"The loss by known outcomes is {_above(watch)}; {chance}."
        else:
            window = f"{watch.rows:,} rows" if watch.rows else watch.window
            yield (
                "drift",
                f"A column or the prediction differs in a window of {window} from {_REFERENCES[watch.against]} by at "
                f"least {watch.effect:g} standard deviations; probability of a false alarm in a year at most "
                f"{watch.alpha:.2g}.",
            )


def gate_table(model: Model, record: DesignRecord | None = None) -> TableBlock:
    """Return all gates of a candidate, with their limits."""
    rows = [(gate.name, _meaning(gate), _limits(gate)) for gate in gates_of(model, record)]
    return TableBlock(
        "A candidate is registered only if every gate passes", ("gate", "what it requires", "limits"), rows
    )


def plan_sentences(plan: RolloutPlan) -> Iterator[str]:
    """Yield the rollout plan, in order."""
    required = plan.approval == "required"
    yield "A person must approve the rollout before its first stage." if required else "No approval is needed."
    yield from map(_stage, plan.stages)
    yield (
        f"Then it is the champion. For {plan.watch} the champion before it runs as shadow, and is restored if the new "
        "one is shown to be worse."
    )
    yield (
        "At any stage it is taken back if it fails, predicts something else than numbers, is slower, or is shown to be "
        f"worse; the probability that one which is not worse is taken back for its loss is at most {plan.alpha:g}."
    )
    if plan.fast_when != "never":
        condition = ", while an incident says that the champion has become worse"
        yield (
            "Stages that are left are skipped once outcomes prove it better"
            f"{condition if plan.fast_when == 'champion is worse' else ''}; the probability that this happens to one "
            f"which is no better is at most {plan.alpha:g}."
        )
    if plan.p99_ms is not None:
        yield f"99 % of its rows must take at most {plan.p99_ms:g} ms."


def _stage(stage: Stage) -> str:
    effect = "it receives a copy of each request, and its predictions are only recorded"
    if not isinstance(stage, Shadow):
        effect = f"it answers {stage.share:.0%} of the ids; where it fails, the champion answers"
    least = "" if stage.at_least == "0s" else f", not before {stage.at_least}"
    most = f"; at the latest after {stage.at_most}" if stage.at_most else ""
    return f"{type(stage).__name__}: {effect}. It ends after {stage.requests:,} rows{least}{most}."


def _above(watch: PerformanceDrop) -> str:
    by = "5 % of it" if watch.by is None else f"{watch.by:g}"
    return f"shown to be larger than on the hold-out by more than {by}"


def _meaning(gate: Gate) -> str:
    if isinstance(gate, OwnGate):
        return gate.sentence
    return " ".join((getdoc(type(gate)) or "").partition("\n\n")[0].split())


def _limits(gate: object) -> str:
    if isinstance(gate, OwnGate) or not is_dataclass(gate):
        return "–"
    limits = {one.name: getattr(gate, one.name) for one in fields(gate)}
    return ", ".join(f"{name} {value}" for name, value in limits.items() if value not in (None, "")) or "–"

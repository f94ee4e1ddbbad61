from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.triggers.situation import CHAMPION, DAY, day, decide, drifted, drop, facts, record

import everfit as ef
from everfit.core.errors import DefinitionError
from everfit.core.finding import EstimatedDrop
from everfit.core.order import OrderRecord
from everfit.definitions.policy import Policy
from everfit.definitions.trigger import AnyOf, Trigger
from everfit.triggers.decide import by_hand, consider
from everfit.triggers.signals import Facts, is_caused_by_release

DROP = "late/performance_drop/v3#12"
NO_WORSE = EstimatedDrop(metric="log_loss", worse_by=0.02, at_least=-0.01)
WORSE = EstimatedDrop(metric="log_loss", worse_by=0.05, at_least=0.01)
OTHER_CODE = facts(code="sha256:b", labels_since=0)
RELEASED = replace(OTHER_CODE, release="release 5 (abc1234: better trainer)", released_at=day(1.5))
RELEASE = "new_release/sha256:b"


def policy(trigger: Trigger, **limits: Any) -> Policy:
    return Policy(trigger=trigger, **limits)


FIRES: list[tuple[Trigger, Facts, float, str, str]] = [
    (ef.PerformanceDrop(), facts(drop()), 2, DROP, "its log loss is 0.6100, against 0.5100"),
    (ef.Drift(anyway=True), facts(drifted(5, "rain", severity="info")), 2, "late/drift//rain#5/v3", "rain has moved"),
    (
        ef.Drift(),
        facts(drifted(5, "rain"), estimated_drop=WORSE),
        2,
        "late/drift//rain#5/v3",
        "worse by 0.0500, at least 0.0100",
    ),
    (ef.Drift(), facts(drifted(5, "rain"), drop()), 2, DROP, "rain has moved"),
    (ef.Every("30d"), facts(), 30, "every/2013-03-31T00:00:00", "30d have passed since 2013-03-01"),
    (ef.Cron("0 3 * * *"), facts(), 2.5, "cron/2013-03-03T03:00", "was due on 2013-03-03 03:00 UTC"),
    (ef.NewData(1_000), facts(rows_since=2_500), 2, "new_data/v3/2000", "2,500 labelled rows"),
    (ef.NewRelease(), OTHER_CODE, 2, "new_release/sha256:b", "not that of version 3"),
    (
        ef.NewRelease(),
        RELEASED,
        2,
        RELEASE,
        "The code of release 5 (abc1234: better trainer) is not that of version 3.",
    ),
    (ef.StaleModel("90d"), facts(), 91, "stale_model/v3", "trained 91d ago, longer than 90d"),
    (ef.Every("30d") | ef.PerformanceDrop(), facts(drop()), 2, DROP, "has become worse"),
    (
        ef.PerformanceDrop() & ef.NewData(1_000),
        facts(drop(), rows_since=1_000),
        2,
        f"{DROP} & new_data/v3/1000",
        "against 0.5100. 1,000 labelled rows",
    ),
]


@pytest.mark.parametrize(("trigger", "known", "now", "cause", "words"), FIRES, ids=lambda value: str(value)[:60])
def test_each_trigger_asks(trigger: Trigger, known: Facts, now: float, cause: str, words: str) -> None:
    order = decide(policy(trigger), known, [], day(now))
    assert order is not None
    assert (order.cause, order.asked_at, order.actor) == (cause, day(now), "policy")
    assert words in order.reason
    assert order.reason.endswith(".")
    assert order.incident == (known.incidents[-1].number if "#" in cause else None)


def test_every_trigger_that_exists_was_asked() -> None:
    exist = {
        kind for kind in Trigger.__subclasses__() if kind.__module__.startswith("everfit.") and kind.__name__[0] != "_"
    }
    assert {type(leaf) for trigger, *_ in FIRES for leaf in trigger.leaves} == exist


def test_a_trigger_of_one_s_own_is_refused() -> None:
    class Whim(Trigger):
        pass

    with pytest.raises(DefinitionError, match="must be one that everfit knows"):
        decide(policy(Whim()), facts(), [], day(2))


WAITS: list[tuple[Trigger, Facts, float, str]] = [
    (ef.PerformanceDrop(), facts(), 2, "version 3 is not known to have become worse"),
    (ef.PerformanceDrop(), facts(drop(version=2)), 2, "version 3 is not known to have become worse"),
    (ef.Drift(), facts(), 2, "nothing has drifted"),
    (ef.Drift(), facts(drifted(5, "rain")), 2, "rain has drifted, but that was not shown to matter"),
    (ef.Drift(), facts(drifted(5, "rain"), estimated_drop=NO_WORSE), 2, "not shown to matter"),
    (ef.Drift(), facts(drifted(5, "rain", severity="info"), drop()), 2, "hardly used"),
    (ef.Every("30d"), facts(), 29.99, "due on 2013-03-31 00:00 UTC"),
    (ef.Cron("0 3 1 * *"), facts(), 0.1, "due on 2013-03-01 03:00 UTC"),
    (ef.NewData(1_000), facts(rows_since=999), 2, "999 of 1,000 new labelled rows"),
    (ef.NewRelease(), facts(), 2, "the code is that of version 3"),
    (ef.StaleModel("90d"), facts(), 89, "stale on 2013-05-30"),
    (ef.PerformanceDrop() & ef.NewData(1_000), facts(drop(), rows_since=10), 2, "trigger holds: 10 of 1,000"),
    (AnyOf(()), facts(drop()), 2, "only people order trainings"),
    (ef.PerformanceDrop(), facts(drop(), champion=None), 2, "No version is deployed yet"),
]


@pytest.mark.parametrize(("trigger", "known", "now", "words"), WAITS, ids=lambda value: str(value)[:60])
def test_each_trigger_says_what_it_waits_for(trigger: Trigger, known: Facts, now: float, words: str) -> None:
    decision = consider(policy(trigger), known, [], day(now))
    assert decision.order is None
    assert words in decision.sentence


@pytest.mark.parametrize("state", ["open", "running", "delivering"])
def test_a_model_has_one_order_at_a_time(state: str) -> None:
    decision = consider(policy(ef.PerformanceDrop()), facts(drop()), [record(7, "manual/1", state, asked=1)], day(9))
    assert decision.order is None
    assert decision.sentence == f"Order 7 is {state}: It was due."


def test_orders_of_another_model_are_none_of_its_business() -> None:
    other = record(7, DROP, "running", asked=1)
    theirs = OrderRecord(number=7, order=replace(other.order, model="early"), state="running")
    assert decide(policy(ef.PerformanceDrop()), facts(drop()), [theirs], day(2)) is not None


@pytest.mark.parametrize(
    ("trigger", "known", "state", "again"),
    [
        (ef.PerformanceDrop(), facts(drop()), "refused", f"{DROP}/again-1"),
        (ef.PerformanceDrop(), facts(drop()), "taken_back", f"{DROP}/again-1"),
        (ef.PerformanceDrop(), facts(drop()), "failed", f"{DROP}/again-1"),
        (ef.PerformanceDrop(), facts(drop()), "shipped", None),
        (ef.PerformanceDrop(), facts(drop()), "cancelled", None),
        (ef.NewRelease(), OTHER_CODE, "refused", None),
        (ef.NewRelease(), OTHER_CODE, "failed", f"{RELEASE}/again-1"),
        (ef.NewRelease(), OTHER_CODE, "shipped", None),
        (ef.NewRelease(), RELEASED, "shipped", None),
        (ef.NewRelease(), RELEASED, "taken_back", None),
        (ef.NewData(1_000), facts(rows_since=1_500), "refused", None),
        (ef.StaleModel("1d"), facts(), "refused", "stale_model/v3/again-1"),
    ],
)
def test_one_cause_is_one_order_unless_it_came_to_nothing(
    trigger: Trigger, known: Facts, state: str, again: str | None
) -> None:
    first = decide(policy(trigger, least_labels=0), known, [], day(2))
    assert first is not None
    ended = OrderRecord(number=1, order=first, state=state, ended_at=day(2), sentence="So it ended.")  # type: ignore[arg-type]
    decision = consider(policy(trigger, least_labels=0), known, [ended], day(20))
    assert (decision.order and decision.order.cause) == again
    if again is None:
        assert decision.sentence.endswith(f"was ordered already, and order 1 was {state}: So it ended.")


def test_every_attempt_has_a_cause_of_its_own() -> None:
    history: list[OrderRecord] = []
    for attempt in range(4):
        order = decide(policy(ef.PerformanceDrop()), facts(drop()), history, day(40 * attempt))
        assert order is not None
        history.append(OrderRecord(number=attempt + 1, order=order, state="refused", ended_at=day(40 * attempt)))
    assert [each.order.cause for each in history] == [DROP, *(f"{DROP}/again-{number}" for number in (1, 2, 3))]


def test_a_new_incident_is_a_new_cause_but_a_longer_number_is_not_a_shorter_one() -> None:
    spent = record(1, "late/performance_drop/v3#1", "shipped", asked=1, ended=1)
    order = decide(policy(ef.PerformanceDrop()), facts(drop(12)), [spent], day(9))
    assert order is not None
    assert order.cause == DROP


def test_periods_count_from_the_last_retraining_whatever_its_cause() -> None:
    every = policy(ef.Every("30d"))
    assert decide(every, facts(), [record(1, DROP, "refused", asked=20, ended=20)], day(45)) is None
    failed = decide(every, facts(), [record(1, "every/2013-03-31T00:00:00", "failed", asked=30, ended=30)], day(45))
    assert failed is not None
    assert failed.cause == "every/2013-03-31T00:00:00/again-1"


def test_times_that_passed_unseen_count_once() -> None:
    daily = policy(ef.Cron("0 3 * * *"))
    order = decide(daily, facts(), [], day(10.5))
    assert order is not None
    assert order.cause == "cron/2013-03-11T03:00"
    done = OrderRecord(number=1, order=order, state="shipped", ended_at=day(10.6))
    assert decide(daily, facts(), [done], day(11)) is None


@pytest.mark.parametrize(
    ("history", "until"),
    [
        ([record(1, "manual/1", "shipped", asked=10, ended=10.5)], 12),  # a daily schedule stays daily
        ([record(1, "manual/1", "cancelled", asked=10, ended=10.5)], 12),
        ([record(1, "manual/1", "refused", asked=10, ended=10.5)], 14.5),
        ([record(1, "a", "refused", asked=1, ended=2), record(2, "b", "failed", asked=10, ended=11)], 19),
        ([record(1, "a", "refused", asked=1, ended=2), record(2, "b", "cancelled", asked=10, ended=11)], 12),
        ([record(1, "a", "refused", asked=1, ended=2), record(2, "b", "shipped", asked=10, ended=11)], 12),
        ([record(n, f"c{n}", "refused", asked=n, ended=n) for n in range(1, 9)], 28),  # no longer than back_off
    ],
)
def test_the_wait_doubles_while_retraining_brings_nothing(history: list[OrderRecord], until: float) -> None:
    calm = policy(ef.PerformanceDrop(), cooldown="2d", back_off="20d")
    held = consider(calm, facts(drop()), history, day(until) - DAY / 100)
    assert held.order is None
    assert held.sentence.startswith(f"Cooling down until {day(until):%Y-%m-%d %H:%M} UTC after ")
    assert "The trigger that holds: Version 3 has become worse" in held.sentence
    assert decide(calm, facts(drop()), history, day(until)) is not None


def test_the_budget_holds_people_s_orders_too() -> None:
    thrifty = policy(ef.PerformanceDrop(), budget=2, per="30d")
    history = [record(1, "manual/1", "shipped", asked=1, ended=1), record(2, "manual/2", "shipped", asked=10, ended=10)]
    held = consider(thrifty, facts(drop()), history, day(20))
    assert held.sentence.startswith("The budget of 2 per 30d is used up until 2013-04-01 00:00 UTC.")
    assert decide(thrifty, facts(drop()), history, day(31)) is not None


def test_new_labels_are_needed_but_not_by_a_new_release() -> None:
    young = facts(drop(), labels_since=120)
    held = consider(policy(ef.PerformanceDrop()), young, [], day(2))
    assert held.order is None
    assert held.sentence.startswith("The source has 120 of the 200 labels that are needed of events since 2013-02-28")
    either = policy(ef.PerformanceDrop() | ef.NewRelease())
    order = decide(either, facts(drop(), labels_since=120, code="sha256:b"), [], day(2))
    assert order is not None
    assert order.cause == "new_release/sha256:b"


def test_a_clock_that_was_set_back_breaks_nothing_and_orders_nothing_twice() -> None:
    history = [record(1, DROP, "refused", asked=40, ended=41)]
    for trigger in (ef.PerformanceDrop(), ef.Every("1d"), ef.Cron("* * * * *"), ef.StaleModel("1d"), ef.NewData(1)):
        for now in (-10, 0, 5, 39):
            assert decide(policy(trigger), facts(drop(), rows_since=10), history, day(now)) is None
    held = consider(policy(ef.PerformanceDrop()), facts(drop()), history, day(5))
    assert "dated 35d ahead: the clock was set back. Order one by hand to go on." in held.sentence
    by_person = by_hand("late", reason="The clock was wrong.", actor="ann", ticket="1", now=day(5))
    history.append(OrderRecord(number=2, order=by_person, state="shipped", ended_at=day(5)))
    assert decide(policy(ef.PerformanceDrop()), facts(drop(13)), history, day(6)) is not None


def test_numbers_and_findings_come_along() -> None:
    order = decide(policy(ef.Drift()), facts(drifted(5, "rain"), drifted(6, "wind"), drop()), [], day(2))
    assert order is not None
    assert order.findings == (drop().key, "late/drift//rain", "late/drift//wind")
    assert order.numbers == {"since_then": 0.61, "hold_out": 0.51, "labels_since": 5_000.0}


def test_a_combination_within_a_combination_has_one_order_for_each_way() -> None:
    nested = policy((ef.PerformanceDrop() | ef.StaleModel("90d")) & ef.NewRelease())
    known = facts(drop(), code="sha256:b")
    first = decide(nested, known, [], day(100))
    assert first is not None
    assert first.cause == f"{DROP} & new_release/sha256:b"
    spent = OrderRecord(number=1, order=first, state="refused", ended_at=day(100))
    second = decide(nested, known, [spent], day(110))
    assert second is not None
    assert second.cause == "stale_model/v3 & new_release/sha256:b"


def test_drift_that_outlasts_the_version_that_was_made_for_it_is_a_new_cause() -> None:
    moved, wary = drifted(5, "rain"), policy(ef.Drift(anyway=True))
    shipped = record(1, "late/drift//rain#5/v3", "shipped", asked=1, ended=1)
    assert decide(wary, facts(moved), [shipped], day(9)) is None
    order = decide(wary, facts(moved, champion=replace(CHAMPION, version=4, as_of=day(1))), [shipped], day(9))
    assert order is not None
    assert order.cause == "late/drift//rain#5/v4"


def test_a_model_s_age_is_its_champion_s() -> None:
    fresh = facts(champion=replace(CHAMPION, version=4, as_of=day(90)))
    assert decide(policy(ef.StaleModel("90d")), fresh, [], day(100)) is None


@pytest.mark.parametrize(
    ("trigger", "cause"),
    [
        (ef.PerformanceDrop(), RELEASE),
        (ef.PerformanceDrop() | ef.NewRelease(), RELEASE),
        (ef.NewRelease() & ef.NewData(1), None),
        (AnyOf(()), None),
    ],
)
def test_a_release_is_a_trigger_unless_the_policy_names_it_or_has_none(trigger: Trigger, cause: str | None) -> None:
    order = decide(policy(trigger), RELEASED, [], day(2))
    assert (order and order.cause) == cause


def test_a_release_waits_for_no_training_before_it_and_for_no_other_code_s_failures() -> None:
    before = [record(number, f"every/{number}", "refused", asked=number, ended=number) for number in range(1, 6)]
    assert decide(policy(ef.NewRelease()), OTHER_CODE, before, day(5.1)) is None
    order = decide(policy(ef.NewRelease()), RELEASED, before, day(5.1))
    assert order is not None
    assert order.cause == RELEASE


@pytest.mark.parametrize(
    ("state", "asked", "known", "gives_way"),
    [
        ("delivering", 1, RELEASED, True),
        ("running", 1, RELEASED, False),
        ("delivering", 1.6, RELEASED, False),
        ("delivering", 1, OTHER_CODE, False),
        ("delivering", 1, replace(RELEASED, code="sha256:a"), False),
    ],
)
def test_a_release_does_not_wait_for_the_rollout_of_an_order_before_it(
    state: str, asked: float, known: Facts, gives_way: bool
) -> None:
    under_way = record(7, "every/1", state, asked=asked)
    decision = consider(policy(ef.NewRelease() | ef.Every("1h"), least_labels=0), known, [under_way], day(2))
    if gives_way:
        assert decision.order is not None
        assert decision.order.cause == RELEASE
    else:
        assert decision.order is None
        assert decision.sentence == f"Order 7 is {state}: It was due."


@pytest.mark.parametrize("ended", ["shipped", "refused", "taken_back", "cancelled"])
def test_code_that_is_released_again_is_trained_again(ended: str) -> None:
    """As after 'git revert', or if a person wants a release again."""
    before = record(1, RELEASE, ended, asked=1, ended=1.2)
    order = decide(policy(ef.NewRelease()), RELEASED, [before], day(1.6))
    assert order is not None
    assert order.cause == f"{RELEASE}/again-1"
    ended_again = OrderRecord(number=2, order=order, state="refused", ended_at=day(1.7))
    assert decide(policy(ef.NewRelease()), RELEASED, [before, ended_again], day(30)) is None


def test_a_release_s_own_failure_is_tried_again_after_the_back_off() -> None:
    failed = record(1, RELEASE, "failed", asked=1.6, ended=2)
    decision = consider(policy(ef.NewRelease()), RELEASED, [failed], day(3.9))
    assert decision.order is None
    assert "Cooling down until 2013-03-05 00:00 UTC" in decision.sentence
    again = decide(policy(ef.NewRelease()), RELEASED, [failed], day(4))
    assert again is not None
    assert again.cause == f"{RELEASE}/again-1"


def test_a_release_counts_against_the_budget() -> None:
    spent = record(1, "every/1", "shipped", asked=1, ended=1.5)
    decision = consider(policy(ef.NewRelease(), budget=1), RELEASED, [spent], day(2))
    assert "The budget of 1 per 30d is used up" in decision.sentence


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (RELEASE, True),
        (f"{RELEASE}/again-2", True),
        (f"{DROP} & {RELEASE}", True),
        (f"{RELEASE} & {DROP}/again-1", True),
        (f"{RELEASE}b", False),
        ("new_release/sha256:a", False),
        (DROP, False),
        ("first/sha256:b", False),
    ],
)
def test_an_order_of_a_release_is_known_by_its_cause(cause: str, expected: bool) -> None:
    assert is_caused_by_release(cause, "sha256:b") == expected

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.evidence import ID
from everfit.replay.history import CREATED, EVENT_TIME
from everfit.replay.schedule import Row, Slice, due_by, outcomes_of, slices
from everfit.store.timestamps import INSTANT

START = datetime(2013, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=30)
END = START + 5 * STEP + timedelta(minutes=7)

minutes = st.integers(min_value=0, max_value=int((END - START) / timedelta(minutes=1)) - 1)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def asked(events: list[tuple[int, int | None]]) -> pl.DataFrame:
    """Questions at minutes, with labels so many minutes later."""
    return pl.DataFrame(
        {
            ID: [f"event-{number}" for number in range(len(events))],
            TIME: [at(minute) for minute, _ in events],
            LABEL: [None if delay is None else True for _, delay in events],
            KNOWN_AT: [None if delay is None else at(minute + delay) for minute, delay in events],
        },
        schema={ID: pl.String, TIME: INSTANT, LABEL: pl.Boolean, KNOWN_AT: INSTANT},
    ).sort(TIME, ID)


def arrivals(rows: list[tuple[str, int, int, float]]) -> pl.DataFrame:
    """Rows of a view: key, minute of the event, minutes until it was known, value."""
    return pl.DataFrame(
        {
            "shop": [key for key, *_ in rows],
            EVENT_TIME: [at(minute) for _, minute, _, _ in rows],
            CREATED: [at(minute + delay) for _, minute, delay, _ in rows],
            "late": [value for *_, value in rows],
        },
        schema={"shop": pl.String, EVENT_TIME: INSTANT, CREATED: INSTANT, "late": pl.Float64},
    )


def played(questions: pl.DataFrame, rows: pl.DataFrame | None = None) -> list[Slice]:
    due, _ = due_by(outcomes_of(questions), END)
    news = {} if rows is None else {"record": (["shop"], rows.filter(pl.col(CREATED) > START, pl.col(CREATED) <= END))}
    return list(slices(questions, due, news, fields=[TIME], start=START, end=END, length=STEP))


@given(st.lists(st.tuples(minutes, st.none() | st.integers(min_value=-60, max_value=400)), max_size=40))
def test_everything_is_said_once_and_nothing_before_it_was_known(events: list[tuple[int, int | None]]) -> None:
    questions = asked(events)
    found = played(questions)
    assert [step.start for step in found] == [START + number * STEP for number in range(6)]
    assert [step.end for step in found] == [*(START + number * STEP for number in range(1, 6)), END]
    said = [question.id for step in found for question in step.requests]
    assert said == questions[ID].to_list()
    told: dict[str, datetime] = {}
    for step in found:
        assert all(step.start <= each.at == each.row[TIME] < step.end for each in step.requests)
        for each in step.outcomes:
            assert each["known_at"] <= step.end
            assert each["id"] not in told
            told[each["id"]] = step.end
    latest = questions.select(ID, due=pl.max_horizontal(TIME, KNOWN_AT)).filter(
        questions[LABEL].is_not_null(), pl.col("due") <= END
    )
    assert set(told) == set(latest[ID])
    # Told at the end of the very step in which it became known, or in which it was asked if it was known already.
    assert all(told[id_] - STEP <= due <= told[id_] for id_, due in latest.rows())


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 156), st.integers(0, 90), st.floats(0, 1)),
        max_size=40,
        unique_by=lambda row: row[:3],
    )
)
def test_what_a_store_of_newest_rows_holds_is_as_if_all_rows_had_been_told(
    rows: list[tuple[str, int, int, float]],
) -> None:
    every = arrivals(rows)
    store: dict[str, Row] = {}
    for step in played(asked([]), every):
        for row in step.arrived.get("record", ()):
            assert step.start < row[CREATED] <= step.end
            before = store.get(row["shop"])
            if before is None or (row[EVENT_TIME], row[CREATED]) >= (before[EVENT_TIME], before[CREATED]):
                store[row["shop"]] = row
        known = every.filter(pl.col(CREATED) <= step.end, pl.col(CREATED) > START).sort(EVENT_TIME, CREATED)
        newest = {row["shop"]: row for row in known.to_dicts()}
        assert store == newest


def test_on_the_edge_between_two_steps() -> None:
    questions = asked([(30, 30)])
    found = played(questions, arrivals([("a", 30, 0, 1.0)]))
    # What is known at 00:30 is there for what is asked at 00:30.
    assert list(found[0].arrived) == ["record"]
    assert [len(step.requests) for step in found] == [0, 1, 0, 0, 0, 0]
    assert [len(step.outcomes) for step in found] == [0, 1, 0, 0, 0, 0]

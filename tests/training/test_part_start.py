"""Where the hold-out and the validation part begin, as a table and as properties."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.training.world import START

from everfit.definitions.training_window import LEAST_LABELS, TrainingWindow
from everfit.training.part_start import LEAST_MINORITY, LEAST_ROWS, LEAST_SPAN, PartStart, after_change, part_start

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MATURE = "up to the newest mature label"
DEFAULT = f"the last 14d {MATURE}"
FIFTH = "the newest 20 % of the labelled rows"
WEEKS, ROWS, LONG = TrainingWindow(span=21 * DAY), TrainingWindow(rows=5_000), TrainingWindow(span=400 * DAY)
BRIEF, FEW = TrainingWindow(span=HOUR), f"the newest 200 labelled rows {MATURE}"


def start_of(
    days: float, *, a_day: int, window: TrainingWindow | None = None, rare: int = 2, young: float = 0.0
) -> tuple[float, PartStart]:
    """Days of evenly spread rows, of which each ``rare``-th has another label and the last ones are not mature.

    Returns the size of the part in days, and its start.
    """
    rows, step = round(days * a_day), DAY / a_day
    times = pl.Series([START + number * step for number in range(rows)], dtype=pl.Datetime("us", "UTC"))
    labels = pl.Series([number % rare == 0 for number in range(rows)])
    until = times[-1] - young * DAY
    found = part_start(times, labels, mature_until=until, window=window, share=0.2)
    return (times[-1] + step - found.instant) / DAY, found


@pytest.mark.parametrize(
    ("days", "a_day", "more", "size", "rule"),
    [
        # A short history: the share, as large as ever.
        (10, 96, {}, 2, FIFTH),
        (60, 96, {}, 12, FIFTH),
        (70, 96, {}, 14, FIFTH),
        # A longer one: two weeks, however long it is.
        (71, 96, {}, 14, DEFAULT),
        (365, 96, {}, 14, DEFAULT),
        (1_000, 96, {}, 14, DEFAULT),
        # With less traffic as many days as 500 labels need.
        (730, 24, {}, 500 / 24, f"the newest 500 labelled rows {MATURE}"),
        (365, 4, {}, 73, FIFTH),
        # A class that is rare: 100 labels of it.
        (730, 96, {"rare": 96}, 100, f"the newest rows with 100 labels other than the most frequent one {MATURE}"),
        (730, 24, {"rare": 24 * 7}, 146, FIFTH),
        # Labels that come late: two weeks of mature ones, and what is younger.
        (365, 96, {"young": 30}, 44, DEFAULT),
        (365, 96, {"young": 70}, 73, FIFTH),
        (365, 96, {"young": 400}, 73, f"{FIFTH}, none of which is mature"),
        # As the project file says, within the share.
        (365, 96, {"window": WEEKS}, 21, f"the last 21d {MATURE}"),
        (365, 96, {"window": WEEKS, "young": 3}, 24, f"the last 21d {MATURE}"),
        (365, 96, {"window": ROWS}, 5_000 / 96, f"the newest 5,000 labelled rows {MATURE}"),
        (365, 96, {"window": LONG}, 73, f"{FIFTH}, the most that [training] allows of the last 400d"),
        (365, 96, {"window": BRIEF}, 200 / 96, FEW),
        (365, 96, {"window": WEEKS, "rare": 5_000}, 21, f"the last 21d {MATURE}"),
    ],
)  # fmt: skip
def test_sizes(days: int, a_day: int, more: dict[str, object], size: float, rule: str) -> None:
    found, start = start_of(days, a_day=a_day, **more)  # type: ignore[arg-type]
    assert start.rule == rule
    assert found == pytest.approx(size, abs=1.5 / a_day)


histories = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 9)), min_size=1, max_size=3_000)
windows = st.one_of(
    st.none(),
    st.builds(lambda hours: TrainingWindow(span=hours * HOUR), st.integers(1, 2_000)),
    st.builds(lambda rows: TrainingWindow(rows=rows), st.integers(LEAST_LABELS, 2_000)),
)


@given(histories, windows, st.floats(0.05, 0.85), st.integers(-5, 2_000))
def test_a_part_is_sufficient_and_no_larger_than_its_share(
    drawn: list[tuple[int, int]], window: TrainingWindow | None, share: float, mature_hours: int
) -> None:
    times = pl.Series([START + hour * HOUR for hour, _ in sorted(drawn)], dtype=pl.Datetime("us", "UTC"))
    labels = pl.Series([label for _, label in sorted(drawn)])
    until = START + mature_hours * HOUR
    bound = times[min(int(len(times) * (1 - share)), len(times) - 1)]
    found = part_start(times, labels, mature_until=until, window=window, share=share)
    assert found.instant in times
    assert found.instant >= bound
    if found.instant == bound:
        assert found.rule.startswith("the newest")
        return
    part = pl.DataFrame({"time": times, "label": labels}).filter(pl.col("time") >= found.instant)
    mature = part.filter(pl.col("time") <= until)
    newest = times.filter(times <= until)[-1]
    assert (times.filter(times < found.instant) <= newest).all()
    if window is None:
        assert mature.height >= LEAST_ROWS
        most_frequent = labels.filter(times <= until).mode().sort()[0]
        assert mature.filter(pl.col("label") != most_frequent).height >= LEAST_MINORITY
        assert times.filter((times > newest - LEAST_SPAN) & (times <= newest)).min() >= found.instant  # type: ignore[operator]
    elif window.rows is not None:
        assert mature.height >= window.rows
    else:
        assert mature.height >= LEAST_LABELS
        assert window.span is not None
        assert times.filter((times > newest - window.span) & (times <= newest)).min() >= found.instant  # type: ignore[operator]


@given(histories, st.floats(0.1, 0.5), st.integers(1, 400))
def test_older_rows_do_not_change_a_part_that_is_sufficient(
    drawn: list[tuple[int, int]], share: float, older: int
) -> None:
    times = pl.Series([START + hour * HOUR for hour, _ in sorted(drawn)], dtype=pl.Datetime("us", "UTC"))
    window, until = TrainingWindow(rows=LEAST_LABELS), times[-1]
    before = part_start(times, times.dt.hour(), mature_until=until, window=window, share=share)
    more = pl.concat([pl.Series([START - HOUR * (older - n) for n in range(older)], dtype=times.dtype), times])
    after = part_start(more, more.dt.hour(), mature_until=until, window=window, share=share)
    assert after.instant <= before.instant
    if MATURE in before.rule:
        assert after == before


@pytest.mark.parametrize(
    ("days", "a_day", "changed", "rows"),
    [
        # Two weeks would be all that is known of the new world: a fifth of it, or a hundred rows.
        (365, 96, 10, 192),
        (365, 96, 4, 100),
        (365, 96, 27, 518),
        # As many rows are left to learn from as to judge by.
        (365, 96, 29, 14 * 96),
        (365, 96, 300, 14 * 96),
        # Too few to learn from.
        (365, 96, 2, 14 * 96),
        (365, 24, 10, 500),
    ],
)
def test_rows_since_a_change_are_left_to_learn_from(days: int, a_day: int, changed: float, rows: int) -> None:
    step = DAY / a_day
    times = pl.Series([START + number * step for number in range(days * a_day)], dtype=pl.Datetime("us", "UTC"))
    labels = pl.Series([number % 2 == 0 for number in range(len(times))])
    part = part_start(times, labels, mature_until=times[-1], window=None, share=0.2)
    found = after_change(part, times, times[-1] + step - changed * DAY, share=0.2)
    assert int((times >= found.instant).sum()) == rows
    assert ("since the change" in found.rule) == (found is not part)
    assert after_change(part, times, None, share=0.2) is part

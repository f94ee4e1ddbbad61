"""One outage of a source is one finding; what begins at another time, or is of another kind or source, stays apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from everfit.core.finding import Finding, FindingKind, Severity
from everfit.monitoring.common_cause import by_source, with_unit_changes

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOURCES = {"weather": "reports", "wind": "reports", "shop": "sales"}
COLUMNS = ("weather.rain", "weather.sun", "wind.speed", "shop.load", "distance")


def finding(
    column: str, kind: FindingKind = "missing_values", hour: int = 0, severity: Severity = "warning"
) -> Finding:
    return Finding(
        kind=kind, model="m", subject=column, severity=severity, sentence=f"{column} is missing.",
        numbers={"missing_share": 0.5}, since=NOON + timedelta(hours=hour),
    )  # fmt: skip


def test_an_outage_is_one_finding_with_the_gravest_severity() -> None:
    columns = [finding("weather.rain"), finding("wind.speed", severity="critical"), finding("weather.sun")]
    [one] = by_source(columns, SOURCES)
    assert (one.subject, one.severity, one.numbers["columns"]) == ("reports", "critical", 3)
    assert one.sentence == (
        "wind.speed is missing. The same began at that time in weather.rain, weather.sun: "
        "all come from the source reports."
    )
    many = [finding(f"weather.{number}") for number in range(20)]
    assert "weather.10 and 9 more: all" in by_source(many, SOURCES)[0].sentence


def test_other_causes_stay_apart() -> None:
    columns = [
        finding("weather.rain"), finding("weather.sun", hour=1), finding("wind.speed", "out_of_range"),
        finding("shop.load"), finding("distance"), finding("carrier"),
    ]  # fmt: skip
    assert by_source(columns, SOURCES) == columns
    assert by_source(columns, {}) == columns


def test_a_changed_unit_explains_strange_values_but_no_missing_ones() -> None:
    units = [finding("weather.rain", "unit_change"), finding("weather.sun", "unit_change")]
    columns = [finding("weather.rain", "missing_values"), finding("weather.sun", "out_of_range"), finding("distance")]
    assert with_unit_changes(columns, units) == [units[1], columns[0], columns[2]]


@given(
    st.lists(
        st.builds(
            finding, st.sampled_from(COLUMNS), st.sampled_from(["missing_values", "unit_change"]), st.integers(0, 2)
        ),
        unique_by=lambda one: (one.subject, one.kind),
    )
)
def test_no_column_is_lost_and_no_two_findings_are_of_one_cause(columns: list[Finding]) -> None:
    found = by_source(columns, SOURCES)
    assert sum(one.numbers.get("columns", 1) for one in found) == len(columns)
    causes = [(one.kind, SOURCES.get(one.subject.partition(".")[0], one.subject), one.since) for one in found]
    assert len(set(causes)) == len(causes)

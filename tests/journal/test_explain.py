"""A prediction is found with all that was recorded of it, wherever it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.journal.records import START, Service, hour, variant

from everfit.journal.explain import find_prediction
from everfit.journal.ship import ship
from everfit.journal.status import journal_status

MULTICLASS = variant(
    model="kind", task="multiclass", classes=("a", "b"), event_time="", request=(("n", "integer"),), features=()
)


@pytest.mark.parametrize("shipped", [False, True])
def test_everything_is_found_before_and_after_shipping(journal: Path, lake: Path, shipped: bool) -> None:
    service = Service(journal)
    service.predict("first", "order", at=1)
    service.predict(
        "order", at=1, route="shadow", value=0.5, layout=variant(version=4, request=(), event_time=""), row=()
    )
    service.report({"order": "True"}, at=2)
    service.report({"order": None, "first": "False"}, at=3)
    service.report({"order": "False"}, at=4, known=3.5)
    service.stop()
    if shipped:
        ship(journal, lake)
    answer, shadow = find_prediction(lake, journal, "order")
    assert (answer.version, answer.route, answer.row, answer.prediction) == (3, "champion", 1, 0.25)
    assert (answer.recorded_at, answer.event_time, answer.latency_us) == (hour(1), START, 150)
    assert answer.request == {"shop": 7, "at": START, "day": START.date(), "note": "ok"}
    assert answer.features == {"shop.load": 0.5, "distance": 12.0, "kind": "new"}
    assert [(each.value, each.known_at) for each in answer.outcomes] == [
        ("True", hour(2)), (None, hour(3)), ("False", hour(3.5)),
    ]  # fmt: skip
    assert answer.outcome == "False"
    assert (shadow.version, shadow.route, shadow.prediction, shadow.request) == (4, "shadow", 0.5, {})
    assert shadow.outcomes == answer.outcomes
    assert find_prediction(lake, journal, "other") == []


def test_a_class_each_and_no_outcome_yet(journal: Path, lake: Path) -> None:
    service = Service(journal)
    service.predict("x", layout=MULTICLASS, row=(1,), features=(), value=(0.75, 0.25), at=1)
    (found,) = find_prediction(lake, journal, "x")
    assert found.prediction == {"a": 0.75, "b": 0.25}
    assert (found.outcome, found.event_time, found.model) == (None, hour(1), "kind")


def test_status_counts_what_waits_and_what_is_there(journal: Path, lake: Path) -> None:
    service = Service(journal)
    service.predict("a", "b")
    service.predict("c", layout=variant(event_time=""))
    service.report({"a": "True"}, at=1)
    before = journal_status(journal, lake)
    assert [(each.log, each.open_segments, each.unshipped_rows) for each in before.logs] == [
        ("predictions", 1, 3), ("outcomes", 1, 1), ("pushes", 0, 0), ("failures", 0, 0), ("labels", 0, 0),
    ]  # fmt: skip
    assert before.lake == ()
    service.stop()
    (journal / "predictions" / "0-no.sealed").write_bytes(b"no segment")
    ship(journal, lake)
    after = journal_status(journal, lake)
    assert [(each.broken_segments, each.unshipped_rows, each.unshipped_bytes) for each in after.logs] == [
        (1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0),
    ]  # fmt: skip
    assert [(each.log, each.name, each.rows, each.files) for each in after.lake] == [
        ("predictions", "late", 3, 2), ("outcomes", "late", 1, 1),
    ]  # fmt: skip

"""Ask for predictions with Everfit's own client, and report what became of them."""

from __future__ import annotations


def ask(address: str) -> list[float]:
    # region ask
    from datetime import UTC, date, datetime

    import everfit as ef

    row = {
        "shop": "shop-7",
        "kind": 3,
        "weight kg": 1.5,
        "express": True,
        "ordered_at": datetime(2026, 1, 5, 12, tzinfo=UTC),
        "wanted_on": date(2026, 1, 6),
    }
    with ef.Client(address) as client:
        one = client.predict("late", row, id="order-17")
        many = client.predict("late", [row, row | {"weight kg": None}])
        client.report("late", "order-17", True)
        client.outcomes("late", [{"id": each.id, "value": False} for each in many])
    # endregion
    return [one.value, *(each.value for each in many)]


def push(address: str) -> int:
    from datetime import UTC, datetime

    import everfit as ef

    with ef.Client(address) as client:
        # region push
        rating = {
            "shop": "shop-7",
            "stars": 4.5,
            "chain": "chain-1",
            "event_time": datetime(2026, 1, 5, 11, tzinfo=UTC),
        }
        pushed = client.push("rating", [rating])
        # endregion
        return pushed.written


def ask_with_a_frame(address: str) -> list[float]:
    from datetime import UTC, date, datetime

    import polars as pl

    import everfit as ef

    row = {
        "shop": "shop-7",
        "kind": 3,
        "weight kg": 1.5,
        "express": True,
        "ordered_at": datetime(2026, 1, 5, 12, tzinfo=UTC),
        "wanted_on": date(2026, 1, 6),
    }
    with ef.Client(address) as client:
        # region frame
        orders = pl.DataFrame([row, row | {"weight kg": None}])
        answers = client.predict("late", orders, ids=["order-18", "order-19"])
        client.outcomes("late", pl.DataFrame({"id": ["order-18", "order-19"], "value": [True, False]}))
        # endregion
    return [each.value for each in answers]

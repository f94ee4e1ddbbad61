"""Ask for predictions with Everfit's own client, and report what became of them."""

from __future__ import annotations


def ask(address: str) -> list[float]:
    # region ask
    from datetime import UTC, datetime

    import everfit as ef

    row = {
        "shop": "shop-07",
        "city": "Lyon",
        "distance_km": 4.2,
        "ordered_at": datetime(2026, 1, 5, 12, tzinfo=UTC),
    }
    with ef.Client(address) as client:
        one = client.predict("late_order", row, id="delivery-17")
        many = client.predict("late_order", [row, row | {"distance_km": None}])
        client.report("late_order", "delivery-17", True)
        client.outcomes("late_order", [{"id": answer.id, "value": False} for answer in many])
    # endregion
    return [one.value, *(answer.value for answer in many)]


def push(address: str) -> int:
    from datetime import UTC, datetime

    import everfit as ef

    with ef.Client(address) as client:
        # region push
        report = {"city": "Lyon", "rain_mm": 1.5, "event_time": datetime.now(UTC)}
        pushed = client.push("weather", [report])
        # endregion
        return pushed.written


def ask_with_a_frame(address: str) -> list[float]:
    from datetime import UTC, datetime

    import polars as pl

    import everfit as ef

    row = {
        "shop": "shop-07",
        "city": "Lyon",
        "distance_km": 4.2,
        "ordered_at": datetime(2026, 1, 5, 12, tzinfo=UTC),
    }
    with ef.Client(address) as client:
        # region frame
        deliveries = pl.DataFrame([row, row | {"distance_km": None}])
        answers = client.predict("late_order", deliveries, ids=["delivery-18", "delivery-19"])
        client.outcomes("late_order", pl.DataFrame({"id": ["delivery-18", "delivery-19"], "value": [True, False]}))
        # endregion
    return [answer.value for answer in answers]

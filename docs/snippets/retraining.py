"""When a model is trained anew, as docs/howto/retrain.md shows it."""

import everfit as ef


def as_most_do(late_order):
    # region policy
    late_order.retrain_when(
        ef.PerformanceDrop(by=0.02, alpha=0.01),
        ef.StaleModel("90d") & ef.NewData(rows=10_000),
        ef.NewRelease(),
        cooldown="2d",
        budget=4,
        per="30d",
    )
    # endregion


def by_people_only(late_order):
    # region never
    late_order.retrain_when()
    # endregion


def at_night(late_order):
    # region nightly
    late_order.retrain_when(
        ef.Cron("0 3 * * *", zone="Europe/Berlin", within="1h") & ef.NewData(rows=1_000),
        cooldown="1d",
    )
    # endregion

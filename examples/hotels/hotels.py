"""Will this booking be cancelled? Asked on the day it is made.

What may be known by then: what the guest books, and what became of earlier bookings. ``is_canceled`` is known from the
same day to more than two hundred days later, and cancellations sooner than stays. What the hotel writes into a booking
afterwards (``assigned_room_type``, ``booking_changes``, ``reservation_status`` ...) is no feature.
"""

import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

bookings = ef.Source(
    "bookings",
    path="{data}/hotel_bookings.parquet",
    timestamp="booking_ts",
    description="One row for each booking: what was booked, and later what became of it. Whole days.",
)

market_segment = ef.Entity("market_segment", dtype=pl.String, description="How the booking came about.")


@ef.feature_view(entities=[market_segment], source=bookings, timestamp="label_ts", ttl="30d", lookback="61d")
def segment_record(bookings: pl.LazyFrame) -> pl.LazyFrame:
    """How often bookings of the segment were cancelled, counted for sixty days from when it was known.

    Instants are whole days, and a booking may be cancelled on the day it is made. So that none ever sees its own end,
    each one counts from the day after.
    """
    known = pl.max_horizontal("label_ts", "booking_ts") + pl.duration(days=1)
    return (
        bookings.with_columns(label_ts=known)
        .sort("label_ts")
        .rolling("label_ts", period="60d", group_by="market_segment")
        .agg(cancelled_share=pl.col("is_canceled").mean(), count=pl.len())
        .unique(["market_segment", "label_ts"])
    )


@ef.on_demand
def stay(request: pl.DataFrame) -> pl.DataFrame:
    """How long, how many, and when in the week; the month would only be learnt by heart within a first year."""
    nights = pl.col("stays_in_weekend_nights") + pl.col("stays_in_week_nights")
    return request.select(nights=nights, arrival_weekday=pl.col("arrival_ts").dt.weekday())


BOOKED = [
    "hotel",
    "lead_time",
    "stays_in_weekend_nights",
    "stays_in_week_nights",
    "adults",
    "children",
    "meal",
    "country",
    "market_segment",
    "distribution_channel",
    "is_repeated_guest",
    "previous_cancellations",
    "previous_bookings_not_canceled",
    "reserved_room_type",
    "deposit_type",
    "agent",
    "customer_type",
    "adr",
    "total_of_special_requests",
]

cancelled = ef.Model(
    "cancelled",
    task="binary",
    events=ef.Events(bookings, id="booking_id"),
    request=[*BOOKED, "arrival_ts", "booking_ts"],
    features=[*BOOKED, stay, segment_record],
    label=ef.Label("is_canceled", known_at="label_ts"),
    metric="log_loss",
    slices=["hotel", "deposit_type"],
    description="The chance that a booking is cancelled, asked on the day it is made.",
)


@cancelled.trainer(
    learning_rate=ef.Float(0.02, 0.2, log=True, default=0.05),
    max_leaf_nodes=ef.Int(8, 32, log=True, default=15),
    min_samples_leaf=ef.Int(20, 200, log=True, default=40),
)
def train(X, y, learning_rate, max_leaf_nodes, min_samples_leaf, seed):
    """Gradient-boosted trees, on every label that is known: they are biased, but old ones are worse."""
    return HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=min_samples_leaf,
        max_iter=150,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    ).fit(X, y)


cancelled.ship_when(ef.BeatsChampion(), ef.MaxLatency(p99_ms=50), ef.LabelBalance(max_ratio=6))
cancelled.retrain_when(ef.PerformanceDrop(), ef.Every("30d"), ef.NewRelease(), cooldown="7d", back_off="14d")
cancelled.roll_out(ef.Shadow(300), ef.Canary(share=0.5, requests=300), watch="14d")

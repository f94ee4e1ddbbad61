"""Will this flight out of New York arrive 15 or more minutes late? Asked at its scheduled departure.

What may be known by then: the schedule, weather already observed, and how flights that have already left or landed
fared. Everything else in ``flights.parquet`` (``dep_ts``, ``arr_delay``, ``cancelled`` ...) is known only afterwards;
it makes features of *other* flights, at the time it became known, and the label of this one.
"""

import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

LATE_MINUTES = 15

flights = ef.Source(
    "flights",
    path="{data}/flights.parquet",
    timestamp="sched_dep_ts",
    description="One row for each flight out of New York: the schedule, and later what became of it.",
)
weather_reports = ef.Source(
    "weather_reports",
    path="{data}/weather.parquet",
    timestamp="observed_ts",
    description="Hourly weather at the three airports.",
)

carrier = ef.Entity("carrier", dtype=pl.String, description="The airline's two-letter code.")
origin = ef.Entity("origin", dtype=pl.String, description="The airport of departure.")
dest = ef.Entity("dest", dtype=pl.String, description="The airport of arrival.")

weather = ef.FeatureView(
    "weather",
    entities=[origin],
    source=weather_reports,
    features=["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"],
    ttl="3h",
    description="The newest report from the airport of departure.",
)


@ef.feature_view(entities=[origin], source=flights, timestamp="dep_ts", ttl="6h", lookback="3h")
def departures(flights: pl.LazyFrame) -> pl.LazyFrame:
    """How late planes have left the origin over the last two hours.

    A plane may leave early, or on the very minute at which its own prediction is asked. So that no flight ever sees
    its own departure, each one counts from the minute after it left or was due to leave, whichever came later. At
    most three quarters of an hour lie between the two: hence a look-back of three hours for a window of two.
    """
    known = pl.max_horizontal("dep_ts", "sched_dep_ts") + pl.duration(minutes=1)
    return (
        flights.filter(pl.col("dep_ts").is_not_null())
        .with_columns(known.alias("dep_ts"))
        .sort("dep_ts")
        .rolling("dep_ts", period="2h", group_by="origin")
        .agg(
            delay_mean=pl.col("dep_delay").mean(),
            late_share=(pl.col("dep_delay") >= LATE_MINUTES).mean(),
            count=pl.len(),
        )
        .unique(["origin", "dep_ts"])
    )


def _late_shares(flights: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """The share of late ones among the flights that landed in the last 6 hours and the last 14 days, by ``key``."""
    landed = (
        flights.filter(pl.col("arr_delay").is_not_null())
        .with_columns(late=(pl.col("arr_delay") >= LATE_MINUTES).cast(pl.Float64))
        .sort("label_ts")
    )
    shares = [
        landed.rolling("label_ts", period=period, group_by=key)
        .agg(pl.col("late").mean().alias(f"late_share_{period}"))
        .unique([key, "label_ts"])
        for period in ("6h", "14d")
    ]
    return shares[0].join(shares[1], on=[key, "label_ts"])


@ef.feature_view(entities=[carrier], source=flights, timestamp="label_ts", ttl="3d", lookback="14d")
def carrier_record(flights: pl.LazyFrame) -> pl.LazyFrame:
    """How often the carrier's flights were late, counted when they have landed."""
    return _late_shares(flights, "carrier")


@ef.feature_view(entities=[dest], source=flights, timestamp="label_ts", ttl="3d", lookback="14d")
def destination_record(flights: pl.LazyFrame) -> pl.LazyFrame:
    """How often flights to the destination were late, counted when they have landed."""
    return _late_shares(flights, "dest")


@ef.on_demand
def calendar(request: pl.DataFrame) -> pl.DataFrame:
    """The hour and weekday on New York's clocks, which daylight saving moves against UTC."""
    local = pl.col("sched_dep_ts").dt.convert_time_zone("America/New_York")
    return request.select(hour=local.dt.hour() + local.dt.minute() / 60, weekday=local.dt.weekday())


late_arrival = ef.Model(
    "late_arrival",
    task="binary",
    events=ef.Events(
        flights,
        id="flight_id",
        timestamp="sched_dep_ts",
        where=~pl.col("cancelled") & ~pl.col("diverted") & pl.col("sched_dep_ts").is_not_null(),
    ),
    request=["carrier", "origin", "dest", "distance", "sched_dep_ts"],
    features=[
        "carrier",
        "origin",
        "dest",
        "distance",
        calendar,
        weather,
        departures,
        carrier_record,
        destination_record,
    ],
    label=ef.Label(pl.col("arr_delay") >= LATE_MINUTES, known_at="label_ts"),
    metric="log_loss",
    slices=["carrier", "origin"],
    description="The chance that a flight arrives 15 or more minutes late, asked at its scheduled departure.",
)


@late_arrival.trainer(
    learning_rate=ef.Float(0.02, 0.2, log=True, default=0.05),
    max_leaf_nodes=ef.Int(8, 32, log=True, default=15),
    min_samples_leaf=ef.Int(50, 400, log=True, default=100),
)
def train(X, y, learning_rate, max_leaf_nodes, min_samples_leaf, seed):
    """Gradient-boosted trees; missing weather needs no treatment.

    Carriers and airports arrive as codes and are split as numbers, which is enough for many small trees. Nothing is
    stopped early: that would hold back rows at random, and flights of one afternoon are too alike for that.
    """
    return HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=min_samples_leaf,
        max_iter=200,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    ).fit(X, y)


late_arrival.ship_when(ef.BeatsChampion(), ef.MaxLatency(p99_ms=50), ef.Slices("origin", max_gap=0.1))

"""Will this order be late? Asked when it is placed, known about 40 minutes later.

The company is simulated (``company.py``), so that the project needs no data and the truth is known.
"""

import polars as pl
from company import simulate
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef


def read_orders() -> pl.DataFrame:
    """The orders, with what became of them."""
    return simulate().orders


def read_weather() -> pl.DataFrame:
    """The weather reports."""
    return simulate().weather


def read_shops() -> pl.DataFrame:
    """The shops' own reports on their kitchens."""
    return simulate().shops


def read_couriers() -> pl.DataFrame:
    """The staff list, as it changed."""
    return simulate().couriers


orders = ef.Source("orders", function=read_orders, timestamp="ordered_at")
weather_reports = ef.Source("weather_reports", function=read_weather, timestamp="observed_at")
# These two are known later than they are true: `created` keeps a row out of every answer given before it arrived.
shop_reports = ef.Source("shop_reports", function=read_shops, timestamp="reported_at", created="created")
staff_list = ef.Source("staff_list", function=read_couriers, timestamp="changed_at", created="created")

zone = ef.Entity("zone", dtype=pl.String)
shop = ef.Entity("shop", dtype=pl.String)
courier = ef.Entity("courier", dtype=pl.String)

weather = ef.FeatureView(
    "weather",
    entities=[zone],
    source=weather_reports,
    features=["temperature_c", "rain_mm", "wind_ms"],
    ttl="3h",
    description="The newest report from the zone.",
)
courier_profile = ef.FeatureView(
    "courier_profile",
    entities=[courier],
    source=staff_list,
    features=["vehicle", "experience_days"],
    ttl="30d",
    description="Vehicle and experience, as on the staff list.",
)


@ef.feature_view(entities=[shop], source=shop_reports, created="created", ttl="14h", lookback="2h")
def kitchen(shops: pl.LazyFrame) -> pl.LazyFrame:
    """How loaded the shop is: its newest report, and its mean preparation over two hours."""
    return (
        shops.sort("reported_at")
        .rolling("reported_at", period="2h", group_by="shop")
        .agg(
            pl.col("created").max(),  # known once the last report that it is made of has arrived
            preparation_now=pl.col("preparation_minutes").last(),
            preparation_mean=pl.col("preparation_minutes").mean(),
            orders_in_hand=pl.col("orders_in_hand").last(),
        )
    )


@ef.feature_view(entities=[courier], source=orders, timestamp="confirmed_at", ttl="7d", lookback="7d")
def courier_record(orders: pl.LazyFrame) -> pl.LazyFrame:
    """How often the courier was late over a week, counted when the outcomes were known."""
    return (
        orders.sort("confirmed_at")
        .rolling("confirmed_at", period="7d", group_by="courier")
        .agg(late_share=pl.col("late").mean(), deliveries=pl.len())
        .unique(["courier", "confirmed_at"])
    )


@ef.on_demand
def calendar(request: pl.DataFrame) -> pl.DataFrame:
    """The minute of the day, and the weekday, of the order."""
    at = pl.col("ordered_at")
    # A whole number: a hundredth of an hour, divided one by one or by the column, differs in its last bit.
    minute = at.dt.hour().cast(pl.Int64) * 60 + at.dt.minute()
    return request.select(minute=minute, weekday=at.dt.weekday())


late_delivery = ef.Model(
    "late_delivery",
    task="binary",
    events=ef.Events(orders, id="order_id"),
    request=["zone", "shop", "chain", "courier", "distance_km", "items", "promised_minutes", "ordered_at"],
    features=[
        "zone",
        "chain",
        "distance_km",
        "items",
        "promised_minutes",
        calendar,
        weather,
        kitchen,
        courier_profile,
        courier_record,
    ],
    label=ef.Label("late", known_at="confirmed_at"),
    metric="log_loss",
    slices=["zone", "chain"],
    description="The chance that an order arrives five or more minutes after the promised time.",
)


@late_delivery.trainer(
    learning_rate=ef.Float(0.03, 0.3, log=True, default=0.08),
    max_leaf_nodes=ef.Int(6, 32, log=True, default=12),
)
def train(X, y, learning_rate, max_leaf_nodes, categorical, seed):
    """Gradient-boosted trees, which take missing values and categories as they are."""
    return HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        max_iter=120,
        categorical_features=categorical,
        early_stopping=False,
        random_state=seed,
    ).fit(X, y)


# What keeps the model fit: `everfit up` retrains it when there is reason to, ships only what is better, ...
late_delivery.retrain_when(ef.PerformanceDrop(), ef.NewRelease(), cooldown="1d", least_labels=1_000)
late_delivery.ship_when(ef.BeatsChampion(strictly=True), ef.MaxLatency(p99_ms=50), ef.Slices("zone", max_gap=0.1))
# ... lets nobody hear it at first, then one in ten, then every second; and takes it back if it turns out to be worse.
late_delivery.roll_out(
    ef.Shadow(requests=400),
    ef.Canary(share=0.1, requests=50),
    ef.Canary(share=0.5, requests=400),
    watch="3d",
)

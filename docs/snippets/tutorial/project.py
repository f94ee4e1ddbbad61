"""Which orders will arrive late?"""

# region sources
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
reports = ef.Source("weather_reports", path="weather.parquet", timestamp="observed_at")

shop = ef.Entity("shop", dtype=pl.String)
city = ef.Entity("city", dtype=pl.String)
# endregion

# region views
weather = ef.FeatureView("weather", entities=[city], source=reports, features=["rain_mm"], ttl="3h")


@ef.feature_view(entities=[shop], source=orders, timestamp="delivered_at", ttl="7d", lookback="3d")
def record(orders):
    """Share of late orders among those that the shop delivered in the last three days."""
    return (
        orders.sort("delivered_at")
        .rolling("delivered_at", period="3d", group_by="shop")
        .agg(late_share=pl.col("late").mean())
    )


@ef.on_demand
def calendar(request):
    return request.select(
        hour=pl.col("ordered_at").dt.hour(),
        weekday=pl.col("ordered_at").dt.weekday(),
    )


# endregion

# region model
late = ef.Model(
    "late_order",
    task="binary",
    events=ef.Events(orders, id="order_id"),
    request=["shop", "city", "distance_km", "ordered_at"],
    features=[weather, record, calendar, "distance_km"],
    label=ef.Label("late", known_at="delivered_at"),
    metric="log_loss",
)


@late.trainer(learning_rate=ef.Float(0.02, 0.3, log=True), max_leaf_nodes=ef.Int(4, 32, log=True))
def train(X, y, learning_rate, max_leaf_nodes):
    return HistGradientBoostingClassifier(learning_rate=learning_rate, max_leaf_nodes=max_leaf_nodes).fit(X, y)


# endregion

# region gates
late.ship_when(ef.BeatsChampion(), ef.MaxLatency(p99_ms=20))
# endregion

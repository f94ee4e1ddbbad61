"""The chance that a delivery arrives late."""

# region sources
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

deliveries = ef.Source("deliveries", path="deliveries.parquet", timestamp="ordered_at")
reports = ef.Source("weather_reports", path="weather.parquet", timestamp="observed_at")

shop = ef.Entity("shop", dtype=pl.String)
city = ef.Entity("city", dtype=pl.String)
# endregion

# region views
weather = ef.FeatureView("weather", entities=[city], source=reports, features=["rain_mm"], ttl="6h")


@ef.feature_view(entities=[shop], source=deliveries, timestamp="delivered_at", ttl="7d", lookback="3d")
def record(deliveries):
    """Share of late deliveries among those of the shop in the last three days."""
    return (
        deliveries.sort("delivered_at")
        .rolling("delivered_at", period="3d", group_by="shop")
        .agg(late_share=pl.col("is_late").mean())
    )


# endregion

# region model
late_order = ef.Model(
    "late_order",
    task="binary",
    events=ef.Events(deliveries, id="delivery_id"),
    request=["shop", "city", "distance_km", "ordered_at"],
    features=[weather, record, "distance_km"],
    label=ef.Label("is_late", known_at="delivered_at"),
    metric="log_loss",
)
# endregion


# region trainer
@late_order.trainer(learning_rate=ef.Float(0.02, 0.3, log=True), max_leaf_nodes=ef.Int(4, 32, log=True))
def train(X, y, learning_rate, max_leaf_nodes):
    return HistGradientBoostingClassifier(learning_rate=learning_rate, max_leaf_nodes=max_leaf_nodes).fit(X, y)


# endregion

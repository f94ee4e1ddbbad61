"""The project file that the README shows."""

# region readme
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
shop = ef.Entity("shop", dtype=pl.String)


@ef.feature_view(entities=[shop], source=orders, timestamp="delivered_at", ttl="2d", lookback="1d")
def shop_record(orders):  # counted when orders have arrived, so that no order sees its own outcome
    return orders.sort("delivered_at").rolling("delivered_at", period="1d", group_by="shop").agg(pl.col("late").mean())


late = ef.Model(
    "late",
    task="binary",
    events=ef.Events(orders, id="order_id"),
    request=["shop", "distance_km"],
    features=[shop_record, "distance_km"],
    label=ef.Label("late", known_at="delivered_at"),
)


@late.trainer(learning_rate=ef.Float(0.02, 0.3, log=True))
def train(X, y, learning_rate):
    return HistGradientBoostingClassifier(learning_rate=learning_rate).fit(X, y)


# endregion

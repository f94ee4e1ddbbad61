"""The project file that the README shows."""

# region readme
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

deliveries = ef.Source("deliveries", path="deliveries.parquet", timestamp="ordered_at")
late_order = ef.Model(
    "late_order",
    task="binary",
    events=ef.Events(deliveries, id="delivery_id"),
    request=["shop", "distance_km"],
    features=["shop", "distance_km"],
    label=ef.Label("is_late", known_at="delivered_at"),
)


@late_order.trainer(learning_rate=ef.Float(0.02, 0.3, log=True))
def train(X, y, learning_rate):
    return HistGradientBoostingClassifier(learning_rate=learning_rate).fit(X, y)


# endregion

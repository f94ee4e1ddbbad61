"""What is predicted, from which data, how it is learnt and what counts as good.

Read it from top to bottom: source, entity, features, model, trainer, gates. Nothing here reads data or fits anything;
it only says what is meant, and `everfit check` holds it against the data.
"""

import polars as pl
from sklearn.ensemble import HistGradientBoostingRegressor

import everfit as ef

# A source is a table with an event time. Instants must have a time zone; in CSV, write them as 2026-01-31T18:00:00Z.
# Other sources are Parquet, Delta tables, SQL queries and functions that return a Polars frame.
sales = ef.Source(
    "sales",
    path="data/sales.csv",
    timestamp="opens_at",
    description="One row for each shop and day; what was sold is known when it closes.",
)

# An entity is what features are about; its key must be in every request.
shop = ef.Entity("shop", dtype=pl.String)


# A feature view has a history: at each moment, a shop had these values. Its rows carry the time at which they became
# known (here `closes_at`), so that no prediction ever sees its own day, in training no more than in production.
# `lookback` says how much history a row needs, and `ttl` how long it may be used.
@ef.feature_view(entities=[shop], source=sales, timestamp="closes_at", ttl="3d", lookback="28d")
def recent_sales(sales: pl.LazyFrame) -> pl.LazyFrame:
    """What the shop sold on its last day, and on average over 7 and 28 days."""
    days = sales.sort("closes_at")
    weeks = days.rolling("closes_at", period="7d", group_by="shop").agg(
        last_day=pl.col("sold").last(), mean_7d=pl.col("sold").mean()
    )
    month = days.rolling("closes_at", period="28d", group_by="shop").agg(mean_28d=pl.col("sold").mean())
    return weeks.join(month, on=["shop", "closes_at"])


# On-demand features need nothing but the request. Written as one `select` of expressions, they are stored with the
# model as data, and computed without a frame.
@ef.on_demand
def calendar(request: pl.DataFrame) -> pl.DataFrame:
    """Weekday and month."""
    return request.select(weekday=pl.col("opens_at").dt.weekday(), month=pl.col("opens_at").dt.month())


demand = ef.Model(
    "demand",
    task="regression",
    # When a prediction is requested, and for what: each row needs an id of its own.
    events=ef.Events(sales, id="sale_id"),
    # What a caller sends. Only what is known when a prediction is requested: not `sold`.
    request=["shop", "opens_at", "price", "promotion"],
    # What the estimator sees, in this order.
    features=["shop", "price", "promotion", calendar, recent_sales],
    # What becomes true later, and when it was known.
    label=ef.Label("sold", known_at="closes_at"),
    metric="mae",
    slices=["shop"],
    description="How many loaves a shop sells on a day.",
)


# X is a float64 matrix: categories are codes, missing values NaN. Ask for `categorical` or `seed` by name to get them.
# The keyword arguments of the decorator are what tuning may vary.
@demand.trainer(learning_rate=ef.Float(0.03, 0.3, log=True), max_leaf_nodes=ef.Int(4, 16, log=True))
def train(X, y, learning_rate, max_leaf_nodes, categorical, seed):
    """Gradient-boosted trees."""
    return HistGradientBoostingRegressor(
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        categorical_features=categorical,
        early_stopping=False,
        random_state=seed,
    ).fit(X, y)


# Twelve gates judge every candidate, and those of the limits in design.md. Change a limit of the twelve here, or add a
# gate of your own: demand.ship_when(ef.NewCategories(max_share=0.1)).

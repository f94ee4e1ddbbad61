"""What is predicted, from which data, how it is learnt and what counts as good.

Read it from top to bottom: source, entity, features, model, trainer, gates. Nothing here reads data or fits anything;
it only says what is meant, and `everfit check` holds it against the data.
"""

import polars as pl
from sklearn.ensemble import HistGradientBoostingRegressor

import everfit as ef

# A source is a table with an event time. Instants must have a time zone; in CSV, write them as 2026-01-31T18:00:00Z.
# Other sources are Parquet, Delta tables, SQL queries and functions that return a Polars frame.
repairs = ef.Source(
    "repairs",
    path="data/repairs.csv",
    timestamp="brought_at",
    description="One row for each repair; `minutes` and `finished_at` are empty until it is finished.",
)

# An entity is what features are about; its key must be in every request.
workshop = ef.Entity("workshop", dtype=pl.String)


# A feature view has a history: at each moment, a workshop had these values. Its rows carry the time at which they
# became known (here `finished_at`), so that no prediction ever sees a repair that was not finished by then, in training
# no more than in production. `lookback` says how much history a row needs, and `ttl` how long it may be used.
@ef.feature_view(entities=[workshop], source=repairs, timestamp="finished_at", ttl="7d", lookback="14d")
def recent_repairs(repairs: pl.LazyFrame) -> pl.LazyFrame:
    """How many repairs the workshop finished in 14 days, and how long they took on average."""
    finished = repairs.filter(pl.col("finished_at").is_not_null()).sort("finished_at")
    return finished.rolling("finished_at", period="14d", group_by="workshop").agg(
        repairs_14d=pl.len(), mean_14d=pl.col("minutes").mean()
    )


# On-demand features need nothing but the request. Written as one `select` of expressions, they are stored with the
# model as data, and computed without a frame.
@ef.on_demand
def calendar(request: pl.DataFrame) -> pl.DataFrame:
    """Weekday and hour."""
    return request.select(weekday=pl.col("brought_at").dt.weekday(), hour=pl.col("brought_at").dt.hour())


duration = ef.Model(
    "duration",
    task="regression",
    # When a prediction is requested, and for what: each row needs an id of its own.
    events=ef.Events(repairs, id="repair_id"),
    # What a caller sends. Only what is known when a prediction is requested: not `minutes`.
    request=["workshop", "kind", "fault", "age_years", "brought_at"],
    # What the estimator sees, in this order.
    features=["kind", "fault", "age_years", calendar, recent_repairs],
    # What becomes true later, and when it was known.
    label=ef.Label("minutes", known_at="finished_at"),
    metric="mae",
    slices=["kind"],
    description="How many minutes the repair of a bicycle takes.",
)


# X is a float64 matrix: categories are codes, missing values NaN. Ask for `categorical` or `seed` by name to get them.
# The keyword arguments of the decorator are what tuning may vary.
@duration.trainer(learning_rate=ef.Float(0.03, 0.3, log=True), max_leaf_nodes=ef.Int(4, 16, log=True))
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
# gate of your own: duration.ship_when(ef.NewCategories(max_share=0.1)).

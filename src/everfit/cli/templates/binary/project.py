"""What is predicted, from which data, how it is learnt and what counts as good.

Read it from top to bottom: source, entity, features, model, trainer, gates. Nothing here reads data or fits anything;
it only says what is meant, and `everfit check` holds it against the data.
"""

import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

# A source is a table with an event time. Instants must have a time zone; in CSV, write them as 2026-01-31T18:00:00Z.
# Other sources are Parquet, Delta tables, SQL queries and functions that return a Polars frame.
invoices = ef.Source(
    "invoices",
    path="data/invoices.csv",
    timestamp="issued_at",
    description="One row for each invoice; `paid_late` and `settled_at` are empty until it is known.",
)

# An entity is what features are about; its key must be in every request.
customer = ef.Entity("customer", dtype=pl.String)


# A feature view has a history: at each moment, a customer had these values. Its rows carry the time at which they
# became known (here `settled_at`), so that no prediction ever sees an invoice that was not settled by then, in training
# no more than in production. `lookback` says how much history a row needs, and `ttl` how long it may be used.
@ef.feature_view(entities=[customer], source=invoices, timestamp="settled_at", ttl="90d", lookback="180d")
def payment_history(invoices: pl.LazyFrame) -> pl.LazyFrame:
    """How many invoices of the customer were settled in 180 days, and which share of them late."""
    settled = invoices.filter(pl.col("settled_at").is_not_null()).sort("settled_at")
    return settled.rolling("settled_at", period="180d", group_by="customer").agg(
        invoices_180d=pl.len(), late_share_180d=pl.col("paid_late").mean()
    )


# On-demand features need nothing but the request. Written as one `select` of expressions, they are stored with the
# model as data, and computed without a frame.
@ef.on_demand
def terms(request: pl.DataFrame) -> pl.DataFrame:
    """Days until the invoice is due, and the month it is issued in."""
    days = (pl.col("due_at") - pl.col("issued_at")).dt.total_days()
    return request.select(days_to_pay=days, month=pl.col("issued_at").dt.month())


late_payment = ef.Model(
    "late_payment",
    task="binary",
    # When a prediction is requested, and for what: each row needs an id of its own.
    events=ef.Events(invoices, id="invoice_id"),
    # What a caller sends. Only what is known when a prediction is requested: not `paid_late`.
    request=["customer", "sector", "amount", "issued_at", "due_at"],
    # What the estimator sees, in this order.
    features=["sector", "amount", terms, payment_history],
    # What becomes true later, and when it was known.
    label=ef.Label("paid_late", known_at="settled_at"),
    metric="log_loss",
    slices=["sector"],
    description="The probability that an invoice is paid more than a week after it is due.",
)


# X is a float64 matrix: categories are codes, missing values NaN. Ask for `categorical` or `seed` by name to get them.
# The keyword arguments of the decorator are what tuning may vary.
@late_payment.trainer(learning_rate=ef.Float(0.03, 0.3, log=True), max_leaf_nodes=ef.Int(4, 16, log=True))
def train(X, y, learning_rate, max_leaf_nodes, categorical, seed):
    """Gradient-boosted trees."""
    return HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        categorical_features=categorical,
        early_stopping=False,
        random_state=seed,
    ).fit(X, y)


# Twelve gates judge every candidate, and those of the limits in design.md. Change a limit of the twelve here, or add a
# gate of your own: late_payment.ship_when(ef.NewCategories(max_share=0.1)).

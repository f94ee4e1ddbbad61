"""What is predicted, from which data, how it is learnt and what counts as good.

Read it from top to bottom: source, entity, features, model, trainer, gates. Nothing here reads data or fits anything;
it only says what is meant, and `everfit check` holds it against the data.
"""

import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

# A source is a table with an event time. Instants must have a time zone; in CSV, write them as 2026-01-31T18:00:00Z.
# Other sources are Parquet, Delta tables, SQL queries and functions that return a Polars frame.
tickets = ef.Source(
    "tickets",
    path="data/tickets.csv",
    timestamp="opened_at",
    description="One row for each ticket; `team` and `closed_at` are empty while it is open.",
)

# An entity is what features are about; its key must be in every request.
product = ef.Entity("product", dtype=pl.String)


# A feature view has a history: at each moment, a product had these values. Its rows carry the time at which they became
# known (here `closed_at`), so that no prediction ever sees a ticket that was still open then, in training no more than
# in production. `lookback` says how much history a row needs, and `ttl` how long it may be used.
@ef.feature_view(entities=[product], source=tickets, timestamp="closed_at", ttl="7d", lookback="7d")
def recent_tickets(tickets: pl.LazyFrame) -> pl.LazyFrame:
    """How many tickets on the product were closed in a week, and which share of them by the technical team."""
    closed = tickets.filter(pl.col("closed_at").is_not_null()).sort("closed_at")
    return closed.rolling("closed_at", period="7d", group_by="product").agg(
        closed_7d=pl.len(), technical_7d=(pl.col("team") == "technical").mean()
    )


# On-demand features need nothing but the request. Written as one `select` of expressions, they are stored with the
# model as data, and computed without a frame.
@ef.on_demand
def text(request: pl.DataFrame) -> pl.DataFrame:
    """What the subject mentions, and how long it is."""
    subject = pl.col("subject").str.to_lowercase()
    return request.select(
        letters=subject.str.len_chars(),
        money=subject.str.contains("refund", literal=True) | subject.str.contains("invoice", literal=True),
        parcel=subject.str.contains("parcel", literal=True) | subject.str.contains("courier", literal=True),
        broken=subject.str.contains("error", literal=True) | subject.str.contains("broken", literal=True),
    )


routing = ef.Model(
    "routing",
    task="multiclass",
    # When a prediction is requested, and for what: each row needs an id of its own.
    events=ef.Events(tickets, id="ticket_id"),
    # What a caller sends. Only what is known when a prediction is requested: not `team`.
    request=["product", "channel", "subject", "opened_at"],
    # What the estimator sees, in this order.
    features=["product", "channel", text, recent_tickets],
    # What becomes true later, and when it was known.
    label=ef.Label("team", known_at="closed_at"),
    metric="log_loss",
    slices=["channel"],
    description="The team that will close a ticket, with the probability of each.",
)


# X is a float64 matrix: categories are codes, missing values NaN. Ask for `categorical` or `seed` by name to get them.
# The keyword arguments of the decorator are what tuning may vary.
@routing.trainer(learning_rate=ef.Float(0.03, 0.3, log=True), max_leaf_nodes=ef.Int(4, 16, log=True))
def train(X, y, learning_rate, max_leaf_nodes, categorical, seed):
    """Gradient-boosted trees."""
    return HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        max_iter=60,
        categorical_features=categorical,
        early_stopping=False,
        random_state=seed,
    ).fit(X, y)


# Twelve gates judge every candidate, and those of the limits in design.md. Change a limit of the twelve here, or add a
# gate of your own: routing.ship_when(ef.NewCategories(max_share=0.1)).

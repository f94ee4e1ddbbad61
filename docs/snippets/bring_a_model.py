"""Models that people bring, as docs/howto/bring-a-model.md shows them; a test trains them all."""

# region imports
import numpy as np
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

import everfit as ef

# endregion
deliveries = ef.Source("deliveries", path="orders.parquet", timestamp="ordered_at")
MODELS = []


def model():
    names = ["shop", "channel", "distance_km", "items"]
    made = ef.Model(
        "late_order",
        task="binary",
        events=ef.Events(deliveries, id="order_id"),
        request=names,
        features=names,
        label=ef.Label("late", known_at="delivered_at"),
    )
    MODELS.append(made)
    return made


late_order = model()


# region pipeline
@late_order.trainer(frame="pandas", C=ef.Float(0.01, 10.0, log=True))
def train(X, y, C):
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["shop", "channel"]),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["distance_km", "items"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression(C=C)).fit(X, y)


# endregion
late_order = model()


# region lightgbm
@late_order.trainer(frame="pandas", categories=["shop", "channel"])
def train(X, y, seed):  # noqa: F811
    return LGBMClassifier(n_estimators=30, random_state=seed, verbose=-1).fit(X, y)


# endregion
late_order = model()


# region xgboost
@late_order.trainer(frame="pandas", categories=["shop", "channel"])
def train(X, y, seed):  # noqa: F811
    return XGBClassifier(n_estimators=30, enable_categorical=True, random_state=seed).fit(X, y)


# endregion
late_order = model()


# region catboost
@late_order.trainer(frame="pandas")
def train(X, y, categorical, seed):  # noqa: F811
    trees = CatBoostClassifier(
        iterations=30, cat_features=categorical, random_seed=seed, verbose=False, allow_writing_files=False
    )
    return trees.fit(X, y)


# endregion
late_order = model()


# region own
class ByShop:
    """The rate of each shop; the overall rate for shops that training never saw."""

    def fit(self, X, y):
        self.rates = {shop: y[X["shop"] == shop].mean() for shop in X["shop"].dropna().unique()}
        self.rate = y.mean()
        return self

    def predict_proba(self, X):
        chance = np.array([self.rates.get(shop, self.rate) for shop in X["shop"]])
        return np.column_stack([1 - chance, chance])


@late_order.trainer(frame="pandas")
def train(X, y):  # noqa: F811
    return ByShop().fit(X, y)


# endregion

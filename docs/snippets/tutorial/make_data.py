"""A year of made-up orders and weather until now, so that the tutorial needs no download: ``python make_data.py``."""

import numpy as np
import polars as pl

rng = np.random.default_rng(7)
orders, hours = 40_000, 365 * 24
minutes = np.timedelta64(1, "m")
start = np.datetime64("now", "h").astype("datetime64[us]") - hours * 60 * minutes

rain_mm = np.maximum(0.0, rng.normal(-1.0, 2.0, hours)).round(1)
weather = pl.DataFrame({"city": "Lyon", "observed_at": start + np.arange(hours) * 60 * minutes, "rain_mm": rain_mm})

minute = np.sort(rng.integers(0, hours * 60 - 240, orders))
shop = rng.integers(0, 40, orders)
distance_km = rng.gamma(2.0, 1.5, orders).round(2)
# Every shop has good and bad weeks; they are what its recent record tells.
form = rng.normal(0.0, 1.0, (40, 53))[shop, minute // (7 * 24 * 60)]
chance = 1 / (1 + np.exp(3.2 - 0.45 * distance_km - 0.35 * rain_mm[minute // 60] - form))
late = rng.random(orders) < chance
delivered = minute + np.where(late, 55, 30) + rng.integers(0, 15, orders)

table = pl.DataFrame(
    {
        "order_id": np.arange(orders),
        "city": "Lyon",
        "shop": [f"shop-{number:02}" for number in shop],
        "distance_km": distance_km,
        "ordered_at": start + minute * minutes,
        "delivered_at": start + delivered * minutes,
        "late": late,
    }
)
for name, frame in {"orders": table, "weather": weather}.items():
    frame.with_columns(pl.selectors.datetime().dt.replace_time_zone("UTC")).write_parquet(f"{name}.parquet")

"""Make a year of deliveries and weather reports that ends now: ``python make_data.py``."""

import numpy as np
import polars as pl

rng = np.random.default_rng(7)
deliveries, hours = 40_000, 365 * 24 + 1
minutes = np.timedelta64(1, "m")
start = np.datetime64("now", "h").astype("datetime64[us]") - (hours - 1) * 60 * minutes

rain_mm = np.maximum(0.0, rng.normal(-1.0, 2.0, hours)).round(1)
weather = pl.DataFrame({"city": "Lyon", "observed_at": start + np.arange(hours) * 60 * minutes, "rain_mm": rain_mm})

minute = np.sort(rng.integers(0, hours * 60 - 120, deliveries))
ordered_at = start + minute * minutes
shop = rng.integers(0, 40, deliveries)
distance_km = rng.gamma(2.0, 1.5, deliveries).round(2)
# Every shop has good and bad weeks, and most people order between six and nine in the evening.
form = rng.normal(0.0, 1.0, (40, 54))[shop, minute // (7 * 24 * 60)]
hour = (ordered_at - ordered_at.astype("datetime64[D]")) // np.timedelta64(60, "m")
rush = np.where((hour >= 18) & (hour < 21), 1.5, 0.0)
chance = 1 / (1 + np.exp(3.4 - 0.45 * distance_km - 0.35 * rain_mm[minute // 60] - form - rush))
is_late = rng.random(deliveries) < chance
delivered_at = ordered_at + (np.where(is_late, 55, 30) + rng.integers(0, 15, deliveries)) * minutes

tables = {
    "weather": weather,
    "deliveries": pl.DataFrame(
        {
            "delivery_id": np.arange(deliveries),
            "city": "Lyon",
            "shop": [f"shop-{number:02}" for number in shop],
            "distance_km": distance_km,
            "ordered_at": ordered_at,
            "delivered_at": delivered_at,
            "is_late": is_late,
        }
    ),
}
for name, table in tables.items():
    table.with_columns(pl.selectors.datetime().dt.replace_time_zone("UTC")).write_parquet(f"{name}.parquet")

"""A shadow is asked later than the champion, about the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from tests.serving.orders import NOW, ROW, Shop

from everfit.core.clock import FixedClock, to_us
from everfit.serving.inference.served_model import ReusedFeatures
from everfit.serving.protocols.json import RequestDecoder


def test_what_became_known_since_is_not_looked_up(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("journal", "workers"))
    own = replace(shop, folder=folder)
    worker = own.worker(FixedClock(NOW))
    model = worker.data_plane.variants("late").champion
    row = RequestDecoder(model.schema, max_rows=1).decode(json.dumps({"inputs": ROW}).encode()).rows[0]
    heard = model.predict([row], now_us=to_us(NOW))
    seen = [ReusedFeatures(model, heard.used[0])]
    # A row that is newer than the question takes the place of what was known at it.
    view = next(each for each in model.schema.lookups if each.view == "rating")
    later = to_us(NOW) + 3_600_000_000
    key = tuple(row[[field.name for field in model.schema.request].index(name)] for name in view.keys)
    online = own.online()
    rating = online.state("rating")
    assert rating is not None
    online.write_columns(rating, [[part] for part in key], [later], [later], [[None]] * len(view.features))
    assert model.predict([row], now_us=to_us(NOW)).used[0] != heard.used[0]
    assert model.predict([row], now_us=to_us(NOW), reused=seen).used[0] == heard.used[0]
    assert model.predict([row], now_us=to_us(NOW), reused=seen).values == heard.values

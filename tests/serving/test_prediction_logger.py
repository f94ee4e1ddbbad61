"""Many threads record at once, and each finds its own in the log before it says so."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.serving.orders import NOW, Shop
from tests.store.recent_predictions import recent_predictions

from everfit.serving.inference.served_model import RowPredictions
from everfit.serving.prediction_logger import PredictionLogger

THREADS, EACH = 6, 400


def test_no_thread_goes_on_before_its_own_is_written(shop: Shop, tmp_path: Path) -> None:
    prediction_logger = PredictionLogger(tmp_path / "journal", durability="batch", seal_after_s=60)
    model = shop.data_plane().variants("late").champion
    now_us = int(NOW.timestamp() * 1e6)
    problems: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(EACH):
                prediction_logger.log_predictions(
                    model, "champion", now_us=now_us, latency_us=1, ids=[f"{thread}-{number}"],
                    rows=[(None,) * len(model.schema.request)],
                    predicted=RowPredictions(values=[0.5], used=[(None,) * len(model.features)], missing={}),
                )  # fmt: skip
                prediction_logger.flush()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    found = [each for _, record in recent_predictions(tmp_path / "journal") for each in record.ids]
    assert sorted(found) == sorted(f"{thread}-{number}" for thread in range(THREADS) for number in range(EACH))
    prediction_logger.close()

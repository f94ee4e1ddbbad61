"""A service that runs for months must not grow."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.serving.load import load
from tests.serving.orders import ROW, Shop
from tests.serving.process import Service, running

WARM_S, SHARE_S = 15, 40
REQUESTS = int(os.environ.get("EVERFIT_TEST_REQUESTS", "300000"))
"""Two million are the whole proof: two minutes."""


def resident(service: Service) -> int:
    fields = Path(f"/proc/{service.process.pid}/statm").read_text().split()
    return int(fields[1]) * 4096


@pytest.mark.slow
def test_memory_stays_flat_over_many_requests(shop: Shop) -> None:
    with running(shop.folder, seal_seconds=5) as service:
        sizes: list[int] = []
        asked = 0
        while asked < REQUESTS or len(sizes) < 2:
            with load(f"{service.url}/predict/late", ROW, seconds=SHARE_S if sizes else WARM_S) as told:
                pass
            assert told[0].failed == []
            asked += len(told[0].answered)
            sizes.append(resident(service))
            sys.stdout.write(f"{asked:,} answers, {sizes[-1] / 2**20:.1f} MiB\n")
        service.stop()
    assert max(sizes) <= sizes[0] * 1.05

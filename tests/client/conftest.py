from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.serving.conftest import service, shop
from tests.serving.orders import Shop

__all__ = ["service", "shop"]


@pytest.fixture
def own(shop: Shop, tmp_path: Path) -> Shop:
    """A shop whose journal and disk belong to the test."""
    ignored = shutil.ignore_patterns("journal", "workers")
    return replace(shop, folder=Path(shutil.copytree(shop.folder, tmp_path / "shop", ignore=ignored)))

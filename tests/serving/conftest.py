from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.serving.orders import Shop, lightgbm, make_shop, trees
from tests.serving.process import Service, running


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A model of scikit-learn's trees, deployed; copy it before you change it."""
    return make_shop(tmp_path_factory.mktemp("served") / "shop", trees())


@pytest.fixture(scope="session")
def boosted(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same with LightGBM."""
    return make_shop(tmp_path_factory.mktemp("served") / "boosted", lightgbm())


@pytest.fixture(scope="session")
def service(shop: Shop) -> Iterator[Service]:
    """The shop's model, served by a process of its own."""
    with running(shop.folder) as started:
        assert started.url, started.process.communicate()[1]
        yield started

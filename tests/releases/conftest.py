"""A source repository of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.releases.origin import Origin, make_origin, mirror_of

from everfit.releases.mirror import Mirror


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """An empty repository."""
    return make_origin(tmp_path / "origin.git")


@pytest.fixture
def mirror(origin: Origin, tmp_path: Path) -> Mirror:
    """Its mirror, not made yet."""
    return mirror_of(origin.folder, tmp_path / "home" / ".everfit")

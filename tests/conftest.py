"""What every test may rely on: a clean environment, no network, few threads, repeatable examples."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.postgres import FOLDERS, running_server, server_programs

ROOT = Path(__file__).parents[1]

# Two workers on two cores: a pool of threads in each would only make them wait for each other. Set before NumPy and
# Polars are imported by a test.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_variable, "1")

settings.register_profile("everyday", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("everyday"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "everyday")


@pytest.fixture(autouse=True)
def _no_product_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell sets must not change a test's outcome."""
    for name in list(os.environ):
        if name.startswith("EVERFIT_") and not name.startswith("EVERFIT_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """A test that reaches beyond this machine fails, here as well as where there is no network."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in {"127.0.0.1", "::1", "localhost"}:
            raise RuntimeError(f"tests may only connect to this machine, but tried {host!r}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real data sets; see the README beside them. Absent, the test is skipped, but never in CI."""
    folder = Path(os.environ.get("EVERFIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "flights.parquet").is_file():
        reason = f"no flights.parquet in {folder}; set EVERFIT_TEST_DATA to the data folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database on a private PostgreSQL server. Without its package the test is skipped, never in CI."""
    programs = server_programs()
    if programs is None:
        reason = f"no PostgreSQL in {FOLDERS}; install Debian's package postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with running_server(programs) as url:
        yield url


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return ROOT

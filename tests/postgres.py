"""A private PostgreSQL server for tests, from Debian's package ``postgresql``; it listens on a Unix socket only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

FOLDERS = "/usr/lib/postgresql"
"""Where Debian's packages have their programs, which are not on the path."""
_START_S = 30.0
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "shared_buffers": "16MB",
    # Statistics of a session are visible to the others at once.
    "stats_fetch_consistency": "none",
    "autovacuum": "off",
}


def server_programs() -> Path | None:
    """Return the folder of the newest installed version's programs."""
    found = sorted(Path(FOLDERS).glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def running_server(programs: Path) -> Iterator[str]:
    """Yield the URL of a database on a server that ends with the block."""
    folder = Path(mkdtemp(prefix="everfit-pg-"))
    # The server refuses to run as root.
    owner = {"user": "postgres", "group": "postgres", "extra_groups": ()} if os.geteuid() == 0 else {}
    if owner:
        shutil.chown(folder, "postgres", "postgres")
    try:
        initdb = [programs / "initdb", "-D", folder / "data", "-U", "everfit", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*initdb, "--locale=C"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **owner)  # type: ignore[call-overload]
        options = [f"--{name}={value}" for name, value in {**_SETTINGS, "unix_socket_directories": folder}.items()]
        server = _started([str(programs / "postgres"), "-D", str(folder / "data"), *options], folder, owner)
        try:
            url = f"postgresql+psycopg://everfit@/postgres?host={folder}"
            _wait_for(url, server, folder / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(_START_S)
    finally:
        shutil.rmtree(folder)


def _started(command: Sequence[str], folder: Path, owner: Mapping[str, object]) -> subprocess.Popen[bytes]:
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **owner)  # type: ignore[call-overload, no-any-return]


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    import sqlalchemy as sa

    engine, until = sa.create_engine(url, poolclass=sa.pool.NullPool), time.monotonic() + _START_S
    while True:
        try:
            engine.connect().close()
        except sa.exc.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.05)
        else:
            return

"""The service in a process of its own: ``python -m tests.serving.process FOLDER`` serves what is deployed there.

It imports nothing but the service, and once stopped it says on its last line which modules it had loaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

MAX_BODY_BYTES = 64 * 1024
MAX_ROWS = 500


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[str]
    url: str

    def stop(self) -> tuple[int, set[str], str]:
        """Send SIGTERM; its exit code, the modules it had loaded, and what it wrote to stderr."""
        self.process.terminate()
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, set(json.loads(out.splitlines()[-1])) if out else set(), err


@contextmanager
def running(folder: Path, *, port: int = 0, **settings: Any) -> Iterator[Service]:
    """Start it with these ``[serving]`` settings, and make sure that it does not outlive its test.

    ``store_wait_s``: how long the online store takes for every look-up. ``webhook_s``: the instant, in seconds since
    1970, at which every webhook arrives, by default now.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serving.process", str(folder), str(port)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"EVERFIT_TEST_SERVING": json.dumps(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        yield Service(process, url)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _main(folder: Path, port: int) -> None:
    from everfit.artifact.signing import Signer, Trust
    from everfit.core.clock import FixedClock, SystemClock, from_us
    from everfit.core.settings import ServingSettings
    from everfit.serving.http.listener import listen, url_of
    from everfit.serving.inference.model_loader import ModelLoader
    from everfit.serving.prediction_logger import PredictionLogger
    from everfit.serving.release_webhook import ReleaseWebhook
    from everfit.serving.worker import Worker
    from everfit.store.deployment import DeploymentRecord
    from everfit.store.sqlite_online import OnlineStore

    class SlowStore(OnlineStore):
        """Another machine's, in a bad moment."""

        def get_one(self, *args: Any, **more: Any) -> Any:
            time.sleep(wait_s)
            return super().get_one(*args, **more)

        def get(self, *args: Any, **more: Any) -> Any:
            time.sleep(wait_s)
            return super().get(*args, **more)

    chosen = json.loads(os.environ.get("EVERFIT_TEST_SERVING", "{}"))
    wait_s, webhook_s = chosen.pop("store_wait_s", 0.0), chosen.pop("webhook_s", 0)
    settings = msgspec.convert({"max_body_bytes": MAX_BODY_BYTES, "max_rows": MAX_ROWS} | chosen, ServingSettings)
    online = (SlowStore if wait_s else OnlineStore)(folder / "online.db")
    trust = Trust([Signer(bytes(range(32))).key])
    worker = Worker(
        ModelLoader(
            DeploymentRecord(folder / "deployment.json"),
            trust=trust,
            online=online,
            max_rows=settings.max_rows,
            limit_s=settings.answer_seconds,
        ),
        online=online,
        prediction_logger=PredictionLogger(
            folder / "journal", durability=settings.durability, seal_after_s=settings.seal_seconds
        ),
        settings=settings,
        clock=SystemClock(),
        slot=0,
        reports=folder / "workers",
        webhook=ReleaseWebhook(folder, FixedClock(from_us(webhook_s * 1_000_000)) if webhook_s else SystemClock()),
    )
    worker.load()
    listener = listen("127.0.0.1", port)
    worker.run(listener, announce=lambda: _say(url_of(listener)))
    _say(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))

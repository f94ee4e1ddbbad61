"""A prediction service in a folder of its own, with a log of its own: it serves one version for a test."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from everfit.core.errors import ProcessError
from everfit.core.records import ModelVersion
from everfit.core.settings import SETTINGS_FILE
from everfit.core.sqlite_url import anchor_url
from everfit.loop.rollout_executor import deployed_version
from everfit.runtime.launcher import release_launcher
from everfit.serving.worker_report import read_reports
from everfit.store.deployment import DeploymentRecord, ModelDeployment
from everfit.system import System

_START_S, _ANSWER_S, _STOP_S = 60.0, 30.0, 10.0


class ServiceAnswer(Struct):
    """Predictions, as the service sends them."""

    predictions: list[Any]
    version: int


@contextmanager
def served_alone(system: System, version: ModelVersion) -> Iterator[str]:
    """Start a prediction service in a folder of its own that serves a version; yield its URL, and end it.

    It reads the project's online store, and trusts the keys that the project trusts. Raises :class:`ProcessError` if it
    does not serve the version in time.
    """
    with tempfile.TemporaryDirectory(prefix="everfit-fallback-") as place:
        root, state = Path(place), Path(place) / system.state.name
        root.joinpath(SETTINGS_FILE).write_text("", encoding="utf-8")
        shutil.copytree(system.state / "keys" / "trusted", state / "keys" / "trusted")
        deployed = deployed_version(system, version)
        environment = str(system.state / deployed.environment) if deployed.environment else ""
        deployed = structs.replace(deployed, folder=str(system.state / deployed.folder), environment=environment)
        DeploymentRecord(state / "deployment.json").change(
            version.model,
            lambda _: ModelDeployment(model=version.model, champion=deployed),
            changed_at=version.created_at,
        )
        launcher = release_launcher(root, state, None)
        online = anchor_url(system.project.settings.stores.online, system.project.root)
        log = root / "log.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command
                launcher.command("serve", "--host", "127.0.0.1", "--port", "0", "--workers", "1"),
                cwd=root,
                env=launcher.variables | {"EVERFIT_STORES_ONLINE": online},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            try:
                yield _url(process, state / "workers", log)
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _url(process: subprocess.Popen[bytes], reports: Path, log: Path) -> str:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        for report in read_reports(reports).values():
            if report.url and report.loaded:
                return report.url
        time.sleep(0.05)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise ProcessError(f"the service must serve the version within {_START_S:g} s: {' '.join(lines[-2:])}".rstrip(": "))


def request_predictions(url: str, model: str, rows: Sequence[Mapping[str, Any]]) -> ServiceAnswer:
    """Request predictions over HTTP, whatever proxy this machine's variables name.

    Raises :class:`OSError` if the service cannot be reached, or responds with an error.
    """
    body = msgspec.json.encode({"inputs": rows})
    request = urllib.request.Request(f"{url}/predict/{model}", body, {"Content-Type": "application/json"})  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_ANSWER_S) as response:
        return msgspec.json.decode(response.read(), type=ServiceAnswer)

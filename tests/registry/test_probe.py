"""The probe of MLflow's store reads what an MLflow server of version 3.17.2 answered, and survives other answers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from everfit.core.errors import StoreError
from everfit.registry.probe import RegistryContents, probe_registry

LATE = {
    "model_versions": [
        {"name": "late", "version": "1", "current_stage": "None", "status": "READY", "tags": []},
        {"name": "late", "version": "3", "current_stage": "None", "status": "READY", "tags": []},
    ]
}
"""As recorded; of a model without versions it answers ``{}``."""


@contextmanager
def server(answers: Mapping[str, tuple[int, bytes]]) -> Iterator[str]:
    """A server with recorded answers by path, and of a search by the filter."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            key = parse_qs(parts.query).get("filter", [parts.path])[0]
            status, body = answers.get(key, (404, b"{}"))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}"
        finally:
            running.shutdown()
            thread.join()


def test_a_server_s_versions_are_read() -> None:
    answers = {"/health": (200, b"OK"), "name='late'": (200, json.dumps(LATE).encode()), "name='other'": (200, b"{}")}
    with server(answers) as url:
        found = probe_registry(f"{url}/", ["late", "other"])
    assert found == RegistryContents(versions={"late": (1, 3), "other": ()})


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_a_login_tells_nothing(status: int) -> None:
    with server({"/health": (200, b"OK"), "name='late'": (status, b"denied")}) as url:
        assert probe_registry(url, ["late"]) == RegistryContents()


def test_a_server_that_answers_something_else() -> None:
    with server({"/health": (200, b"OK"), "name='late'": (200, b"<html>")}) as url:
        found = probe_registry(url, ["late"])
    assert found is not None
    assert "status 200" in found.registry_problem
    with server({}) as url, pytest.raises(StoreError, match="status 404"):
        probe_registry(url, ["late"])


def test_a_server_that_hangs_or_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began_s = time.monotonic()
        with pytest.raises(StoreError, match=r"did not answer within 1\.5 s"):
            probe_registry(url, ["late"])
        assert time.monotonic() - began_s < 3
    with pytest.raises(StoreError, match="does not answer"):
        probe_registry(url, ["late"])


def test_a_file_is_neither_made_nor_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tracking.db"
    assert probe_registry(url, ["late"]) is None
    assert not list(tmp_path.iterdir())

"""The service as a process: what it loads, how it starts, and how it ends."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.serving.orders import ROW, Shop, request_of
from tests.serving.process import running

from everfit.core.errors import PackageError, SettingsError
from everfit.serving.http.listener import listen

HEAVY = {"polars", "pandas", "sklearn", "scipy", "mlflow", "pyarrow", "lightgbm", "treelite", "xgboost", "sqlalchemy"}


@pytest.mark.parametrize(("name", "form"), [("shop", "treelite"), ("boosted", "lightgbm-fast")])
def test_the_prediction_process_stays_light(name: str, form: str, request: pytest.FixtureRequest) -> None:
    shop: Shop = request.getfixturevalue(name)
    with running(shop.folder) as service:
        assert httpx.get(f"{service.url}/models/late").json()["form"] == form
        rows = [request_of(row, shop.schema) for row in shop.frame.head(50).to_dicts()]
        for inputs in (rows[0], rows):
            answer = httpx.post(f"{service.url}/predict/late", json={"inputs": inputs})
            expected = shop.native[: len(answer.json()["ids"])]
            np.testing.assert_allclose(answer.json()["predictions"], expected, atol=1e-9)
        code, modules, err = service.stop()
    assert (code, err) == (0, "")
    assert {"uvloop", "httptools"} <= modules
    assert modules & HEAVY == set()


def is_open(host: str, port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex((host, port)) == 0


def test_a_request_that_has_begun_is_answered_before_the_end(shop: Shop) -> None:
    body = json.dumps({"inputs": ROW}).encode()
    with running(shop.folder) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as caller:
            head = f"POST /predict/late HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            caller.sendall(head.encode() + body[:10])
            # Answered after the half request above was read, since it came later.
            assert httpx.get(f"{service.url}/health/live").status_code == 200
            service.process.terminate()
            while is_open(host, int(port)):
                pass
            caller.sendall(body[10:])
            answer = b"".join(iter(lambda: caller.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"predictions"' in answer
        _, err = service.process.communicate(timeout=30)
    assert (service.process.returncode, err) == (0, "")


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{port}.*--port 0"):
            listen("127.0.0.1", port)


def test_an_address_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingsError, match=r"203\.0\.113\.1"):
        listen("203.0.113.1", 0)


def test_a_corrupt_package_ends_before_the_port_opens(shop: Shop, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shop.folder, tmp_path / "shop"))
    victim = next((folder / "package" / "model").iterdir())
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    with running(folder) as service:
        assert service.url == ""
        _, err = service.process.communicate(timeout=30)
        assert service.process.returncode == 1
        assert "PackageError" in err
        assert victim.name in err


def test_another_package_than_was_deployed_is_refused(shop: Shop, boosted: Shop, tmp_path: Path) -> None:
    copy = replace(shop, folder=Path(shutil.copytree(shop.folder, tmp_path / "shop")))
    shutil.rmtree(copy.package)
    shutil.copytree(boosted.package, copy.package)
    with pytest.raises(PackageError, match="everfit promote late 3"):
        copy.worker()

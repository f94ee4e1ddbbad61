"""The service behind an ASGI server: TLS by uvicorn, the same responses and the same records."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.serving.orders import ROW, Shop
from tests.serving.test_arrow import ipc, requests_of
from tests.store.recent_predictions import recent_predictions

from everfit.serving.http.asgi import AsgiApp


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key, and a certificate that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return folder / "key.pem", folder / "cert.pem"


@contextmanager
def behind_uvicorn(shop: Shop, folder: Path, **settings: Any) -> Iterator[httpx.Client]:
    key, cert = certificate(folder)
    app = AsgiApp(shop.worker(**settings))
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, ssl_keyfile=key, ssl_certfile=cert, ws="none", lifespan="on", log_level="warning"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        context = ssl.create_default_context(cafile=cert)
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def own(shop: Shop, tmp_path: Path) -> Shop:
    return replace(shop, folder=Path(shutil.copytree(shop.folder, tmp_path / "shop")))


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_every_protocol_over_tls(own: Shop, tmp_path: Path, durability: str) -> None:
    kinds = {str: "BYTES", int: "INT64", float: "FP64", bool: "BOOL"}
    tensors = [
        {"name": name, "datatype": kinds[type(value)], "shape": [1], "data": [value]} for name, value in ROW.items()
    ]
    table = ipc(requests_of(own).head(3))
    arrow = "application/vnd.apache.arrow.stream"
    # Other tests may have asked the service that this one is a copy of.
    before = sum(len(record.ids) for _, record in recent_predictions(own.journal))
    with behind_uvicorn(own, tmp_path, durability=durability) as client:
        plain = client.post("/predict/late", json={"inputs": ROW, "id": "plain"}).json()
        v2 = client.post("/v2/models/late/infer", json={"inputs": tensors, "id": "tensor"}).json()
        mlflow = client.post("/invocations", json={"instances": [ROW]}).json()
        answer = client.post("/predict/late", content=table, headers={"content-type": arrow, "accept": arrow})
        packed = client.post(
            "/predict/late",
            content=gzip.compress(json.dumps({"inputs": ROW}).encode()),
            headers={"content-encoding": "gzip", "content-type": "application/json"},
        )
        assert plain["predictions"] == mlflow["predictions"] == v2["outputs"][0]["data"] == packed.json()["predictions"]
        assert pl.read_ipc_stream(answer.content).height == 3
        assert client.post("/outcomes/late", json={"id": "plain", "value": True}).json() == {"outcomes": 1}
        assert client.get("/health/ready").json() == {"ready": True}
        assert client.head("/health/live").content == b""
        assert client.post("/predict/l%61te/", json={"inputs": ROW}).status_code == 200
        assert client.get("/nowhere").status_code == 404
    ids = [row_id for _, record in recent_predictions(own.journal) for row_id in record.ids]
    assert {"plain", "tensor"} <= set(ids)
    assert len(ids) - before == 8


def test_limits_and_wrong_requests(own: Shop, tmp_path: Path) -> None:
    with behind_uvicorn(own, tmp_path, max_body_bytes=10_000) as client:
        large = client.post("/predict/late", content=b" " * 10_001)
        assert (large.status_code, large.json()["error"]["field"]) == (413, "body")
        wrong = client.post("/v2/models/late/infer", content=b"{")
        assert wrong.status_code == 422
        assert isinstance(wrong.json()["error"], str)


def test_a_service_without_a_model_does_not_start(own: Shop) -> None:
    worker = own.worker()
    (own.folder / "deployment.json").unlink()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(AsgiApp(worker)({"type": "lifespan"}, receive, send))
    worker._close()
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "everfit promote" in sent[0]["message"]

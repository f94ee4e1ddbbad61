"""Webhooks to the real service: the published vectors are accepted, and nothing else changes anything."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from tests.serving.process import Service, running

from everfit.core.errors import UnsignedRequestError
from everfit.core.secret import Secret
from everfit.serving.webhook import verify_webhook
from everfit.store.look_signal import look_stamp
from everfit.store.webhook_secrets import WebhookSecrets

GITHUB = "It's a Secret to Everybody"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FORMER = "a secret that is being replaced"
NOW_S = 1614265330
"""The instant of the vector of Standard Webhooks."""

Headers = Mapping[str, str | bytes]
HELLO = b"Hello, World!"
SIGNED = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
TEST = b'{"test": 2432232314}'
STANDARD_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(NOW_S),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
VECTORS: list[tuple[str, Headers, bytes]] = [
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    ("github", {"X-Hub-Signature-256": f"sha256={SIGNED}", "X-GitHub-Delivery": "72d3162e"}, HELLO),
    # Gitea's is the same digest without a prefix: https://docs.gitea.com/usage/webhooks
    ("gitea", {"X-Gitea-Signature": SIGNED, "X-Hub-Signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}, HELLO),
    # https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/
    (
        "bitbucket",
        {"X-Hub-Signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"},
        b"Hello World!",
    ),
    # https://docs.gitlab.com/user/project/integrations/webhooks/
    ("gitlab", {"X-Gitlab-Token": FORMER, "X-Gitlab-Event-UUID": "13792a34-cac6-4fda-95a8-c58e00a3954e"}, TEST),
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py
    ("standard webhooks", STANDARD_HEADERS, TEST),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("webhooks")


@pytest.fixture(scope="module")
def service(shop: Any, folder: Path) -> Iterator[Service]:
    """A service at the instant of the published vectors, with three secrets."""
    copy_of(shop.folder, folder)
    write_secrets(folder, FORMER, GITHUB, STANDARD)
    with running(folder, webhook_s=NOW_S, max_body_bytes=4 << 20) as started:
        yield started


def copy_of(shop: Path, folder: Path) -> None:
    """Deploy the same version in another folder."""
    for file in shop.iterdir():
        if file.name != "workers":
            (folder / file.name).symlink_to(file)


def write_secrets(folder: Path, *lines: str, mode: int = 0o600) -> None:
    """Write the file as a person would."""
    path = WebhookSecrets(folder / "keys").path
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".mine")
    fresh.write_text("".join(f"{line}\n" for line in lines))
    fresh.chmod(mode)
    fresh.replace(path)


def send(service: Service, headers: Headers, body: bytes = b"") -> httpx.Response:
    pairs = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers.items()]
    return httpx.post(f"{service.url}/releases/look", headers=pairs, content=body, timeout=30)


def signed(body: bytes, secret: str = GITHUB) -> dict[str, str]:
    """Headers as GitHub's."""
    return {"X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


def standard(body: bytes, *, at_s: int = NOW_S, identity: str = "msg_1", secret: str = STANDARD) -> dict[str, str]:
    """Headers as those of Standard Webhooks."""
    key, content = base64.b64decode(secret.removeprefix("whsec_")), f"{identity}.{at_s}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": identity, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{signature}"}


def on_disk(folder: Path) -> dict[str, int]:
    """Every file of the releases with its time of change."""
    return {str(path): path.stat().st_mtime_ns for path in (folder / "releases").rglob("*")}


def assert_refused(service: Service, folder: Path, headers: Headers, body: bytes) -> None:
    before = on_disk(folder)
    response = send(service, headers, body)
    assert response.status_code == 401, response.text
    error = response.json()["error"]
    assert error.pop("id")
    assert error == {"message": "the request is not accepted"}
    assert response.headers["www-authenticate"]
    assert on_disk(folder) == before


@pytest.mark.parametrize(("headers", "body"), [vector[1:] for vector in VECTORS], ids=[vector[0] for vector in VECTORS])
def test_a_published_vector_gives_the_signal_once(
    service: Service, folder: Path, headers: Headers, body: bytes
) -> None:
    # Gitea's vector is GitHub's, body and secret: the second to come would be a replay of the first.
    for seen in (folder / "releases" / "webhooks").glob("*"):
        seen.unlink()
    before = look_stamp(folder)
    response = send(service, headers, body)
    assert (response.status_code, response.json()) == (202, {"accepted": True})
    assert look_stamp(folder) > before
    assert_refused(service, folder, headers, body)


def wrong_requests() -> Iterator[tuple[str, Headers, bytes]]:
    """Yield requests of which each lacks one thing."""
    yield "no header", {}, HELLO
    yield "no signature", {"X-Hub-Signature-256": ""}, HELLO
    for name, headers, body in VECTORS:
        yield f"{name}: another body", {**headers, "X-Gitlab-Token": "another token"}, body + b" "
    other = signed(HELLO, "a secret that nobody was given")
    yield "another secret", other, HELLO
    yield "no prefix", {"X-Hub-Signature-256": SIGNED}, HELLO
    yield "upper case", {"X-Hub-Signature-256": f"sha256={SIGNED.upper()}"}, HELLO
    yield "truncated", {"X-Hub-Signature-256": f"sha256={SIGNED[:-1]}"}, HELLO
    yield "sha1 alone", {"X-Hub-Signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}, HELLO
    yield "not ASCII", {"X-Hub-Signature-256": f"sha256={SIGNED[:-1]}é".encode()}, HELLO
    yield "not UTF-8", {"X-Gitea-Signature": b"\xff" * 64}, HELLO
    yield "token not ASCII", {"X-Gitlab-Token": "gehëim".encode()}, HELLO
    yield "token's beginning", {"X-Gitlab-Token": FORMER[:-1]}, HELLO
    yield "the strongest scheme decides", {**signed(HELLO), **STANDARD_HEADERS}, HELLO
    yield "too old", standard(TEST, at_s=NOW_S - 301), TEST
    yield "from the future", standard(TEST, at_s=NOW_S + 301), TEST
    yield "time not signed", {**standard(TEST, at_s=NOW_S - 301), "webhook-timestamp": str(NOW_S)}, TEST
    yield "id not signed", {**STANDARD_HEADERS, "webhook-id": "msg_2"}, TEST
    yield "no id", {name: value for name, value in STANDARD_HEADERS.items() if name != "webhook-id"}, TEST
    yield "id with a full stop", standard(TEST, identity="msg.1"), TEST
    yield "endless id", standard(TEST, identity="m" * 257), TEST
    for text in ("", "soon", "-1", "1e9", "1_614_265_330", "٣", "9" * 13, f"{NOW_S}.0"):
        yield f"time {text!r}", {**STANDARD_HEADERS, "webhook-timestamp": text.encode()}, TEST
    version_2 = STANDARD_HEADERS["webhook-signature"].replace("v1,", "v2,")
    yield "another version", {**STANDARD_HEADERS, "webhook-signature": version_2}, TEST
    yield "no key of Standard Webhooks", {**STANDARD_HEADERS, "webhook-signature": _standard_with_text()}, TEST


def _standard_with_text() -> str:
    """The signature with the whole secret as its key, as GitHub would use it."""
    content = f"msg_p5jXN8AQM9LWM0D4loKWxJek.{NOW_S}.".encode() + TEST
    return "v1," + base64.b64encode(hmac.new(STANDARD.encode(), content, hashlib.sha256).digest()).decode()


WRONG = list(wrong_requests())


@pytest.mark.parametrize(("headers", "body"), [wrong[1:] for wrong in WRONG], ids=[wrong[0] for wrong in WRONG])
def test_any_other_request_changes_nothing(service: Service, folder: Path, headers: Headers, body: bytes) -> None:
    assert_refused(service, folder, headers, body)


def test_a_header_that_is_sent_twice_is_refused(service: Service, folder: Path) -> None:
    before, body = on_disk(folder), b"sent twice"
    twice = [("X-Hub-Signature-256", signed(body)["X-Hub-Signature-256"]), ("x-hub-signature-256", f"sha256={SIGNED}")]
    response = httpx.post(f"{service.url}/releases/look", headers=twice, content=body)
    assert response.status_code == 401
    assert on_disk(folder) == before


@pytest.mark.parametrize("secret", [FORMER, GITHUB, STANDARD])
def test_every_secret_is_valid_during_a_rotation(service: Service, secret: str) -> None:
    body = f"signed with {secret[:6]}".encode()
    assert send(service, signed(body, secret), body).status_code == 202


def test_one_of_several_signatures_is_enough(service: Service) -> None:
    headers = standard(b"{}", identity="msg_several")
    headers["webhook-signature"] = f"v1,AAAA v1a,BBBB {headers['webhook-signature']} v1,{'C' * 44}"
    assert send(service, headers, b"{}").status_code == 202
    # Not even by another of its signatures.
    assert send(service, standard(b"{}", identity="msg_several"), b"{}").status_code == 401


@pytest.mark.parametrize("offset_s", [-300, 300])
def test_five_minutes_of_difference_are_accepted(service: Service, offset_s: int) -> None:
    headers = standard(b"{}", identity=f"msg_{offset_s}", at_s=NOW_S + offset_s)
    assert send(service, headers, b"{}").status_code == 202


def test_a_message_that_its_sender_signs_anew_is_no_replay(service: Service) -> None:
    """Standard Webhooks: an attempt that follows a lost response has the same id and a time of its own."""
    for at_s in (NOW_S, NOW_S + 5):
        assert send(service, standard(b"{}", identity="msg_again", at_s=at_s), b"{}").status_code == 202


def test_an_unsigned_delivery_id_makes_no_new_message(service: Service, folder: Path) -> None:
    body = b"delivered once"
    assert send(service, signed(body) | {"X-GitHub-Delivery": "1"}, body).status_code == 202
    assert_refused(service, folder, signed(body) | {"X-GitHub-Delivery": "2"}, body)
    bare = signed(body)["X-Hub-Signature-256"].removeprefix("sha256=")
    assert_refused(service, folder, {"X-Gitea-Signature": bare}, body)


def test_two_events_with_one_body_are_two_messages_of_gitlab(service: Service) -> None:
    for event in ("1", "2"):
        headers = {"X-Gitlab-Token": GITHUB, "X-Gitlab-Event-UUID": event}
        assert send(service, headers, b"test").status_code == 202


def test_what_is_signed_is_the_body_as_it_was_sent(service: Service, folder: Path) -> None:
    packed = gzip.compress(b"x" * 1000)
    assert send(service, signed(packed) | {"content-encoding": "gzip"}, packed).status_code == 202
    unpacked = gzip.compress(b"y" * 1000)
    assert_refused(service, folder, signed(b"y" * 1000) | {"content-encoding": "gzip"}, unpacked)


def test_a_body_of_a_megabyte_is_the_largest(service: Service, folder: Path) -> None:
    body = os.urandom(1 << 20)
    assert send(service, signed(body), body).status_code == 202
    before = on_disk(folder)
    larger = send(service, signed(body + b"x"), body + b"x")
    assert larger.status_code == 413
    assert str(1 << 20) in larger.json()["error"]["message"]
    assert on_disk(folder) == before


def test_one_of_many_copies_is_accepted_by_all_workers_together(shop: Any, folder: Path, service: Service) -> None:
    with running(folder, webhook_s=NOW_S) as other, ThreadPoolExecutor(8) as pool:
        assert other.url
        for number in range(5):
            body = f"to every worker {number}".encode()
            sent = [pool.submit(send, one, signed(body), body) for one in (service, other) * 8]
            statuses = Counter(future.result().status_code for future in sent)
            assert statuses[202] == 1
            # At most eight wait at once; a copy beyond them is asked to come again.
            assert set(statuses) <= {202, 401, 503}


def test_a_restart_forgets_nothing(service: Service, folder: Path) -> None:
    headers = standard(b"{}", identity="msg_before_the_restart")
    assert send(service, headers, b"{}").status_code == 202
    with running(folder, webhook_s=NOW_S + 290) as again:
        assert_refused(again, folder, headers, b"{}")


def test_the_route_comes_and_goes_with_the_secrets(shop: Any, tmp_path: Path) -> None:
    copy_of(shop.folder, tmp_path)
    file = WebhookSecrets(tmp_path / "keys")

    with running(tmp_path) as follower:

        def status_is(wanted: int, body: bytes, secret: str) -> bool:
            deadline_s = time.monotonic() + 10
            while time.monotonic() < deadline_s:
                if send(follower, signed(body, secret), body).status_code == wanted:
                    return True
                time.sleep(0.1)
            return False

        assert send(follower, signed(b"1"), b"1").status_code == 404
        # Exactly as a path that never existed: in the response to any method, and in the description.
        for path in ("/releases/look", "/releases/lock"):
            known = httpx.get(follower.url + path)
            assert known.status_code == 404
            assert "/releases/look" not in known.json()["error"]["paths"]
        assert "/releases/look" not in httpx.get(f"{follower.url}/openapi.json").json()["paths"]
        secret = file.rotate().reveal()
        assert status_is(202, b"2", secret)
        assert httpx.get(f"{follower.url}/releases/look").headers["allow"] == "POST"
        described = httpx.get(f"{follower.url}/openapi.json").json()
        validate(described)
        assert {"202", "401", "413"} <= set(described["paths"]["/releases/look"]["post"]["responses"])
        write_secrets(tmp_path, GITHUB, mode=0o644)
        assert status_is(404, b"3", secret), "a file that others can read counts as none"
        write_secrets(tmp_path, secret)
        assert status_is(202, b"4", secret)
        file.remove_oldest()
        assert status_is(404, b"5", secret)
        code, modules, err = follower.stop()
    assert code == 0
    assert "only its owner may read" in err
    assert not modules & {"mlflow", "sqlalchemy", "polars", "typer", "dbos"}
    assert GITHUB not in err
    assert secret not in err


def test_the_log_has_the_reason_and_no_secret(shop: Any, tmp_path: Path) -> None:
    copy_of(shop.folder, tmp_path)
    write_secrets(tmp_path, GITHUB, STANDARD)
    with running(tmp_path, webhook_s=NOW_S) as service:
        incident = send(service, signed(HELLO, "another secret"), HELLO).json()["error"]["id"]
        send(service, standard(TEST, at_s=1), TEST)
        _, _, err = service.stop()
    [line] = [line for line in err.splitlines() if incident in line]
    assert "must be made with one of the webhook secrets" in line
    assert "within 300 seconds" in err
    assert "Secret to Everybody" not in err
    assert STANDARD not in err
    assert not (tmp_path / "releases").exists()


_NAMES = st.sampled_from(
    [
        *(name.lower().encode() for _, headers, _ in VECTORS for name in headers),
        b"x-gitlab-event-uuid",
        b"content-type",
    ]
)
_VALUES = st.one_of(
    st.binary(max_size=90),
    st.sampled_from([value.encode() for _, headers, _ in VECTORS for value in map(str, headers.values())]),
)


_PROOFS = {
    HELLO: SIGNED.encode(),
    b"Hello World!": b"a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9",
    TEST: STANDARD_HEADERS["webhook-signature"].encode(),
}
"""The only signatures that verify, by the body."""


@given(headers=st.lists(st.tuples(_NAMES, _VALUES), max_size=6), body=st.sampled_from([*_PROOFS, b"", b"{}"]))
def test_no_headers_verify_by_accident(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    secrets = [Secret(GITHUB), Secret(STANDARD)]
    try:
        verify_webhook(headers, body, secrets, now_s=NOW_S)
    except UnsignedRequestError:
        return
    assert any(_PROOFS[body] in value for _, value in headers)


@settings(max_examples=60)
@given(
    headers=st.dictionaries(_NAMES, st.binary(max_size=60).filter(lambda value: value.strip() == value), max_size=4),
    body=st.binary(max_size=60),
)
def test_the_service_survives_any_headers(service: Service, headers: dict[bytes, bytes], body: bytes) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    lines = [b"POST /releases/look HTTP/1.1", b"host: here", b"connection: close", b"content-length: %d" % len(body)]
    lines += [name + b": " + value for name, value in headers.items()]
    with socket.create_connection((host, int(port)), timeout=20) as caller:
        caller.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        caller.shutdown(socket.SHUT_WR)
        response = b"".join(iter(lambda: caller.recv(65536), b""))
    # 400: a value with a line break, or another byte that no header may have.
    assert response.split(b" ", 2)[1] in {b"401", b"400"}, response
    assert service.process.poll() is None

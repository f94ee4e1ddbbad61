"""Services that go away, come back, lose an answer, or are no services at all."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from tests.serving.orders import NOW, ROW, Shop
from tests.serving.process import running
from tests.serving.test_faults import clear_disk, fill_disk
from tests.store.recent_predictions import recent_predictions

import everfit as ef
from everfit.core.errors import NotReadyError, RequestError, SettingsError
from everfit.store.deployment import Deployed, ModelDeployment


def recorded(shop: Shop) -> list[str]:
    return [each for _, found in recent_predictions(shop.journal) for each in found.ids]


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


@contextmanager
def listening(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """Somebody who takes one question from each connection."""

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            with caller:
                asked = caller.recv(65_536)
                while b"content-length: " in asked.lower() and not asked.endswith(b"}"):
                    asked += caller.recv(65_536)
                caller.sendall(answer(asked))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_connection_that_the_service_closed_is_replaced_at_once(own: Shop) -> None:
    with running(own.folder) as service, ef.Client(service.url, retries=0) as client:
        assert client.predict("late", ROW, id="before").id == "before"
        service.stop()
        with running(own.folder, port=port_of(service.url)) as again:
            assert again.url == service.url
            assert client.predict("late", ROW, id="after").id == "after"
    assert recorded(own) == ["before", "after"]


def test_a_service_that_is_away_for_a_moment_is_waited_for(own: Shop) -> None:
    with running(own.folder) as service, ef.Client(service.url, retries=8) as client:
        first = client.predict("late", ROW)
        service.stop()
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(client.predict, "late", ROW)
            time.sleep(0.3)
            with running(own.folder, port=port_of(service.url)):
                second = asking.result(timeout=30)
    assert recorded(own) == [first.id, second.id]


def test_503_is_asked_again_when_the_service_says(own: Shop) -> None:
    with running(own.folder, durability="sync") as service, ef.Client(service.url) as client:
        fill_disk(service)
        with (
            pytest.raises(NotReadyError, match="the log could not be written"),
            ef.Client(service.url, retries=0) as hasty,
        ):
            hasty.predict("late", ROW)
        healing = threading.Timer(0.5, clear_disk, [service])
        healing.start()
        began_s = time.monotonic()
        answer = client.predict("late", ROW)
        assert time.monotonic() - began_s >= 1.0, "Retry-After: 1"
        healing.join()
        service.stop()
    assert recorded(own) == [answer.id]


def test_a_model_that_could_not_be_loaded_is_not_ready(own: Shop) -> None:
    broken = ModelDeployment(model="broken", champion=Deployed(version=1, digest="0" * 64, folder="nowhere"))
    own.deployment.change("broken", lambda _: broken, changed_at=NOW)
    with running(own.folder) as service, ef.Client(service.url, retries=1) as client:
        assert client.live()
        assert not client.ready()
        began_s = time.monotonic()
        with pytest.raises(NotReadyError, match="broken must have been loaded"):
            client.predict("broken", ROW)
        assert time.monotonic() - began_s >= 1.0, "Retry-After: 1"
        assert client.predict("late", ROW).version == 3


def test_a_prediction_whose_answer_was_lost_keeps_its_id(own: Shop) -> None:
    asked: list[bytes] = []
    with running(own.folder) as service:

        def forgetful(question: bytes) -> bytes:
            asked.append(question)
            with socket.create_connection(("127.0.0.1", port_of(service.url))) as connection:
                connection.sendall(question.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                answer = b"".join(iter(lambda: connection.recv(65_536), b""))
            return b"" if len(asked) == 1 else answer

        with listening(forgetful) as url, ef.Client(url) as client:
            answer = client.predict("late", ROW)
        service.stop()
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert set(recorded(own)) == {answer.id}


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with ef.Client(url, retries=1) as client:
        assert not client.live()
        assert not client.ready()
        with pytest.raises(NotReadyError, match=r"could not be reached: .*refused.*everfit serve"):
            client.predict("late", ROW)


def test_one_that_takes_too_long_is_not_asked_again(own: Shop) -> None:
    with running(own.folder, store_wait_s=1.0) as slow, ef.Client(slow.url, timeout_s=0.3) as client:
        began_s = time.monotonic()
        with pytest.raises(NotReadyError, match=r"must answer within 0\.3 s"):
            client.predict("late", ROW)
        assert time.monotonic() - began_s < 1.0


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 200 OK\r\n\r\n<html>Welcome</html>", b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>Welcome</html>"]
)
def test_somebody_else_answers(said: bytes) -> None:
    with listening(lambda _: said) as url, ef.Client(url) as client, pytest.raises(RequestError, match="Welcome"):
        client.predict("late", ROW)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host", "http://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(SettingsError, match="like http://"):
        ef.Client(url)

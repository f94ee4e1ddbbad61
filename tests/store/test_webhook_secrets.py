"""The file of webhook secrets is usable or refused, and no message contains a secret."""

from __future__ import annotations

import pickle
import stat
import traceback
from base64 import b64encode
from pathlib import Path

import msgspec
import pytest

from everfit.core.errors import SettingsError
from everfit.core.secret import Secret
from everfit.store.webhook_secrets import WebhookSecrets, standard_key

LONG_ENOUGH = "a secret of a forge"


def written(folder: Path, content: bytes, mode: int = 0o600) -> WebhookSecrets:
    file = WebhookSecrets(folder)
    file.path.write_bytes(content)
    file.path.chmod(mode)
    return file


def revealed(file: WebhookSecrets) -> list[str]:
    return [secret.reveal() for secret in file.read()]


def test_a_rotation_keeps_the_former_secret_until_it_is_removed(tmp_path: Path) -> None:
    file = WebhookSecrets(tmp_path / "keys")
    assert file.read() == ()
    assert not file.remove_oldest()
    first, second = file.rotate().reveal(), file.rotate().reveal()
    assert first != second
    assert len(standard_key(first)) == 32
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert revealed(file) == [first, second]
    assert file.remove_oldest()
    assert revealed(file) == [second]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.remove_oldest()
    assert not file.path.exists()


def test_there_are_not_endlessly_many(tmp_path: Path) -> None:
    file = WebhookSecrets(tmp_path)
    for _ in range(8):
        file.rotate()
    with pytest.raises(SettingsError, match=r"at most 8 .* everfit releases secret --remove"):
        file.rotate()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = written(tmp_path, f"{LONG_ENOUGH}\n".encode(), mode)
    for use in (file.read, file.rotate, file.remove_oldest):
        with pytest.raises(SettingsError, match=f"only its owner may read .* '{mode:o}'"):
            use()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "1 to 8"),
        (b"\n", "line 1"),
        (f"{LONG_ENOUGH}\n\n".encode(), "line 2"),
        (f"{LONG_ENOUGH}\n   \n{LONG_ENOUGH}\n".encode(), "line 2"),
        (b"hunter2\n", "16 printable characters"),
        (f" {LONG_ENOUGH}\n".encode(), "no blank at an end"),
        (f"{LONG_ENOUGH}\0\n".encode(), "printable"),
        (f"{LONG_ENOUGH}\n".encode() * 9, "1 to 8"),
        (b"whsec_this is no base64 text at all\n", "24 bytes or more in base64"),
        (b"whsec_" + b64encode(b"too short a key") + b"\n", "24 bytes or more in base64"),
        (b"\xff\xfe a secret in another encoding", "readable text"),
    ],
)
def test_what_is_no_secret_is_refused_without_showing_it(tmp_path: Path, content: bytes, words: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(SettingsError, match=words) as caught:
        file.read()
    text = "".join(traceback.format_exception(caught.value))
    for line in content.decode("latin-1").split("\n"):
        assert len(line.strip()) < 7 or line.strip() not in text


def test_a_secret_is_never_printed() -> None:
    secret = Secret(LONG_ENOUGH)
    for text in (str(secret), repr(secret), f"{secret}", f"{[secret]}", repr({"a": (secret,)})):
        assert LONG_ENOUGH not in text
    assert LONG_ENOUGH not in msgspec.json.encode({"secret": secret}, enc_hook=str).decode()
    with pytest.raises(TypeError):
        msgspec.json.encode({"secret": secret})
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert not hasattr(secret, "__dict__")

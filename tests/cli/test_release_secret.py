"""``everfit releases secret``, and services that refuse to start with secrets that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit, make_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path / "shop")


def test_a_secret_is_printed_once(folder: Path) -> None:
    none = everfit(folder, "releases", "secret", "--json").json
    assert none == {"secret": None, "valid": 0, "path": None}
    made = everfit(folder, "releases", "secret", "--rotate", "--json").json
    assert made["secret"].startswith("whsec_")
    assert (made["valid"], made["path"]) == (1, "/releases/look")
    text = everfit(folder, "releases", "secret", "--rotate").out
    second = text.splitlines()[0]
    assert second.startswith("whsec_")
    assert "2 webhook secrets are valid" in text
    listed = everfit(folder, "releases", "secret")
    assert "whsec_" not in listed.out + listed.err
    assert "2 webhook secrets are valid" in listed.out
    assert everfit(folder, "releases", "secret", "--remove").code == 0
    assert (folder / ".everfit" / "keys" / "webhook.secrets").read_text() == f"{second}\n"
    assert "No webhook secrets are valid" in everfit(folder, "releases", "secret", "--remove").out
    assert everfit(folder, "releases", "secret", "--remove").code == 2
    assert everfit(folder, "releases", "secret", "--rotate", "--remove").code == 2


@pytest.mark.parametrize("command", ["up", "serve"])
@pytest.mark.parametrize(("content", "mode"), [("\n", 0o600), ("a secret of a forge\n", 0o644)])
def test_a_service_does_not_start_with_secrets_that_cannot_be_used(
    folder: Path, command: str, content: str, mode: int
) -> None:
    path = folder / ".everfit" / "keys" / "webhook.secrets"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    path.chmod(mode)
    answer = everfit(folder, command, "--port", "0", "--json")
    assert answer.code == 2
    assert json.loads(answer.out)["error"]["kind"] == "SettingsError"
    assert "a secret of a forge" not in answer.out + answer.err

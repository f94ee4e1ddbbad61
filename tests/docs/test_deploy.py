"""The files that docs/howto/deploy.md and operate.md show: nginx's is run, the others are held against the product."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.serving.orders import ROW, make_shop, trees
from tests.serving.process import running
from tests.serving.test_server import is_open

from everfit.core.settings import ServingSettings

CALLER, REPORTER = "a-caller", "a-reporter"


@pytest.fixture
def snippets(repository: Path) -> Path:
    return repository / "docs" / "snippets" / "deploy"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def proxy(snippets: Path, tmp_path: Path) -> Iterator[str]:
    """The page's nginx before a real service, with other ports, paths and a certificate of its own."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed: apt-get install nginx")
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -keyout tls.key -out tls.crt -subj /CN=localhost"
    subprocess.run(
        [*made.split(), "-addext", "subjectAltName=DNS:localhost"], cwd=tmp_path, check=True, capture_output=True
    )
    (tmp_path / "tokens").write_text(f'"Bearer {CALLER}" predict;\n"Bearer {REPORTER}" all;\n')
    shop, port = make_shop(tmp_path / "shop", trees()), free_port()
    with running(shop.folder) as service:
        site = (snippets / "nginx.conf").read_text()
        for shown, here in {
            "/etc/nginx/everfit": str(tmp_path),
            "127.0.0.1:8080": service.url.removeprefix("http://"),
            "listen 443": f"listen 127.0.0.1:{port}",
            "models.example.com": "localhost",
        }.items():
            assert shown in site
            site = site.replace(shown, here)
        scratch = " ".join(
            f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = tmp_path / "nginx.conf"
        config.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
            f"events {{}}\nhttp {{ access_log off; {scratch}\n{site}\n}}\n"
        )
        process = subprocess.Popen([nginx, "-p", str(tmp_path), "-c", str(config)], stderr=subprocess.PIPE, text=True)
        try:
            until = time.monotonic() + 10
            while not is_open("127.0.0.1", port):
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < until
                time.sleep(0.05)
            yield f"https://localhost:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=10)


def ask(url: str, body: Any = None, token: str = "", certificate: Path | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    trusted = ssl.create_default_context(cafile=certificate)
    try:
        with urllib.request.urlopen(request, timeout=20, context=trusted) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else text.decode()


def test_nginx_asks_for_the_token_that_a_path_needs(proxy: str, tmp_path: Path) -> None:
    trust = tmp_path / "tls.crt"
    assert ask(f"{proxy}/health/ready", certificate=trust) == (200, {"ready": True})
    row = {"inputs": [ROW], "id": "order-1"}
    status, refused = ask(f"{proxy}/predict/late", row, certificate=trust)
    assert status == 401
    assert "Authorization: Bearer TOKEN" in refused["error"]["message"]
    assert ask(f"{proxy}/predict/late", row, "a-guess", trust)[0] == 401
    status, answer = ask(f"{proxy}/predict/late", row, CALLER, trust)
    assert (status, answer["ids"]) == (200, ["order-1"])
    outcome = {"id": "order-1", "value": True}
    assert ask(f"{proxy}/outcomes/late", outcome, CALLER, trust)[0] == 401
    assert ask(f"{proxy}/features/rating", {"rows": []}, CALLER, trust)[0] == 401
    assert ask(f"{proxy}/outcomes/late", outcome, REPORTER, trust) == (200, {"outcomes": 1})
    assert ask(f"{proxy}/metrics", token=REPORTER, certificate=trust)[0] == 404
    # What is wrong in a request is still said by the service.
    status, wrong = ask(f"{proxy}/predict/late", {"inputs": [ROW | {"kind": "many"}]}, CALLER, trust)
    assert (status, wrong["error"]["field"]) == (422, "inputs[0].kind")


def test_nginx_leaves_limits_to_the_service(snippets: Path) -> None:
    site, settings = (snippets / "nginx.conf").read_text(), ServingSettings()
    (size,) = re.findall(r"client_max_body_size (\d+)m;", site)
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", site)
    assert int(size) * 1024**2 > settings.max_body_bytes
    assert int(seconds) > settings.answer_seconds


def test_alert_rules_name_metrics_that_the_service_has(repository: Path, snippets: Path) -> None:
    page = (repository / "docs" / "reference" / "service.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(everfit_\w+)` \| (\w+) \| ([^|]*) \|", page, re.MULTILINE)
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    labels = {
        name + suffix: {label.strip("` ") for label in named.split(",")}
        for name, kind, named in rows
        for suffix in suffixes[kind]
    }
    rules = yaml.safe_load((snippets / "alerts.yml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        used = re.findall(r"everfit_\w+", rule["expr"])
        assert used
        assert set(used) <= set(labels), rule["alert"]
        matched = set(re.findall(r'(\w+)(?:=|=~|!=)"', rule["expr"]))
        grouped = {
            label.strip() for listed in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in listed.split(",")
        }
        known = set.union(*(labels[name] for name in used)) | {"le"}
        assert matched | grouped <= known, rule["alert"]
        assert set(re.findall(r"\$labels\.(\w+)", json.dumps(rule))) <= known


def test_the_unit_and_the_container_start_commands_that_exist(repository: Path, snippets: Path) -> None:
    from everfit.cli.main import command_group

    group: Any = command_group()
    up = group.commands["up"].load()
    known = {option for parameter in up.params for option in parameter.opts}
    unit, container = (snippets / "everfit.service").read_text(), (snippets / "Dockerfile").read_text()
    (started,) = re.findall(r"^ExecStart=\S+/everfit (.*)$", unit, re.MULTILINE)
    words = json.loads(re.findall(r"^CMD (\[.*\])$", container, re.MULTILINE)[-1])
    for command in (started.split(), words[1:]):
        assert command[0] == "up"
        assert {word for word in command if word.startswith("--")} <= known
    assert (repository / "constraints.txt").is_file()


def test_the_client_and_the_commands_send_the_token(
    proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.acceptance.shop import everfit

    import everfit as ef
    from everfit.core.errors import RequestError, SettingsError

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls.crt"))
    with ef.Client(proxy) as client, pytest.raises(RequestError, match="Send the header Authorization: Bearer TOKEN"):
        client.models()
    with ef.Client(proxy, token=REPORTER) as client:
        assert client.models() == {"late": 3}
        client.report("late", client.predict("late", ROW).id, True)
    row = json.dumps(ROW)
    asked = everfit(tmp_path, "predict", "late", row, "--url", proxy, "--json", EVERFIT_TOKEN=CALLER)
    assert asked.code == 0, asked.err
    assert everfit(tmp_path, "predict", "late", row, "--url", proxy).code == 1
    with pytest.raises(SettingsError, match="printable ASCII") as refused:
        ef.Client(proxy, token="two\nlines")
    assert "two" not in str(refused.value)


def test_the_workflow_and_the_table_of_causes_name_commands_that_exist(repository: Path) -> None:
    from everfit.cli.main import command_group

    group: Any = command_group()
    workflow = yaml.safe_load((repository / "docs" / "snippets" / "ci.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["dry-run"]["steps"] if "run" in step]
    pages = ("find-out-why", "test-in-ci", "operate", "install", "deploy", "serve")
    texts = [(repository / "docs" / "howto" / f"{page}.md").read_text(encoding="utf-8") for page in pages]
    used = {
        tuple(words.split())
        for text in [*steps, *texts]
        for words in re.findall(r"(?:^|`)(?:\./)?everfit ([a-z]+(?: [a-z]+)?)", text, re.MULTILINE)
    }
    assert ("check",) in used
    for words in used:
        command = group.commands[words[0]]
        inner = getattr(command, "commands", None)
        assert inner is None or len(words) == 1 or words[1] in inner, words

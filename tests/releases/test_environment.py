"""Environments of releases, built by the real uv from an index in a folder."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest
from tests.releases.local_index import LocalIndex

import everfit
from everfit.core.errors import EnvironmentBuildError
from everfit.releases.environment import (
    EnvironmentRequest,
    build_environment,
    complete_environments,
    set_environments_aside,
)
from everfit.releases.installation import find_uv, package_folders
from everfit.releases.uv import install_variables
from everfit.runtime.subprocess_runner import ProcessLimits, run_child
from everfit.store.old_folder import delete_folder

LIMITS = ProcessLimits(
    time_s=120, memory_mib=4000, time_setting="[releases] step_seconds", memory_setting="[releases] memory_mib"
)


class Builder:
    """Builds environments below one folder, and keeps what was run for them."""

    def __init__(self, folder: Path) -> None:
        self.environments = folder / ".everfit" / "releases" / "environments"
        self.log = folder / ".everfit" / "releases" / "1" / "log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        folder.joinpath("pyproject.toml").write_text("[tool.uv]\nno-index = true\n[tool.uv.pip]\nno-deps = true\n")
        self.commands: list[Sequence[str]] = []
        self._folder = folder
        self._attempts = 0

    @property
    def builds(self) -> int:
        """How many environments were made."""
        return sum("venv" in command for command in self.commands)

    def run(self, command: Sequence[str], *, folder: Path, variables: Mapping[str, str], held: Sequence[int]) -> None:
        self.commands.append(command)
        run_child(command, folder=folder, variables=variables, log=self.log, limits=LIMITS, held=held)

    def build(self, project: Path, *allowed: str) -> Path | None:
        self._attempts += 1
        scratch = self.log.with_name(f"scratch-{self._attempts}")
        scratch.mkdir()
        return build_environment(
            EnvironmentRequest(
                project=project,
                environments=self.environments,
                scratch=scratch,
                build=allowed,
                run=self.run,
                log=self.log,
            )
        )

    def built(self, project: Path, *allowed: str) -> Path:
        folder = self.build(project, *allowed)
        assert folder is not None
        return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of uv that no other test fills."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))


@pytest.fixture
def index(tmp_path: Path) -> LocalIndex:
    return LocalIndex(tmp_path / "index")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def printed(environment: Path, lines: str) -> str:
    """What a program prints that runs in an environment."""
    command = [str(environment / "bin" / "python"), "-I", "-c", lines]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_has_the_locked_versions_first_and_everfit_after_them(
    index: LocalIndex, project: Path, builder: Builder
) -> None:
    index.add_wheel("rich", "99.0", {"rich.py": "LOCKED = True\n"})
    index.lock(project, ["tinylib==1.0", "rich==99.0"])
    environment = builder.built(project)
    lines = "import tinylib, everfit, polars, rich; print(tinylib.NUMBER, everfit.__file__, rich.LOCKED)"
    assert printed(environment, lines) == f"1 {everfit.__file__} True"
    assert complete_environments(builder.environments) == (environment.name,)


def test_two_locks_are_two_environments(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    first = builder.built(project)
    index.lock(project, ["tinylib==2.0"])
    second = builder.built(project)
    numbers = [printed(environment, "import tinylib; print(tinylib.NUMBER)") for environment in (first, second)]
    assert numbers == ["1", "2"]


def test_an_unchanged_lock_is_never_built_again(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    first = builder.built(project)
    project.joinpath("project.py").write_text("# other code\n")
    assert builder.built(project) == first
    assert builder.builds == 1
    assert builder.built(project, "tinylib") != first
    assert builder.builds == 2


def test_a_project_without_a_lock_has_none(project: Path, builder: Builder) -> None:
    project.mkdir()
    assert builder.build(project) is None
    assert not builder.commands


def test_nobody_can_change_one(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    environment = builder.built(project)
    paths = [path for path in (environment, *environment.rglob("*")) if not path.is_symlink()]
    assert len(paths) > 20
    assert not [path for path in paths if path.stat().st_mode & 0o222]
    module = next(environment.rglob("tinylib.py"))
    assert module.stat().st_nlink == 1, "it shares nothing with uv's cache"
    assert list(module.parent.glob("__pycache__/tinylib.*.pyc"))


def test_what_was_interrupted_is_built_again(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    environment = builder.built(project)
    environment.chmod(0o755)
    environment.joinpath(".complete").unlink()
    module = next(environment.rglob("tinylib.py"))
    module.chmod(0o644)
    module.write_text("half a fi")
    assert complete_environments(builder.environments) == ()
    assert builder.built(project) == environment
    assert builder.builds == 2
    assert printed(environment, "import tinylib; print(tinylib.NUMBER)") == "1"


KILLED = """
import sys
from pathlib import Path
from tests.releases.test_environment import Builder
Builder(Path(sys.argv[1])).build(Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    "moment", ["install/uv.toml", "*/pyvenv.cfg", "*/lib/*/*/tinylib.py", "*/lib/*/*/~everfit.pth"]
)
def test_a_build_may_be_killed(
    index: LocalIndex, project: Path, builder: Builder, tmp_path: Path, repository: Path, moment: str
) -> None:
    """A process that builds is killed once a file exists; then another one builds."""
    index.lock(project, ["tinylib==1.0"])
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(project)]
    process = psutil.Popen(command, cwd=repository)
    until_s = time.monotonic() + 60
    while not [*builder.environments.glob(moment), *builder.log.parent.glob(f"scratch-1/{moment}")]:
        assert time.monotonic() < until_s
        assert process.poll() is None, "it was over before it could be killed"
        time.sleep(0.001)
    # A uv that it has started may go on for a moment: it holds the lock as long.
    process.kill()
    process.wait()
    builder._attempts = 1
    environment = builder.built(project)
    assert printed(environment, "import tinylib, everfit; print(tinylib.NUMBER)") == "1"
    assert complete_environments(builder.environments) == (environment.name,)


def test_of_two_at_once_one_builds(index: LocalIndex, project: Path, builder: Builder, tmp_path: Path) -> None:
    index.lock(project, ["tinylib==1.0"])
    other = Builder(tmp_path)
    other._attempts = 10
    found: list[Path] = []
    threads = [threading.Thread(target=lambda one=one: found.append(one.built(project))) for one in (builder, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 2
    assert found[0] == found[1]
    assert builder.builds + other.builds == 1


def test_those_that_no_release_needs_are_deleted(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    old = builder.built(project)
    index.lock(project, ["tinylib==2.0"])
    kept = builder.built(project)
    with builder.environments.joinpath(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert set_environments_aside(builder.environments, kept=()) == [], "one is built"
    (aside,) = set_environments_aside(builder.environments, kept={kept.name})
    assert not old.exists(), "it is gone at once"
    delete_folder(aside)
    assert complete_environments(builder.environments) == (kept.name,)
    assert printed(kept, "import tinylib; print(tinylib.NUMBER)") == "2"
    assert set_environments_aside(builder.environments / "none", kept=()) == []


def refusal(builder: Builder, project: Path) -> EnvironmentBuildError:
    with pytest.raises(EnvironmentBuildError) as caught:
        builder.build(project)
    assert complete_environments(builder.environments) == ()
    return caught.value


def test_a_lock_that_is_out_of_date_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    file = project / "pyproject.toml"
    file.write_text(file.read_text().replace("tinylib==1.0", "tinylib==2.0"))
    error = refusal(builder, project)
    assert "uv.lock must match pyproject.toml" in error.rule
    assert "uv lock" in error.remedy


def test_a_broken_lock_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    project.joinpath("uv.lock").write_text("<<<<<<< HEAD\n")
    assert "uv.lock must match pyproject.toml" in refusal(builder, project).rule


def test_a_lock_without_its_project_file_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    project.joinpath("pyproject.toml").unlink()
    assert "pyproject.toml" in refusal(builder, project).rule


def test_another_python_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    for name in ("pyproject.toml", "uv.lock"):
        file = project / name
        file.write_text(file.read_text().replace(">=3.11", ">=3.99"))
    error = refusal(builder, project)
    assert "requires-python" in error.rule
    assert error.value == ">=3.99" or str(error.value).startswith("3.")


def test_a_package_that_was_changed_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    index.add_wheel("tinylib", "1.0", {"tinylib.py": "NUMBER = 666\n"})
    error = refusal(builder, project)
    assert "digest" in error.rule
    assert "tinylib" in str(error.value)


def test_a_source_that_must_be_built_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.add_source("tinysource", "1.0", build="open('/tmp/everfit-was-here', 'w')")
    index.lock(project, ["tinysource"])
    error = refusal(builder, project)
    assert error.value == "tinysource"
    assert "[releases] build" in error.remedy
    assert not Path("/tmp/everfit-was-here").exists()


BUILD = """
import socket
import tinylib
found.append(tinylib.NUMBER)
for deed in (
    lambda: open({outside!r}, "w"),
    lambda: open({secret!r}).read(),
    lambda: open("/proc/{parent}/environ").read(),
    lambda: os.environ["UV_INDEX_INSIDE_PASSWORD"],
    lambda: socket.create_connection(("127.0.0.1", {port})),
):
    try:
        deed()
    except Exception as error:
        pass
    else:
        found.append("reached")
"""


def test_a_source_that_may_be_built_is_built_where_it_reaches_nothing(
    index: LocalIndex, project: Path, builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX_INSIDE_PASSWORD", "SECRET")
    secret, outside = tmp_path / "secret", tmp_path / "outside"
    secret.write_text("SECRET")
    with socket.create_server(("127.0.0.1", 0)) as server:
        build = BUILD.format(outside=str(outside), secret=str(secret), port=server.getsockname()[1], parent=os.getpid())
        index.add_source("tinysource", "1.0", build=build, requires='["tinylib"]')
        index.lock(project, ["tinysource; python_version >= '3'", "tinylib==1.0"])
        environment = builder.built(project, "Tinysource")
    assert printed(environment, "import tinysource, tinylib; print(tinysource.FOUND, tinylib.NUMBER)") == "[2] 1"
    assert not outside.exists()
    assert builder.built(project, "Tinysource") == environment
    assert sum("build" in command for command in builder.commands) == 1


def test_a_source_whose_build_fails_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.add_source("tinysource", "1.0", build="open('/etc/everfit-was-here', 'w')")
    index.lock(project, ["tinysource"])
    with pytest.raises(EnvironmentBuildError, match="must be buildable without network") as caught:
        builder.build(project, "tinysource")
    assert "tinysource-1.0.tar.gz" in str(caught.value)
    assert complete_environments(builder.environments) == ()


@pytest.mark.parametrize(
    ("requires", "rule"),
    [
        ('["--index-url=http://127.0.0.1"]', "by name"),
        ('["./here"]', "by name"),
        ('["tinylib @ file:///etc/passwd"]', "from an index"),
        ('["tinylib==3.0"]', "must have what is locked"),
    ],
)
def test_a_build_gets_wheels_of_the_index_alone(
    index: LocalIndex, project: Path, builder: Builder, requires: str, rule: str
) -> None:
    index.add_source("tinysource", "1.0", requires=requires)
    index.lock(project, ["tinysource"])
    with pytest.raises(EnvironmentBuildError, match=rule):
        builder.build(project, "tinysource")


def test_a_source_that_was_changed_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.add_source("tinysource", "1.0")
    index.lock(project, ["tinysource"])
    index.add_source("tinysource", "1.0", build="found.append(1)")
    with pytest.raises(EnvironmentBuildError, match="digest"):
        builder.build(project, "tinysource")


def test_a_project_that_builds_its_metadata_is_refused(
    index: LocalIndex, project: Path, builder: Builder, tmp_path: Path
) -> None:
    """uv executes the project's build to compare it with the lock, even if it is told to build nothing."""
    index.lock(project, ["tinylib==1.0"])
    file, lock, outside = project / "pyproject.toml", project / "uv.lock", tmp_path / "outside"
    text = file.read_text().replace('version = "1"', 'dynamic = ["version", "dependencies"]')
    text = text.replace('dependencies = ["tinylib==1.0"]\n', "")
    file.write_text(text + '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    lock.write_text(lock.read_text().replace('version = "1"\n', "").replace("virtual =", "editable ="))
    project.joinpath("backend.py").write_text(f"open({str(outside)!r}, 'w')")
    error = refusal(builder, project)
    assert "pyproject.toml must state version and dependencies itself" in error.rule
    assert not outside.exists()


def test_an_index_that_is_gone_is_reported(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.lock(project, ["tinylib==1.0"])
    for path in index.folder.rglob("*.*"):
        path.unlink()
    assert "index" in refusal(builder, project).rule


def test_an_index_that_does_not_answer_is_reported(
    index: LocalIndex, project: Path, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.lock(project, ["tinylib==1.0"])
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    error = refusal(builder, project)
    assert "the package index must be reachable" in error.rule
    assert "127.0.0.1:9" in str(error.value)


def test_a_package_from_a_folder_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    vendored = index.folder.parent / "tinylib-1.0-py3-none-any.whl"
    vendored.write_bytes((index.folder / "tinylib" / vendored.name).read_bytes())
    index.lock(project, ["tinylib"], lines=f'[tool.uv.sources]\ntinylib = {{ path = "{vendored}" }}\n')
    error = refusal(builder, project)
    assert vendored.name in str(error.value)
    assert "must come from an index" in error.rule


def test_a_dependency_that_everfit_cannot_use_is_refused(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.add_wheel("polars", "1.0.0", {"polars.py": ""})
    index.lock(project, ["polars==1.0.0"])
    error = refusal(builder, project)
    assert "polars" in error.rule
    assert "1.0.0" in error.rule


def test_a_package_cannot_take_the_place_of_everfit(index: LocalIndex, project: Path, builder: Builder) -> None:
    index.add_wheel("helpful", "1.0", {"everfit/__init__.py": ""})
    index.lock(project, ["helpful"])
    assert "everfit must be imported from" in refusal(builder, project).rule


def test_the_operators_credentials_are_sent_to_the_operators_index_alone(project: Path) -> None:
    operator = {
        "UV_INDEX": "inside=https://inside.example/simple",
        "UV_INDEX_INSIDE_PASSWORD": "secret",
        "UV_NO_VERIFY_HASHES": "1",
        "EVERFIT_TOKEN": "secret",
        "PATH": "/bin",
    }
    indexes = [
        {"name": "inside", "url": "https://elsewhere.example/simple"},
        {"url": "wheels", "format": "flat"},
        {"url": "https://mirror.example", "default": True},
    ]
    variables = install_variables(operator, {"tool": {"uv": {"index": indexes}}}, project)
    assert variables["UV_INDEX"] == "inside=https://inside.example/simple https://elsewhere.example/simple"
    assert variables["UV_FIND_LINKS"] == project.joinpath("wheels").as_uri()
    assert variables["UV_DEFAULT_INDEX"] == "https://mirror.example"
    assert variables["UV_INDEX_INSIDE_PASSWORD"] == "secret"
    assert not {"EVERFIT_TOKEN", "UV_NO_VERIFY_HASHES"} & variables.keys()
    mirror = {"UV_DEFAULT_INDEX": "https://operator.example"}
    assert install_variables(mirror, {"tool": {"uv": {"index": indexes}}}, project)["UV_DEFAULT_INDEX"] == (
        "https://operator.example"
    )


def test_a_process_in_an_environment_finds_the_installation(
    index: LocalIndex, project: Path, builder: Builder, tmp_path: Path
) -> None:
    """The controller runs in a release, and builds the next one."""
    index.lock(project, ["tinylib==1.0"])
    environment = builder.built(project)
    lines = f"""
from pathlib import Path
from everfit.releases.installation import find_uv, package_folders
environments = Path({str(builder.environments)!r})
print(find_uv(environments), *package_folders(environments))
"""
    expected = [find_uv(tmp_path), *package_folders(tmp_path)]
    assert printed(environment, lines) == " ".join(map(str, expected))

"""Wheels of packages that the operator lets be built from source: their code runs confined, and without any network.

The source has the digest of the lock. What its build needs is installed before, as wheels, by a ``uv`` that executes
nothing of them; so the build sees no credentials.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from everfit.core.errors import EnvironmentBuildError, ProcessError, ProcessKilledError, ProcessStoppedError
from everfit.releases.uv import INSTALL_REASONS

if TYPE_CHECKING:
    from everfit.releases.environment import EnvironmentRequest

_DOWNLOAD = Path(__file__).with_name("source_download.py")
_LEGACY = ["setuptools>=40.8", "wheel"]
"""Requirements of the build of a source that states none (PEP 517)."""


class BuiltWheel(NamedTuple):
    """Wheel that was built here."""

    name: str
    """The package's name in the lock."""
    file: Path

    def in_place_of_source(self, requirements: str) -> str:
        """Return requirements that name this wheel in the place of the package's source."""
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        line = rf"{self.name} @ {self.file.as_uri()}\g<marker> --hash=sha256:{digest}"
        locked = rf"^{re.escape(self.name)}(\[[^\]]*\])?==[^ ]+(?P<marker>( ; [^\\\n]*)?)( \\\n    --hash=\S+)*"
        return re.sub(locked, line, requirements, flags=re.MULTILINE)


def build_wheels(
    request: EnvironmentRequest, uv: str, lock: Mapping[str, Any], variables: Mapping[str, str]
) -> list[BuiltWheel]:
    """Return the wheels of the packages in a lock that may be built and have a source; those are always built.

    Raises :class:`EnvironmentBuildError` if one cannot be built, :class:`ProcessStoppedError` if it takes too long.

    Args:
        uv: Path of ``uv``.
        lock: The parsed pylock.toml.
        variables: Variables of a ``uv`` that installs packages.
    """
    allowed = {canonicalize_name(name) for name in request.build}
    wheels = []
    for package in lock.get("packages", ()):
        if canonicalize_name(package["name"]) in allowed and "sdist" in package:
            folder = request.scratch / "sources" / canonicalize_name(package["name"])
            folder.mkdir(parents=True)
            request.note(f"{package['name']} {package.get('version', '')} is built from source, confined")
            source = _download(request, package["sdist"], folder)
            wheels.append(BuiltWheel(package["name"], _build(request, uv, source, variables)))
    return wheels


def _download(request: EnvironmentRequest, sdist: Mapping[str, Any], folder: Path) -> Path:
    """Return the source of a package, after it was compared with the digest in the lock."""
    url = str(sdist["url"])
    parts = urlsplit(url)
    source = folder / Path(parts.path).name
    command = [sys.executable, "-I", "-S", str(_DOWNLOAD), url, str(source)]
    reads = [Path(url2pathname(parts.path))] if parts.scheme == "file" else []
    try:
        request.run_confined(command, reads=reads, writes=[folder], network=True)
    except (ProcessStoppedError, ProcessKilledError):
        raise
    except ProcessError as error:
        remedy = "It is fetched without credentials, which its build must not see; put a wheel into the index instead."
        raise EnvironmentBuildError("the source of a package must be reachable", value=url, remedy=remedy) from error
    if hashlib.sha256(source.read_bytes()).hexdigest() != sdist.get("hashes", {}).get("sha256"):
        raise EnvironmentBuildError("a package must have the digest that uv.lock states", value=url)
    return source


def _build(request: EnvironmentRequest, uv: str, source: Path, variables: Mapping[str, str]) -> Path:
    """Return the wheel that is built from a source."""
    tools, wheels = source.parent / "tools", source.parent / "wheels"
    create = [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(tools)]
    request.run_uv(create, variables, "the environment of a build could not be created", ())
    python = str(tools / "bin" / "python")
    if needed := _build_requirements(source):
        install = [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", python, "--", *needed]
        request.run_uv(install, variables, "what a build needs could not be installed", INSTALL_REASONS)
    command = [uv, "build", "--wheel", "--no-build-isolation", "--offline", "--no-config", "--python", python]
    command += ["--out-dir", str(wheels), str(source)]
    own = {"UV_CACHE_DIR": str(source.parent / "cache"), "UV_PYTHON_DOWNLOADS": "never"}
    try:
        request.run_confined(command, reads=[Path(uv)], writes=[source.parent], variables=own)
        # The build could have left a link to a file elsewhere, or in the place of the folder.
        return next(
            path for path in wheels.glob("*.whl") if path.resolve() == source.parent.resolve() / "wheels" / path.name
        )
    except (ProcessStoppedError, ProcessKilledError):
        raise
    except (ProcessError, StopIteration) as error:
        rule = "a package must be buildable without network, variables and files of this machine"
        remedy = "The log of the step has what its build printed; lock a version that has a wheel."
        raise EnvironmentBuildError(rule, value=source.name, remedy=remedy) from error


def _build_requirements(source: Path) -> list[str]:
    """Return what a source states that its build needs."""
    try:
        with tarfile.open(source) as archive:
            file = archive.extractfile(f"{source.name.removesuffix('.tar.gz')}/pyproject.toml")
            project = tomllib.loads(file.read().decode()) if file is not None else {}
    except KeyError:
        project = {}
    except (tarfile.TarError, ValueError, OSError) as error:
        raise EnvironmentBuildError(f"a source must be readable: {error}", value=source.name) from error
    return _checked_requirements(project.get("build-system", {}).get("requires", _LEGACY), source.name)


def _checked_requirements(lines: Iterable[object], source: str) -> list[str]:
    """Return requirements that are names with versions; no options, and nothing from elsewhere than the index."""
    try:
        requirements = [Requirement(str(line)) for line in lines]
    except InvalidRequirement as error:
        raise EnvironmentBuildError(f"a build must state what it needs by name: {error}", value=source) from error
    for requirement in requirements:
        if requirement.url is not None:
            raise EnvironmentBuildError(f"{requirement.name} must come from an index to build", value=source)
    return [str(requirement) for requirement in requirements]

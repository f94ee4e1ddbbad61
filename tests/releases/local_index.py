"""A package index in a folder, and projects that are locked against it: real wheels, real digests, no network."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from everfit.releases.installation import find_uv

_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_BACKEND = """
import os, zipfile

found = []
{build}

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, info = "{name}-{version}-py3-none-any.whl", "{name}-{version}.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr("{name}.py", "FOUND = " + repr(found))
        archive.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        archive.writestr(info + "/WHEEL", {wheel!r})
        archive.writestr(info + "/RECORD", "")
    return name
"""


class LocalIndex:
    """A folder with packages, as pip and uv read it. It has ``tinylib`` 1.0 and 2.0, whose ``NUMBER`` is 1 or 2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.add_wheel("tinylib", "1.0", {"tinylib.py": "NUMBER = 1\n"})
        self.add_wheel("tinylib", "2.0", {"tinylib.py": "NUMBER = 2\n"})

    @property
    def url(self) -> str:
        """For ``[[tool.uv.index]]``."""
        return self.folder.as_uri()

    def add_wheel(self, name: str, version: str, files: Mapping[str, str]) -> Path:
        """Add a wheel that holds files."""
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        files = {**files, f"{info}/METADATA": metadata, f"{info}/WHEEL": _WHEEL}
        record = "".join(f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in files.items())
        wheel = self._place(name, f"{name}-{version}-py3-none-any.whl")
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in (files | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}).items():
                archive.writestr(path, text)
        self._list(name)
        return wheel

    def add_source(self, name: str, version: str, *, build: str = "", requires: str = "[]") -> Path:
        """Add a source distribution. Lines that are executed when it is built may append to its module's ``FOUND``."""
        backend = _BACKEND.format(name=name, version=version, build=build, wheel=_WHEEL)
        files = {
            "pyproject.toml": f'[build-system]\nrequires = {requires}\nbuild-backend = "backend"\n'
            f'backend-path = ["."]\n'
            f'[project]\nname = "{name}"\nversion = "{version}"\n',
            "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n",
            "backend.py": backend,
        }
        archive = self._place(name, f"{name}-{version}.tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            for path, text in files.items():
                member = tarfile.TarInfo(f"{name}-{version}/{path}")
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
        self._list(name)
        return archive

    def lock(self, project: Path, dependencies: Sequence[str], *, lines: str = "") -> None:
        """Write a project's pyproject.toml, with further lines, and its uv.lock."""
        project.mkdir(parents=True, exist_ok=True)
        wanted = ", ".join(f'"{requirement}"' for requirement in dependencies)
        project.joinpath("pyproject.toml").write_text(
            f'[project]\nname = "parcels"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{wanted}]\n'
            f'[[tool.uv.index]]\nurl = "{self.url}"\ndefault = true\n{lines}'
        )
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "UV_PYTHON_DOWNLOADS": "never"}
        command = [find_uv(project), "lock", "--quiet", "--offline", "--no-cache"]
        subprocess.run(command, cwd=project, env=variables, check=True)

    def _place(self, name: str, file: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / file

    def _list(self, name: str) -> None:
        files = sorted(path for path in (self.folder / name).iterdir() if path.suffix != ".html")
        lines = [
            f'<a href="{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a><br>'
            for path in files
        ]
        (self.folder / name / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(lines))


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()

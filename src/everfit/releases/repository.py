"""The source repository of a project: a folder or a URL, as git's commands for reading it need it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from everfit.core.errors import RepositoryError
from everfit.releases.git import require_git

_SCHEMES = ("https", "ssh", "file", "http")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_HELPER = re.compile(r"[\w+.-]+::")
_SCP = re.compile(r"(?P<user>[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>[^/].*)")
_URL = re.compile(r"[!-~]+")
_FORMS = "Write a folder, or a URL that begins with https://, ssh:// or file://."


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository that commits are fetched from."""

    url: str
    """Folders are ``file://``, since git takes files from a plain path by links, without checking what they are
    (CVE-2022-39253, CVE-2024-32021)."""
    folder: Path | None = None
    """On this machine."""
    options: tuple[str, ...] = ()
    """Options of the commands that read it."""

    @property
    def variables(self) -> dict[str, str]:
        """Return variables of the commands that read it: a server must not redirect them to another protocol."""
        return {"GIT_ALLOW_PROTOCOL": self.url.partition("://")[0]}


def find_repository(text: str, root: Path) -> Repository:
    """Return the repository that a text names; a folder is relative to the project's.

    Raises :class:`RepositoryError` if there is none of that form, or no repository in the folder.
    """
    if text.startswith("-") or "\0" in text or _HELPER.match(text):
        raise RepositoryError("a repository must be a folder or a URL", value=text, remedy=_FORMS)
    if "://" in text:
        return _at_url(text, root)
    if (scp := _SCP.fullmatch(text)) is not None and not (root / text).exists():
        remedy = f"Write ssh://{scp['user'] or ''}{scp['host']}/{scp['path']}."
        raise RepositoryError("a repository on another machine must be a URL", value=text, remedy=remedy)
    return _in_folder(root / os.path.expanduser(text), text)


def _at_url(text: str, root: Path) -> Repository:
    scheme, _, rest = text.partition("://")
    if scheme not in _SCHEMES or not _URL.fullmatch(text):
        raise RepositoryError("a repository's URL must be one that git can read safely", value=text, remedy=_FORMS)
    if scheme == "file":
        return _in_folder(root / unquote(rest), text)
    parts = urlsplit(text)
    host = parts.hostname or ""
    if not host or host.startswith("-") or (parts.username or "").startswith("-"):
        raise RepositoryError("a repository's URL must name a host", value=text, remedy=_FORMS)
    if parts.password:
        remedy = f"Write it to ~/.netrc: machine {host} login {parts.username} password …; or use ssh:// with a key."
        raise RepositoryError("a repository's URL must not hold a password", value=f"{scheme}://{host}", remedy=remedy)
    if scheme == "http" and host not in _THIS_MACHINE:
        remedy = f"Write https://{rest}."
        raise RepositoryError("http:// must only be used on this machine", value=text, remedy=remedy)
    return Repository(url=text)


def _in_folder(folder: Path, text: str) -> Repository:
    try:
        folder = folder.resolve()
        if not _is_repository(folder):
            raise RepositoryError("there must be a git repository", value=text, remedy=_found_above(folder))
        is_own = folder.stat().st_uid == os.geteuid()
    except OSError as error:
        raise RepositoryError(f"the repository's folder must be readable: {error.strerror}", value=text) from error
    options: tuple[str, ...] = ()
    if not is_own:
        # The process that sends the objects gets no `-c` of the one that receives them.
        trusted = [word for entry in user_settings("safe.directory") for word in ("-c", f"safe.directory={entry}")]
        options = (f"--upload-pack={shlex.join(['git', *trusted, 'upload-pack'])}",)
    return Repository(url=folder.as_uri(), folder=folder, options=options)


def git_folder(folder: Path) -> Path | None:
    """Return the folder of a repository that holds HEAD, hooks and objects; ``None`` if there is no repository."""
    for candidate in (folder / ".git", folder):
        if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
            return candidate.resolve()
    return None


def repository_above(folder: Path) -> Path:
    """Return the nearest folder upwards that is a repository. Raises :class:`RepositoryError` if there is none."""
    found = next((candidate for candidate in (folder, *folder.parents) if _is_repository(candidate)), None)
    if found is None:
        raise RepositoryError("there must be a git repository", value=str(folder), remedy=_found_above(folder))
    return found


def _is_repository(folder: Path) -> bool:
    # `.git` is a file in a linked working tree.
    return (folder / ".git").is_file() or git_folder(folder) is not None


def _found_above(folder: Path) -> str:
    """Return the remedy for a folder that is no repository."""
    for parent in folder.parents:
        if _is_repository(parent):
            inside = folder.relative_to(parent).as_posix()
            return f"Write [releases] repository = '{parent}', and folder = '{inside}' if the project is there."
    return f"Run 'git init' in {folder} and commit the project, or write [releases] repository."


def user_settings(name: str, git_folder: Path = Path(os.devnull)) -> list[str]:
    """Return the values of a setting of git in the user's own configuration, the machine's, and a repository's.

    Raises :class:`RepositoryError` if git is not installed.
    """
    require_git()
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(  # noqa: S603 - no shell sees the name
        ["git", "config", "--get-all", name],  # noqa: S607 - the user's own git
        capture_output=True,
        text=True,
        env=variables | {"GIT_DIR": str(git_folder)},
        check=False,
        timeout=60,
    )
    return done.stdout.splitlines()

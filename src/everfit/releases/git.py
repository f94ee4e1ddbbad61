"""Git commands that trust neither the repository nor the caller's configuration, within limits of time and size."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from everfit.core.errors import ProcessKilledError, RepositoryError

_VARIABLES: Mapping[str, str] = {
    # Like protocol.allow=never, for child processes, too; `ext::` would run any command. A command that reads a
    # repository allows the protocol of its URL.
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    # Its messages are matched below.
    "LC_ALL": "C",
    "SSH_ASKPASS_REQUIRE": "never",
}
_NOT_INHERITED = ("GIT_", "SSH_ASKPASS", "EVERFIT_")
"""Beginnings of variables that steer git, open a window that asks for a password, or may be secrets."""
_OPTIONS = (
    f"core.attributesFile={os.devnull}",
    f"core.hooksPath={os.devnull}",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.quotePath=false",
    "core.sshCommand=ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15",
    "credential.helper=",
    # A connection that is slower than 1 kB/s for a minute has hung.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "transfer.fsckObjects=true",
    # A pack is written to the disk as a whole; loose objects are not.
    "transfer.unpackLimit=1",
    # Mistakes of old versions of git that many histories hold; GitLab accepts them, too.
    "fetch.fsck.badTimezone=ignore",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
    "fetch.fsck.zeroPaddedFilemode=ignore",
    # It would go on in the background.
    "gc.auto=0",
    "maintenance.auto=false",
)
# The limit of file sizes, in blocks of 512 bytes, is inherited by all that git starts.
_LIMITED = 'ulimit -f "$0" && exec git "$@"'
_BLOCK = 512
_FILE_BYTES = 2 << 30
"""Largest file that git may write, such as a pack: twice the largest tree (releases/tree.py)."""
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM})
_CHILD_KILLED = re.compile(r"died of signal (?:9|15)\b")
_PREFIX = re.compile(r"(?:fatal|error|remote): ")
_NOT_REASONS = ("hint:", "warning:", "Please make sure you have", "and the repository exists")
_MOST_REASONS = 5
_REMEDIES: Mapping[str, str] = {
    "terminal prompts disabled": "Write the right login and token to ~/.netrc of the user that runs Everfit.",
    "Permission denied (publickey": "Give the user that runs Everfit a key without a passphrase that the server knows.",
    "Host key verification failed": "Connect once by ssh as the user that runs Everfit, to accept the server's key.",
}
_ENDED_SILENTLY = "fetch-pack: invalid index-pack output"
"""Git's only message if the process that writes the pack was ended by the limit."""


@dataclass(frozen=True, kw_only=True)
class Git:
    """Git on one repository, or on none."""

    folder: Path = Path(os.devnull)
    """The repository's own folder, which holds HEAD."""
    time_s: float
    """Longest time of one command."""
    held: tuple[int, ...] = field(default=(), repr=False)
    """Open files that its processes inherit, so that a lock outlives this process as long as they do."""

    def run(self, *arguments: str, most_bytes: int = _FILE_BYTES, variables: Mapping[str, str] | None = None) -> str:
        """Return the standard output of a command; bytes that are not UTF-8 are surrogate escapes.

        Raises :class:`RepositoryError` with git's reason if it fails, takes too long or writes too much, and
        :class:`ProcessKilledError` if a signal from elsewhere ended it.

        Args:
            most_bytes: Largest size of a file that it writes, and of its output.
            variables: Environment variables of this command.
        """
        require_git()
        settings = [word for option in _OPTIONS for word in ("-c", option)]
        command = ["/bin/sh", "-c", _LIMITED, str(most_bytes // _BLOCK), *settings, *arguments]
        # Files, since pipes would have to be read while it runs.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(  # noqa: S603 - no shell sees the arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=self._environment() | dict(variables or {}),
                cwd="/",
                pass_fds=self.held,
                start_new_session=True,
            )
            try:
                process.wait(self.time_s)
            except subprocess.TimeoutExpired as error:
                rule = f"'git {arguments[0]}' must end within {self.time_s:g} s"
                raise RepositoryError(rule, remedy="Allow more by [releases] step_seconds.") from error
            finally:
                _end_group(process)
            if process.returncode:
                text = _text(errors)
                if -process.returncode in _FROM_OUTSIDE or _CHILD_KILLED.search(text):
                    raise ProcessKilledError(f"'git {arguments[0]}' must not be ended from outside")
                raise _failure(arguments[0], process.returncode, text, most_bytes)
            return _text(output)

    def succeeds(self, *arguments: str) -> bool:
        """Return true if a command ends with 0. Raises :class:`ProcessKilledError`."""
        try:
            self.run(*arguments)
        except RepositoryError:
            return False
        return True

    def _environment(self) -> dict[str, str]:
        """Return the caller's variables without those that steer git."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        return kept | dict(_VARIABLES) | {"GIT_DIR": str(self.folder)}


def require_git() -> None:
    """Refuse to go on without git. Raises :class:`RepositoryError`."""
    if shutil.which("git") is None:
        raise RepositoryError("git must be installed", remedy="Install it, for example: apt install git.")


def require_ref(ref: str) -> None:
    """Refuse a name that git could not have as a branch or tag, or could take for an option.

    Raises :class:`RepositoryError`.
    """
    git = Git(time_s=60.0)
    if ref.startswith("-") or "\0" in ref or not git.succeeds("check-ref-format", f"refs/heads/{ref}"):
        remedy = "Write the name of a branch or a tag, or a commit's id."
        raise RepositoryError("a ref must have a name that git allows", value=ref, remedy=remedy)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that has not ended, with all that it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="surrogateescape")


def _failure(name: str, code: int, text: str, most_bytes: int) -> RepositoryError:
    """Return the error of a command that failed."""
    lines = text.encode(errors="replace").decode().splitlines()
    reasons = [_PREFIX.sub("", line) for line in lines if line.strip() and not line.startswith(_NOT_REASONS)]
    if code == -signal.SIGXFSZ or f"signal {signal.SIGXFSZ}" in text or reasons == [_ENDED_SILENTLY]:
        remedy = "Keep data outside of the repository, and name its folder in [paths]."
        return RepositoryError(f"'git {name}' must not write more than {most_bytes >> 20:,} MiB", remedy=remedy)
    if "dubious ownership" in text:
        quoted = re.search(r"repository at '(.*)'", text)
        folder = quoted[1] if quoted else ""
        remedy = f"If you trust it, run as that user: git config --global --add safe.directory {folder}"
        rule = "the repository must belong to the user that runs Everfit, or be trusted by that user"
        return RepositoryError(rule, value=folder, remedy=remedy)
    remedy = next((remedy for reason, remedy in _REMEDIES.items() if reason in text), "")
    rule = f"'git {name}' must succeed: {'; '.join(reasons[:_MOST_REASONS]).rstrip('.')}"
    return RepositoryError(rule, value=f"exit code {code}", remedy=remedy)

"""Runs of ``uv``: the variables that they get, and the reasons of their failures.

The operator decides where packages come from and with which credentials; the project's own file may only add indexes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from everfit.core.errors import EnvironmentBuildError, ProcessError, ProcessKilledError, ProcessStoppedError

_SETTINGS = {
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_NO_PROGRESS": "1",
    # A hard link would share its content with the cache, and so with every other environment of this user.
    "UV_LINK_MODE": "copy",
    # Every package is pinned by its digest, so that any index may have it.
    "UV_INDEX_STRATEGY": "unsafe-best-match",
}
_OPERATORS = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_\w+_(USERNAME|PASSWORD)|FIND_LINKS|KEYRING_PROVIDER"
    r"|CREDENTIALS_DIR|CACHE_DIR|CONFIG_FILE|OFFLINE|SYSTEM_CERTS|NATIVE_TLS|INSECURE_HOST|HTTP_\w+|REQUEST_TIMEOUT"
    r"|CONCURRENT_\w+)"
)
"""Variables of uv that say where packages come from; any other one could change what is installed, or where."""
_FOREIGN = re.compile(r"UV_|EVERFIT_|PYTHON|VIRTUAL_ENV$|CONDA_")


def install_variables(operator: Mapping[str, str], project: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return the variables of the ``uv`` that installs packages.

    Indexes of the project are added without their names, since uv sends the operator's ``UV_INDEX_<NAME>_PASSWORD`` to
    any URL of that name. The operator's default index takes the place of the project's.

    Args:
        operator: Environment variables of this process.
        project: The parsed pyproject.toml.
        folder: The project's folder, which relative paths of indexes start at.
    """
    kept = {name: text for name, text in operator.items() if not _FOREIGN.match(name) or _OPERATORS.fullmatch(name)}
    variables = kept | _SETTINGS
    further = [variables["UV_INDEX"]] if "UV_INDEX" in variables else []
    links = [variables["UV_FIND_LINKS"]] if "UV_FIND_LINKS" in variables else []
    for index in project.get("tool", {}).get("uv", {}).get("index", ()):
        url = str(index.get("url", ""))
        address = url if "://" in url else (folder / url).resolve().as_uri()
        if index.get("format") == "flat":
            links.append(address)
        elif index.get("default"):
            if "UV_INDEX_URL" not in variables:
                variables.setdefault("UV_DEFAULT_INDEX", address)
        else:
            further.append(address)
    return (
        variables
        | ({"UV_INDEX": " ".join(further)} if further else {})
        | ({"UV_FIND_LINKS": ",".join(links)} if links else {})
    )


def read_project_file(path: Path) -> dict[str, Any]:
    """Return the parsed pyproject.toml. Raises :class:`EnvironmentBuildError` if it cannot be read."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        rule = f"beside a uv.lock there must be a readable pyproject.toml: {error}"
        raise EnvironmentBuildError(rule, value=path.name, remedy="Commit both files.") from error


class UvReason(NamedTuple):
    """Reason of a failure: the pattern by which it is recognised, the rule that was broken, and the remedy."""

    pattern: str
    """A regular expression of what uv prints; its group, if there is one, is the value of the error."""
    rule: str
    remedy: str


UNVERIFIABLE = "every package must come from an index or an https:// address"
LOCK_REASONS = (
    UvReason(
        r"Python (\S+), which is incompatible with the project's Python requirement",
        "requires-python in pyproject.toml must allow the Python that Everfit runs in",
        "Allow it, and lock again; or install Everfit in another Python.",
    ),
    UvReason(
        r"Failed to (?:build|generate package metadata for) `([^`]+) @ (?:editable|directory|virtual)\+\.`",
        "pyproject.toml must state version and dependencies itself, not leave them to a build",
        "Take them out of 'dynamic', and lock again.",
    ),
    UvReason(
        r"Failed to generate package metadata for `([^`]+)`|Git operation failed.*?`([^`]+)`",
        UNVERIFIABLE,
        "Packages from a folder or from git cannot be verified; put a wheel into an index.",
    ),
    UvReason(
        r"needs to be updated|No solution found|not found in the cache|Permission denied"
        r"|Failed to (?:resolve|parse)|[Ww]orkspace",
        "uv.lock must match pyproject.toml",
        "Run uv lock, and commit uv.lock.",
    ),
)
"""Reasons why a lock cannot be read, the first that matches."""
INSTALL_REASONS = (
    UvReason(
        r"Wheels are required for `([^`]+)`",
        "a package without a wheel for this machine is only built if the operator allows it",
        "Lock a version that has a wheel; or let its code run, and add its name to [releases] build in everfit.toml.",
    ),
    UvReason(
        r"Hash mismatch for `([^`]+)`",
        "a package must have the digest that uv.lock states",
        "The index serves another file than it did when the project was locked; if that is right, lock again.",
    ),
    UvReason(
        r"requirements must have a hash.*? for: (\S+)|pinned .*?, found: (\S+)|must be pinned .*?: (\S+)",
        "every package must come from an index that states its digest",
        "Packages from a folder, from git, or of an index without digests cannot be verified; put a wheel into one.",
    ),
    UvReason(
        r"\b(40[13]) (?:Unauthorized|Forbidden)",
        "the package index refused the credentials",
        "Give them to the process that runs 'everfit up', by UV_INDEX and its variables or ~/.netrc.",
    ),
    UvReason(
        r"Failed to fetch: `([^`]+)`|error sending request for url \(([^)]+)\)"
        r"|Failed to read `--find-links` \w+: (\S+)",
        "the package index must be reachable",
        "Check the network and UV_DEFAULT_INDEX of the process that runs 'everfit up', then try the release again.",
    ),
    UvReason(
        r"Because (\S+) was not found|there is no version of (\S+)|No solution found",
        "the package index must have what is locked",
        "Check UV_DEFAULT_INDEX and UV_INDEX of the process that runs 'everfit up', or lock again.",
    ),
)
"""Reasons why packages cannot be installed, the first that matches."""
_LAST_LINES = 12


@contextmanager
def explained(log: Path, action: str, reasons: Sequence[UvReason]) -> Iterator[None]:
    """Turn the failure of a ``uv`` that appends to a log into :class:`EnvironmentBuildError`."""
    begin = log.stat().st_size if log.exists() else 0
    try:
        yield
    except (ProcessStoppedError, ProcessKilledError):
        raise
    except ProcessError as error:
        raise uv_failure(action, log.read_bytes()[begin:].decode(errors="replace"), reasons) from error


def uv_failure(action: str, printed: str, reasons: Sequence[UvReason]) -> EnvironmentBuildError:
    """Return the error of a run of ``uv`` that failed.

    Args:
        action: What was not possible, as a clause.
        printed: Its output.
        reasons: Those that this run can have.
    """
    last = " | ".join(line.strip() for line in printed.strip().splitlines()[-_LAST_LINES:] if line.strip())
    for reason in reasons:
        if found := re.search(reason.pattern, printed, re.DOTALL):
            value = next((text for text in found.groups() if text), None)
            return EnvironmentBuildError(f"{reason.rule} (uv: {last})", value=value, remedy=reason.remedy)
    return EnvironmentBuildError(f"{action} (uv: {last})", remedy="The log of the step has all that uv printed.")

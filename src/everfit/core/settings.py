"""Settings of a project: read once, frozen, unknown keys rejected.

The order of precedence is flag, variable, file, default. Every key has an environment variable: ``[serving] port`` is
``EVERFIT_SERVING_PORT``. :mod:`everfit.wiring` reads the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from everfit.core.errors import SettingsError
from everfit.core.suggestion import did_you_mean

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]

SETTINGS_FILE = "everfit.toml"
"""Name of the settings file; a folder that has one is a project's."""
CODE_SECTIONS = ("project", "training")
"""Sections that belong to the code, and that a release brings with it; all others are the operator's."""


def is_project_code(file: Path) -> bool:
    """Return whether a module's file, or a package's ``__init__.py``, is beside a settings file."""
    return any((folder / SETTINGS_FILE).is_file() for folder in list(file.parents)[:2])


class ProjectSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[project]``: the name and the module of the project."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*$")] = "project"
    """The project's name."""
    module: str = "project"
    """The Python module, beside everfit.toml, with the definitions."""


class StoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[stores]``: URLs of the stores; a relative path starts at the project's folder."""

    ledger: str = "sqlite:///.everfit/ledger.db"
    """Orders, aliases and their history (SQLAlchemy URL)."""
    tracking: str = "sqlite:///.everfit/tracking.db"
    """MLflow's runs and registry (MLflow tracking URI)."""
    lake: str = ".everfit/lake"
    """Tables and blobs that Everfit writes (folder)."""
    online: str = "sqlite:///.everfit/online.db"
    """Online features (SQLite URL)."""


class SourceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[sources]``: reading of the project's data."""

    statement_seconds: Positive = 60.0
    """Longest time of one statement in the database of a source, in seconds (PostgreSQL and SQLite)."""


class TrainingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[training]``: limits and shares of a training."""

    trials: Annotated[int, Meta(ge=0, le=10_000)] = 20
    """Number of tuning trials; with 0, each parameter has its default."""
    seconds: Positive = 600.0
    """Time budget of the tuning, and that of the choice of the history, in seconds."""
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    """Number of trials at the same time."""
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    """Seed of all random numbers."""
    holdout_share: Annotated[float, Meta(gt=0, lt=0.9)] = 0.2
    """Largest share of the labelled rows that is held out for the gates: the newest; see `holdout` of a model."""
    validation_share: Annotated[float, Meta(gt=0, lt=0.9)] = 0.2
    """Largest share of the remaining rows that tuning is scored on: the newest."""
    bootstrap: Annotated[int, Meta(ge=100, le=100_000)] = 500
    """Number of bootstrap resamples for each interval."""
    refit: bool = True
    """Refit on all labelled rows after the gates have passed."""


KeptTime = Annotated[str, Meta(pattern=r"^$|^(\d+[hdw])+$")]
"""A duration as :func:`everfit.core.duration.parse_duration` reads it; empty for ever."""


class ServingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serving]``: the prediction service."""

    host: str = "127.0.0.1"
    """Address to listen on; by default only this machine can connect."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """Port to listen on; 0 chooses a free one."""
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 16 * 1024 * 1024
    """Largest size of a request body, in bytes."""
    max_rows: Count = 10_000
    """Largest number of rows in a request."""
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    """Number of worker processes, which share the address."""
    durability: Literal["batch", "sync"] = "batch"
    """When a response is sent: `batch`, after its record was given to the operating system, which writes it to the disk
    within 100 ms; `sync`, after its record is on the disk."""
    seal_seconds: Positive = 30.0
    """Age at which a segment of the journal is closed and can be shipped, in seconds."""
    max_waiting: Count = 512
    """Largest number of requests that wait in one worker; further ones get 503."""
    answer_seconds: Positive = 10.0
    """Longest time that a request waits before it gets 503, in seconds."""
    receive_seconds: Positive = 30.0
    """Longest time to receive a request or to send its response, in seconds."""
    idle_seconds: Positive = 75.0
    """Time after which an idle connection is closed, in seconds."""
    max_connections: Count = 1024
    """Largest number of connections of one worker; further ones get 503."""
    repository_control: bool = False
    """Let callers load and unload models by the Open Inference Protocol."""


class LoopSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[loop]``: automation of ``everfit up``."""

    level: Literal["manual", "semi", "full"] = "semi"
    """`manual`: it serves, monitors and sends alerts, and a person starts every training and rollout; `semi`: it
    retrains when the model's policy requires it, and rolls out versions that pass; `full`: it also watches the source
    repository, and releases new code that passes its tests."""
    watch_seconds: Positive = 2.0
    """Shortest time between two evaluations, in seconds; they use a tenth of a core at most."""
    train_seconds: Positive = 3600.0
    """Longest time of one training, in seconds."""
    train_memory_mib: Positive = 16_384.0
    """Largest memory of one training with its child processes, in MiB."""
    trainings: Annotated[int, Meta(ge=1, le=64)] = 1
    """Largest number of trainings at the same time; a model has one at most."""
    materialize_seconds: Annotated[float, Meta(ge=0)] = 60.0
    """Time between two updates of the online store from the sources, in seconds; 0: never."""


class ReleaseSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[releases]``: the source repository, and limits of what its code may use while it is tested."""

    repository: str = "."
    """Git repository: a folder, relative to the project's, or a URL (`https://`, `ssh://`, `file://`)."""
    branch: str = "main"
    """The branch that is watched at level `full`."""
    folder: str = "."
    """The project's folder within the repository."""
    poll_seconds: Positive = 30.0
    """Time between two looks at the branch, in seconds; a hook or a webhook makes it look at once."""
    step_seconds: Positive = 600.0
    """Longest time of one step of a release, in seconds."""
    memory_mib: Positive = 8192.0
    """Largest memory of one step with its child processes, in MiB."""
    sample_rows: Annotated[int, Meta(ge=100)] = 5000
    """Largest number of rows of the data tests, of the smoke training and of the comparison of features."""
    network: bool = False
    """Let code that is tested connect to the network, as sources in a database need."""
    build: tuple[str, ...] = ()
    """Packages that are built from source, if the lock has one; that runs their code, confined and without network.
    Separated by blanks in the variable."""
    keep: Annotated[int, Meta(ge=1)] = 5
    """Number of releases without a version in use whose code and environments are kept."""


class LakeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[lake]``: the tables that the journal is moved to."""

    keep: KeptTime = ""
    """Time for which predictions, failures, outcomes and labels are kept, such as `400d`; by default, for ever."""
    keep_features: KeptTime = ""
    """Time for which pushed features are kept, which later trainings need; by default, for ever."""


class AlertSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[alerts]``: channels and times of notifications about incidents."""

    urls: tuple[str, ...] = ()
    """Channels as URLs of [Apprise](https://appriseit.com/services/): `mailto://…`, `slack://…`, `json://…`; separated
    by blanks in the variable."""
    severity: Literal["info", "warning", "critical"] = "warning"
    """Lowest severity of incidents that are notified."""
    quiet: Annotated[str, Meta(pattern=r"^$|^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")] = ""
    """Hours with critical notifications only, such as `22:00-07:00`; others follow later."""
    time_zone: str = "UTC"
    """Time zone of the quiet hours, such as `Europe/Berlin`."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings."""

    project: ProjectSettings = ProjectSettings()
    stores: StoreSettings = StoreSettings()
    sources: SourceSettings = SourceSettings()
    training: TrainingSettings = TrainingSettings()
    serving: ServingSettings = ServingSettings()
    loop: LoopSettings = LoopSettings()
    releases: ReleaseSettings = ReleaseSettings()
    lake: LakeSettings = LakeSettings()
    alerts: AlertSettings = AlertSettings()
    paths: dict[str, str] = {}
    """Folders that sources refer to in braces: path='{data}/flights.parquet' with data = '../data'."""


def resolve_settings(
    file: Mapping[str, Any], variables: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> Settings:
    """Return the settings: flags over variables over the file over the defaults.

    Raises :class:`SettingsError` if a key is unknown or a value is of the wrong type or out of range.

    Args:
        file: The parsed everfit.toml.
        variables: The process environment; only names that start with ``EVERFIT_`` count.
        flags: Dotted names from the command line, ``{"serving.port": 9000}``; one that is ``None`` was not given.
    """
    known = _known()
    merged: dict[str, dict[str, Any]] = {}
    for section, keys in file.items():
        if section not in known:
            raise _unknown(f"[{section}]", section, known)
        if not isinstance(keys, Mapping):
            raise SettingsError(f"[{section}] must be a table", value=keys)
        for key in keys if section != "paths" else ():
            if key not in known[section]:
                raise _unknown(f"[{section}] {key}", key, known[section])
        merged[section] = dict(keys)
    for name, text in variables.items():
        # EVERFIT_TEST_… are for the test suite.
        if not name.startswith("EVERFIT_") or name in RESERVED_VARIABLES or name.startswith("EVERFIT_TEST_"):
            continue
        section, _, key = name.removeprefix("EVERFIT_").lower().partition("_")
        if section not in known or (section != "paths" and key not in known[section]):
            names = [variable_name(section, key) for section, keys in known.items() for key in keys]
            raise _unknown(f"the variable {name}", name, names)
        merged.setdefault(section, {})[key] = text.split() if (section, key) in _LISTS else text
    for dotted, value in (flags or {}).items():
        if value is not None:
            section, _, key = dotted.partition(".")
            merged.setdefault(section, {})[key] = value
    try:
        return msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"a setting must be usable: {error}", remedy="See docs/reference/settings.md.") from error


def variable_name(section: str, key: str) -> str:
    """Return the environment variable of a setting.

    >>> variable_name("serving", "port")
    'EVERFIT_SERVING_PORT'
    """
    return f"EVERFIT_{section}_{key}".upper()


RESERVED_VARIABLES = frozenset(
    {"EVERFIT_PROJECT_FOLDER", "EVERFIT_KEYS", "EVERFIT_TOKEN", "EVERFIT_RELEASE", "EVERFIT_INTERPRETER"}
)
"""Variables that are no settings: the project's folder, the keys that :mod:`everfit.artifact.pyfunc` trusts, the
token that a client sends, the number of the release that a process runs in, and the Python that Everfit is in."""

_LISTS = frozenset({("alerts", "urls"), ("releases", "build")})
"""Settings with several values."""


def _known() -> dict[str, list[str]]:
    """Return the keys of each section; those of ``paths`` are the user's."""
    return {
        section.name: [] if section.name == "paths" else [key.name for key in msgspec.structs.fields(section.type)]
        for section in msgspec.structs.fields(Settings)
    }


def _unknown(place: str, name: str, known: Iterable[str]) -> SettingsError:
    remedy = did_you_mean(name, known, otherwise=f"Known are: {', '.join(sorted(known))}.")
    return SettingsError("a setting must be one of those that exist", value=name, remedy=remedy, place=place)

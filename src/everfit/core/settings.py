"""Settings of a project: read once, frozen, unknown keys rejected.

The order of precedence is flag, variable, file, default. Every key has an environment variable: ``[serving] port`` is
``EVERFIT_SERVING_PORT``. :mod:`everfit.wiring` reads the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from everfit.core.errors import SettingsError
from everfit.core.suggestion import did_you_mean

SETTINGS_FILE = "everfit.toml"
"""Name of the settings file; a folder that has one is a project's."""


def is_project_code(file: Path) -> bool:
    """Return whether a module's file, or a package's ``__init__.py``, is beside a settings file."""
    return any((folder / SETTINGS_FILE).is_file() for folder in list(file.parents)[:2])


class ProjectSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[project]``: the name and the module of the project."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*$", description="The project's name.")] = "project"
    module: Annotated[str, Meta(description="The Python module, beside everfit.toml, with the definitions.")] = (
        "project"
    )


class StoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[stores]``: URLs of the stores; a relative path starts at the project's folder."""

    ledger: Annotated[str, Meta(description="Orders, aliases and their history (SQLAlchemy URL).")] = (
        "sqlite:///.everfit/ledger.db"
    )
    tracking: Annotated[str, Meta(description="MLflow's runs and registry (MLflow tracking URI).")] = (
        "sqlite:///.everfit/tracking.db"
    )
    lake: Annotated[str, Meta(description="Tables and blobs that Everfit writes (folder).")] = ".everfit/lake"
    online: Annotated[str, Meta(description="Online features (SQLite URL).")] = "sqlite:///.everfit/online.db"


class TrainingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[training]``: limits and shares of a training."""

    trials: Annotated[
        int, Meta(ge=0, le=10_000, description="Number of tuning trials; with 0, each parameter has its default.")
    ] = 20
    seconds: Annotated[float, Meta(gt=0, description="Time budget of the tuning, in seconds.")] = 600.0
    workers: Annotated[int, Meta(ge=1, le=256, description="Number of trials at the same time.")] = 1
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1, description="Seed of all random numbers.")] = 0
    holdout_share: Annotated[
        float, Meta(gt=0, lt=0.9, description="Share of the labelled rows that is held out for the gates: the newest.")
    ] = 0.2
    validation_share: Annotated[
        float, Meta(gt=0, lt=0.9, description="Share of the remaining rows that tuning is scored on: the newest.")
    ] = 0.2
    bootstrap: Annotated[
        int, Meta(ge=100, le=100_000, description="Number of bootstrap resamples for each interval.")
    ] = 500
    refit: Annotated[bool, Meta(description="Refit on all labelled rows after the gates have passed.")] = True


class ServingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serving]``: the prediction service."""

    host: Annotated[str, Meta(description="Address to listen on; by default only this machine can connect.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 chooses a free one.")] = 8080
    max_body_bytes: Annotated[int, Meta(ge=1024, description="Largest size of a request body, in bytes.")] = (
        16 * 1024 * 1024
    )
    max_rows: Annotated[int, Meta(ge=1, description="Largest number of rows in a request.")] = 10_000
    workers: Annotated[int, Meta(ge=1, le=256, description="Number of worker processes, which share the address.")] = 1
    durability: Annotated[
        Literal["batch", "sync"],
        Meta(
            description="When a response is sent: `batch`, after its record was given to the operating system, which "
            "writes it to the disk within 100 ms; `sync`, after its record is on the disk."
        ),
    ] = "batch"
    seal_seconds: Annotated[
        float, Meta(gt=0, description="Age at which a segment of the journal is closed and can be shipped, in seconds.")
    ] = 30.0
    max_waiting: Annotated[
        int, Meta(ge=1, description="Largest number of requests that wait in one worker; further ones get 503.")
    ] = 512
    answer_seconds: Annotated[
        float, Meta(gt=0, description="Longest time that a request waits before it gets 503, in seconds.")
    ] = 10.0
    receive_seconds: Annotated[
        float, Meta(gt=0, description="Longest time to receive a request or to send its response, in seconds.")
    ] = 30.0
    idle_seconds: Annotated[
        float, Meta(gt=0, description="Time after which an idle connection is closed, in seconds.")
    ] = 75.0
    max_connections: Annotated[
        int, Meta(ge=1, description="Largest number of connections of one worker; further ones get 503.")
    ] = 1024
    repository_control: Annotated[
        bool, Meta(description="Let callers load and unload models by the Open Inference Protocol.")
    ] = False


class LoopSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[loop]``: automation of ``everfit up``."""

    level: Annotated[
        Literal["manual", "semi"],
        Meta(
            description="`manual`: it serves, monitors and sends alerts, and a person starts every training and "
            "rollout; `semi`: it retrains when the model's policy requires it, and rolls out versions that pass."
        ),
    ] = "semi"
    watch_seconds: Annotated[
        float,
        Meta(
            gt=0,
            description="Shortest time between two evaluations, in seconds; they use a tenth of a core at most.",
        ),
    ] = 2.0
    train_seconds: Annotated[float, Meta(gt=0, description="Longest time of one training, in seconds.")] = 3600.0
    train_memory_mib: Annotated[
        float, Meta(gt=0, description="Largest memory of one training with its child processes, in MiB.")
    ] = 16_384.0
    trainings: Annotated[
        int, Meta(ge=1, le=64, description="Largest number of trainings at the same time; a model has one at most.")
    ] = 1
    materialize_seconds: Annotated[
        float,
        Meta(ge=0, description="Time between two updates of the online store from the sources, in seconds; 0: never."),
    ] = 60.0


class AlertSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[alerts]``: channels and times of notifications about incidents."""

    urls: Annotated[
        tuple[str, ...],
        Meta(
            description="Channels as URLs of [Apprise](https://appriseit.com/services/): `mailto://…`, "
            "`slack://…`, `json://…`; separated by blanks in the variable."
        ),
    ] = ()
    severity: Annotated[
        Literal["info", "warning", "critical"], Meta(description="Lowest severity of incidents that are notified.")
    ] = "warning"
    quiet: Annotated[
        str,
        Meta(
            pattern=r"^$|^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$",
            description="Hours with critical notifications only, such as `22:00-07:00`; others follow later.",
        ),
    ] = ""
    time_zone: Annotated[str, Meta(description="Time zone of the quiet hours, such as `Europe/Berlin`.")] = "UTC"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings."""

    project: ProjectSettings = ProjectSettings()
    stores: StoreSettings = StoreSettings()
    training: TrainingSettings = TrainingSettings()
    serving: ServingSettings = ServingSettings()
    loop: LoopSettings = LoopSettings()
    alerts: AlertSettings = AlertSettings()
    paths: Annotated[
        dict[str, str],
        Meta(
            description="Folders that sources refer to in braces: path='{data}/flights.parquet' with data = '../data'."
        ),
    ] = {}


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
    merged: dict[str, dict[str, Any]] = {}
    for section, keys in file.items():
        known = {field.name for field in msgspec.structs.fields(Settings)}
        if section not in known:
            raise _unknown(f"[{section}]", section, known)
        if not isinstance(keys, Mapping):
            raise SettingsError(f"[{section}] must be a table", value=keys)
        merged[section] = dict(keys)
        if section != "paths":
            for key in keys:
                if key not in _keys(section):
                    raise _unknown(f"[{section}] {key}", key, _keys(section))
    for section, key, text in _from_variables(variables):
        merged.setdefault(section, {})[key] = text.split() if (section, key) == ("alerts", "urls") else text
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


def _keys(section: str) -> set[str]:
    kind = next(field.type for field in msgspec.structs.fields(Settings) if field.name == section)
    return {field.name for field in msgspec.structs.fields(kind)}


def _from_variables(variables: Mapping[str, str]) -> list[tuple[str, str, str]]:
    sections = {field.name for field in msgspec.structs.fields(Settings)}
    found = []
    for name, text in variables.items():
        # EVERFIT_TEST_… are for the test suite.
        if not name.startswith("EVERFIT_") or name in RESERVED_VARIABLES or name.startswith("EVERFIT_TEST_"):
            continue
        section, _, key = name.removeprefix("EVERFIT_").lower().partition("_")
        if section not in sections or (section != "paths" and key not in _keys(section)):
            known = {variable_name(s, k) for s in sections - {"paths"} for k in _keys(s)}
            raise _unknown(f"the variable {name}", name, known)
        found.append((section, key, text))
    return found


RESERVED_VARIABLES = frozenset({"EVERFIT_PROJECT_FOLDER", "EVERFIT_KEYS", "EVERFIT_TOKEN"})
"""Variables that are no settings: the project's folder, the keys that :mod:`everfit.artifact.pyfunc` trusts, and the
token that a client sends."""


def _unknown(place: str, name: str, known: set[str]) -> SettingsError:
    remedy = did_you_mean(name, known, otherwise=f"Known are: {', '.join(sorted(known))}.")
    return SettingsError("a setting must be one of those that exist", value=name, remedy=remedy, place=place)

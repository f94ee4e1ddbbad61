"""What a project or an operator may set: read once, frozen, unknown keys rejected.

The order of precedence is flag, then variable, then file, then default. Every key has a variable:
``[serving] port`` is ``EVERFIT_SERVING_PORT``. Reading the file is the caller's business (``everfit.wiring``).
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from everfit.core.errors import SettingsError

SETTINGS_FILE = "everfit.toml"
"""Where a project's settings are, and what makes a folder a project's."""


def is_project_code(file: Path) -> bool:
    """Whether a module, or a package's ``__init__.py``, lies beside a settings file.

    Args:
        file: Where it was imported from.
    """
    return any((folder / SETTINGS_FILE).is_file() for folder in list(file.parents)[:2])


class ProjectSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[project]``: what this project is."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*$", description="The project's name.")] = "project"
    module: Annotated[str, Meta(description="The Python module, beside everfit.toml, with the definitions.")] = (
        "project"
    )


class StoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[stores]``: where state lives, each a URL; a relative path is taken from the project's folder."""

    ledger: Annotated[str, Meta(description="Orders, aliases and their history (SQLAlchemy URL).")] = (
        "sqlite:///.everfit/ledger.db"
    )
    tracking: Annotated[str, Meta(description="MLflow's runs and registry (MLflow tracking URI).")] = (
        "sqlite:///.everfit/tracking.db"
    )
    lake: Annotated[str, Meta(description="Tables and blobs that Everfit writes (folder).")] = ".everfit/lake"
    online: Annotated[str, Meta(description="Online features (SQLite URL).")] = "sqlite:///.everfit/online.db"


class TrainingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[training]``: how much a training may cost."""

    trials: Annotated[int, Meta(ge=0, le=10_000, description="Tuning trials; 0 takes each parameter's default.")] = 20
    seconds: Annotated[float, Meta(gt=0, description="Time budget of the tuning, in seconds.")] = 600.0
    workers: Annotated[int, Meta(ge=1, le=256, description="Trials at a time.")] = 1
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1, description="Seed of everything random.")] = 0
    holdout_share: Annotated[float, Meta(gt=0, lt=0.9, description="Newest share of the labelled rows, for gates.")] = (
        0.2
    )
    validation_share: Annotated[
        float, Meta(gt=0, lt=0.9, description="Newest share of the remaining rows, for tuning.")
    ] = 0.2
    bootstrap: Annotated[int, Meta(ge=100, le=100_000, description="Bootstrap resamples of every interval.")] = 500
    refit: Annotated[bool, Meta(description="Refit on every labelled row once the gates have passed.")] = True


class ServingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serving]``: the prediction service."""

    host: Annotated[str, Meta(description="Address to listen on; loopback unless told otherwise.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8080
    max_body_bytes: Annotated[int, Meta(ge=1024, description="Largest request body, in bytes.")] = 16 * 1024 * 1024
    max_rows: Annotated[int, Meta(ge=1, description="Most rows in one request.")] = 10_000
    workers: Annotated[int, Meta(ge=1, le=256, description="Processes that answer, on one address.")] = 1
    durability: Annotated[
        Literal["batch", "sync"],
        Meta(
            description="When an answer may be sent: `batch`, once its record is with the operating system, which has "
            "it on the disk within 100 ms; `sync`, once it is on the disk."
        ),
    ] = "batch"
    seal_seconds: Annotated[float, Meta(gt=0, description="Age at which a journal's segment can be shipped.")] = 30.0
    max_waiting: Annotated[
        int, Meta(ge=1, description="Requests that may wait for an answer in one worker; more get 503.")
    ] = 512
    answer_seconds: Annotated[float, Meta(gt=0, description="How long a request may wait before it gets 503.")] = 10.0
    receive_seconds: Annotated[
        float, Meta(gt=0, description="How long a caller may take to send a request, or to take its answer.")
    ] = 30.0
    idle_seconds: Annotated[float, Meta(gt=0, description="After which an idle connection is closed.")] = 75.0
    max_connections: Annotated[int, Meta(ge=1, description="Connections of one worker; more get 503.")] = 1024
    repository_control: Annotated[
        bool, Meta(description="Whether callers may load and unload models by the Open Inference Protocol.")
    ] = False


class LoopSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[loop]``: what ``everfit up`` does by itself."""

    level: Annotated[
        Literal["manual", "semi"],
        Meta(
            description="`manual`: it serves, watches and tells, and a person starts every step; `semi`: it retrains "
            "when the model's policy says so, and delivers what passes."
        ),
    ] = "semi"
    watch_seconds: Annotated[
        float, Meta(gt=0, description="Least time between two looks at a model; they take a tenth of a core at most.")
    ] = 2.0
    train_seconds: Annotated[float, Meta(gt=0, description="How long one training may take.")] = 3600.0
    train_memory_mib: Annotated[
        float, Meta(gt=0, description="How much memory one training may take, its own children included, in MiB.")
    ] = 16_384.0
    trainings: Annotated[int, Meta(ge=1, le=64, description="Trainings at a time; a model has one at most.")] = 1
    materialize_seconds: Annotated[
        float, Meta(ge=0, description="How often the online store is brought up to date from the sources; 0: never.")
    ] = 60.0


class AlertSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[alerts]``: who is told of incidents, and when."""

    urls: Annotated[
        tuple[str, ...],
        Meta(
            description="Channels as [Apprise](https://appriseit.com/services/) writes them: `mailto://…`, "
            "`slack://…`, `json://…`; in the variable, separated by blanks."
        ),
    ] = ()
    severity: Annotated[
        Literal["info", "warning", "critical"], Meta(description="The least severe incident that is told.")
    ] = "warning"
    quiet: Annotated[
        str,
        Meta(
            pattern=r"^$|^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$",
            description="Hours in which only what is critical is told, such as `22:00-07:00`; the rest is told after.",
        ),
    ] = ""
    time_zone: Annotated[str, Meta(description="The time zone of the quiet hours.")] = "UTC"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that may be set."""

    project: ProjectSettings = ProjectSettings()
    stores: StoreSettings = StoreSettings()
    training: TrainingSettings = TrainingSettings()
    serving: ServingSettings = ServingSettings()
    loop: LoopSettings = LoopSettings()
    alerts: AlertSettings = AlertSettings()
    paths: Annotated[
        dict[str, str],
        Meta(description="Folders that sources name in braces: path='{data}/flights.parquet' with data = '../data'."),
    ] = {}


def resolve_settings(
    file: Mapping[str, Any], variables: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> Settings:
    """Merge the three layers over the defaults.

    Args:
        file: The parsed everfit.toml.
        variables: The process environment; only names that start with ``EVERFIT_`` count.
        flags: Dotted names from the command line, ``{"serving.port": 9000}``; one that is ``None`` was not given.

    Raises:
        SettingsError: If a key is unknown or a value is of the wrong type or out of range.
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
        raise SettingsError(f"a setting is not usable: {error}", remedy="See docs/reference/settings.md.") from error


def variable_name(section: str, key: str) -> str:
    """The environment variable of a setting.

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
        # EVERFIT_TEST_… steer the test suite.
        if not name.startswith("EVERFIT_") or name in RESERVED_VARIABLES or name.startswith("EVERFIT_TEST_"):
            continue
        section, _, key = name.removeprefix("EVERFIT_").lower().partition("_")
        if section not in sections or (section != "paths" and key not in _keys(section)):
            known = {variable_name(s, k) for s in sections - {"paths"} for k in _keys(s)}
            raise _unknown(f"the variable {name}", name, known)
        found.append((section, key, text))
    return found


RESERVED_VARIABLES = frozenset({"EVERFIT_PROJECT_FOLDER", "EVERFIT_KEYS"})
"""Variables that are no settings: the project's folder, and the keys that :mod:`everfit.artifact.pyfunc` trusts."""


def _unknown(place: str, name: str, known: set[str]) -> SettingsError:
    close = get_close_matches(name, sorted(known), n=1)
    remedy = f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(sorted(known))}."
    return SettingsError("every setting must be a known one", value=name, remedy=remedy, place=place)

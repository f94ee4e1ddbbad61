"""Settings become a running system: the only place that picks implementations."""

from __future__ import annotations

import getpass
import importlib
import os
import socket
import sys
import tomllib
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfit.artifact.signing import open_keys, read_trust
from everfit.core.clock import Clock, FixedClock, SystemClock
from everfit.core.errors import EverfitError, NotReadyError, ProjectError, SettingsError
from everfit.core.settings import SETTINGS_FILE, Settings, is_project_code, resolve_settings
from everfit.core.sqlite_url import anchor_url, sqlite_path, sqlite_url
from everfit.runtime.controller import Controller
from everfit.runtime.launcher import Launcher
from everfit.serving.worker_report import last_follows_replay
from everfit.store.deployment import DeploymentRecord
from everfit.store.replay_clock import CLOCK_FILE, FollowedClock, read_clock
from everfit.store.sqlite_online import OnlineStore
from everfit.system import System

if TYPE_CHECKING:
    from types import ModuleType

    from sqlalchemy import Engine

    from everfit.artifact.package import Package
    from everfit.artifact.signing import Trust
    from everfit.definitions.project import Project
    from everfit.registry.registry import Registry
    from everfit.serving.http.asgi import AsgiApp
    from everfit.serving.worker import Worker
    from everfit.store.leadership import Leadership

STATE_FOLDER = ".everfit"


def find_root(folder: Path | str | None = None) -> Path:
    """Return the given folder, or the nearest one upwards, that holds everfit.toml. Raises :class:`ProjectError`."""
    start = Path(folder or "").resolve()
    for candidate in (start,) if folder else (start, *start.parents):
        if (candidate / SETTINGS_FILE).is_file():
            return candidate
    remedy = "Make a project with 'everfit init NAME', or name its folder with --project."
    raise ProjectError(f"a project's folder must hold {SETTINGS_FILE}", value=str(start), remedy=remedy)


def load_settings(root: Path, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read everfit.toml, the variables and the flags. Raises :class:`SettingsError`."""
    path = root / SETTINGS_FILE
    try:
        file = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} must be readable TOML: {error}") from error
    return resolve_settings(file, os.environ, flags)


def load_project(folder: Path | str | None = None, flags: Mapping[str, Any] | None = None) -> Project:
    """Import the project's module and gather its definitions.

    Args:
        folder: The project's folder; by default the nearest one with everfit.toml.
        flags: Settings by dotted name, ``{"training.trials": 5}``.

    Raises:
        ProjectError: If there is no project, or its module cannot be imported.
        DefinitionError: If its definitions do not fit together.
        SettingsError: If a setting is wrong.
    """
    from everfit.definitions.project import collect_project

    root = find_root(folder)
    settings = load_settings(root, flags)
    module = import_definitions(root, settings.project.module)
    # The project's functions may import its modules while they run; the last project opened is the one on the path.
    if sys.path[-1] != str(root) and (Path(sys.path[-1]) / SETTINGS_FILE).is_file():
        sys.path.pop()
    if str(root) not in sys.path:
        sys.path.append(str(root))
    return collect_project(vars(module), root=root, settings=settings)


def open_system(
    folder: Path | str | None = None, flags: Mapping[str, Any] | None = None, clock: Clock | None = None
) -> System:
    """Put a project's parts together; arguments and errors are those of :func:`load_project`.

    Args:
        flags: Settings by dotted name.
        clock: By default :func:`project_clock`.
    """
    from everfit.store.reader import Reader

    project = load_project(folder, flags)
    root, settings = project.root, project.settings
    state, lake, clock = root / STATE_FOLDER, root / settings.stores.lake, clock or project_clock(root)
    signer, trust = open_keys(state / "keys")
    return System(
        project=project,
        clock=clock,
        state=state,
        journal=state / "journal",
        lake=lake,
        reader=Reader(root, settings.paths, pushes=(lake, state / "journal")),
        online=_online_store(root, settings),
        deployment=DeploymentRecord(state / "deployment.json"),
        signer=signer,
        trust=trust,
        connect_ledger=partial(_open_ledger, anchor_url(settings.stores.ledger, root)),
        connect_registry=partial(_open_registry, anchor_url(settings.stores.tracking, root), state, clock),
        recorded_project=partial(_load_recorded, project, trust),
    )


def _load_recorded(project: Project, trust: Trust, package: Package) -> Project:
    """Return the definitions as they were when a package was made; its data is still the project's own.

    Raises :class:`UntrustedPackageError` if no trusted key signed the package, since importing its code executes it.
    """
    from everfit.definitions.project import collect_project

    code = package.project(trust)
    # Bytecode beside the code would be a file without a signature, for which the package would be refused.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        module = import_definitions(code, load_settings(code).project.module)
    finally:
        sys.dont_write_bytecode = writes
    return collect_project(vars(module), root=project.root, settings=project.settings)


def deployed_versions(root: Path) -> dict[str, int]:
    """Return the deployed champion of every model, by name. Raises :class:`NotReadyError` if there is none yet."""
    record = DeploymentRecord(root / STATE_FOLDER / "deployment.json").read()
    if record is None or not record.models:
        remedy = "Train a model, then promote a version of it: everfit promote MODEL VERSION."
        raise NotReadyError("there must be a champion to serve", remedy=remedy)
    return {deployed.model: deployed.champion.version for deployed in record.models}


def open_worker(folder: Path | str | None = None, *, slot: int = 0, clock: Clock | None = None) -> Worker:
    """Put a prediction worker together, without the project's code, MLflow or the ledger.

    Raises :class:`ProjectError`, :class:`SettingsError`, or :class:`StoreError` if a store cannot be opened.
    """
    from everfit.serving.inference.model_loader import ModelLoader
    from everfit.serving.prediction_logger import PredictionLogger
    from everfit.serving.worker import Worker

    root = find_root(folder)
    settings = load_settings(root)
    serving, state, online = settings.serving, root / STATE_FOLDER, _online_store(root, settings)
    record, trust = DeploymentRecord(state / "deployment.json"), read_trust(state / "keys")
    durability, seal_after_s = serving.durability, serving.seal_seconds
    return Worker(
        ModelLoader(record, trust=trust, online=online, max_rows=serving.max_rows),
        online=online,
        prediction_logger=PredictionLogger(state / "journal", durability=durability, seal_after_s=seal_after_s),
        settings=serving,
        clock=clock or SystemClock(),
        slot=slot,
        reports=state / "workers",
        gauges=state / "gauges",
    )


def asgi_app() -> AsgiApp:
    """Return the prediction service of the current folder's project as an ASGI application; see docs/howto/serve.md."""
    from everfit.serving.http.asgi import AsgiApp

    return AsgiApp(open_worker())


def open_controller(folder: Path | str | None = None, *, in_replay: bool = False) -> Controller:
    """Put the controller of the loop together, perhaps with the time of a replay."""
    from everfit.loop.loop import Loop
    from everfit.runtime.workflows import Engine
    from everfit.store.leadership import FileLeadership, PostgresLeadership

    root = find_root(folder)
    system = open_system(root, clock=follow_replay(root) if in_replay else None)
    ledger = anchor_url(system.project.settings.stores.ledger, root)
    if ledger.startswith("sqlite"):
        # A database of its own: the workflows' steps must not wait for those who read the ledger.
        leadership: Leadership = FileLeadership(system.state / "controller.lock")
        workflows = sqlite_url(system.state / "loop.db")
    else:
        leadership, workflows = PostgresLeadership(system.ledger), ledger
    return Controller(
        leadership,
        Loop(system, Launcher(root=root), open_engine=partial(Engine, workflows), in_replay=in_replay),
        pause_s=system.project.settings.loop.watch_seconds,
        in_replay=in_replay,
    )


def follow_replay(root: Path) -> Clock:
    """Return the clock of a system that takes its time from a replay; raises :class:`StoreError`."""
    return FollowedClock(root / STATE_FOLDER / CLOCK_FILE)


def project_clock(root: Path) -> Clock:
    """Return the clock that a project lives by: the replay's, if its service took the time from a replay last."""
    file = root / STATE_FOLDER / CLOCK_FILE
    if not file.is_file() or last_follows_replay(root / STATE_FOLDER / "workers") is False:
        return SystemClock()
    if not os.access(file, os.W_OK):
        instant = read_clock(file)
        return SystemClock() if instant is None else FixedClock(instant)
    clock = FollowedClock(file)
    return clock if clock.has_begun else SystemClock()


def _open_ledger(url: str) -> Engine:
    from everfit.store.ledger import open_ledger

    return open_ledger(url)


def _open_registry(tracking: str, state: Path, clock: Clock, ledger: Engine) -> Registry:
    from everfit.registry.history import AliasHistory
    from everfit.registry.registry import Registry

    is_server = tracking.startswith(("http://", "https://"))
    artifacts, history = None if is_server else state / "artifacts", AliasHistory(ledger)
    return Registry(tracking, artifacts=artifacts, history=history, cache=state / "cache", clock=clock)


def _online_store(root: Path, settings: Settings) -> OnlineStore:
    file = sqlite_path(anchor_url(settings.stores.online, root))
    if file is None:
        raise SettingsError("[stores] online must be the URL of an SQLite file", value=settings.stores.online)
    return OnlineStore(file)


def actor() -> str:
    """Return the user and the machine, for the record."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in the password file, as in many containers
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def import_definitions(root: Path, name: str) -> ModuleType:
    """Import a project's module with its folder first on the path.

    Raises :class:`ProjectError` if there is no such module, or it raises while it is imported.
    """
    if not (root / f"{name}.py").is_file() and not (root / name / "__init__.py").is_file():
        rule = "[project] module must name a Python module beside everfit.toml"
        raise ProjectError(rule, value=name, place=str(root / SETTINGS_FILE))
    _forget_foreign_modules(root)
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    except EverfitError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename.startswith(str(root))]
        place = f"{own[-1].filename}:{own[-1].lineno}" if own else str(root / f"{name}.py")
        rule = f"the project's module could not be imported: {type(error).__name__}: {error}"
        raise ProjectError(rule, place=place) from error
    finally:
        sys.path.remove(str(root))


def _forget_foreign_modules(root: Path) -> None:
    """Drop modules of another project that bear the same names, so that one process can open several projects."""
    own = {path.stem for path in root.glob("*.py")} | {path.parent.name for path in root.glob("*/__init__.py")}
    for top in own & set(sys.modules):
        file = getattr(sys.modules[top], "__file__", None)
        if file is not None and not Path(file).is_relative_to(root) and is_project_code(Path(file)):
            for name in [name for name in sys.modules if name.partition(".")[0] == top]:
                del sys.modules[name]

"""Settings become a running system: the only place that picks implementations."""

from __future__ import annotations

import getpass
import importlib
import os
import socket
import sys
import tomllib
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from everfit.artifact.signing import open_keys, read_trust
from everfit.core.clock import Clock, FixedClock, SystemClock
from everfit.core.errors import EverfitError, NotReadyError, ProjectError, SettingsError
from everfit.core.settings import CODE_SECTIONS, SETTINGS_FILE, Settings, is_project_code, resolve_settings
from everfit.core.sqlite_url import anchor_url, sqlite_path, sqlite_url
from everfit.releases.repository import repository_above
from everfit.runtime.controller import Controller
from everfit.runtime.launcher import RELEASE_VARIABLE, launcher_of
from everfit.serving.worker_report import last_follows_replay
from everfit.store.active_release import ReleaseFolder, active_release, read_release
from everfit.store.deployment import DeploymentRecord
from everfit.store.old_folder import delete_folder
from everfit.store.release_lock import keep_folder
from everfit.store.replay_clock import CLOCK_FILE, FollowedClock, read_clock
from everfit.store.sqlite_online import OnlineStore
from everfit.store.webhook_secrets import WebhookSecrets
from everfit.system import System

if TYPE_CHECKING:
    from types import ModuleType

    from sqlalchemy import Engine

    from everfit.artifact.package import Package
    from everfit.artifact.signing import Trust
    from everfit.core.release_trial import TrialRequest
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


def running_release(root: Path) -> ReleaseFolder | None:
    """Return the release that this process runs in: the active one unless the process was started for another one.

    Raises :class:`ProjectError` if there is no such release, and :class:`StoreError` if its document is unreadable.
    """
    named, state = os.environ.get(RELEASE_VARIABLE), root / STATE_FOLDER
    if named is None:
        return active_release(state)
    if named == "0":
        return None
    found = read_release(state, int(named)) if named.isdecimal() else None
    if found is None:
        raise ProjectError(f"{RELEASE_VARIABLE} must be the number of a release that was built", value=named)
    return found


def load_settings(root: Path, flags: Mapping[str, Any] | None = None, *, code: Path | None = None) -> Settings:
    """Read everfit.toml, the variables and the flags; a release brings what its code, in another folder, depends on.

    Raises :class:`SettingsError`.
    """
    file = _read_settings(root)
    if code is not None and code != root:
        released = _read_settings(code)
        own = {section: keys for section, keys in file.items() if section not in CODE_SECTIONS}
        file = own | {section: released[section] for section in CODE_SECTIONS if section in released}
    return resolve_settings(file, os.environ, flags)


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} must be readable TOML: {error}") from error


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
    root = find_root(folder)
    release = running_release(root)
    code = release.code_folder(root / STATE_FOLDER) if release else root
    for kept in release.folders(root / STATE_FOLDER) if release else ():
        keep_folder(kept)
    number, commit = (release.number, release.commit) if release else (0, "")
    return _collect(root, code, load_settings(root, flags, code=code), release=number, commit=commit)


def _collect(root: Path, code: Path, settings: Settings, *, release: int = 0, commit: str = "") -> Project:
    """Import the definitions in a folder, for the project in ``root``."""
    from everfit.definitions.project import collect_project

    module = import_definitions(code, settings.project.module)
    # The project's functions may import its modules while they run; the last project opened is the one on the path.
    if sys.path[-1] != str(code) and (Path(sys.path[-1]) / SETTINGS_FILE).is_file():
        sys.path.pop()
    if str(code) not in sys.path:
        sys.path.append(str(code))
    return collect_project(vars(module), root=root, settings=settings, code=code, release=release, commit=commit)


def open_system(
    folder: Path | str | None = None, flags: Mapping[str, Any] | None = None, clock: Clock | None = None
) -> System:
    """Put a project's parts together; arguments and errors are those of :func:`load_project`.

    Args:
        flags: Settings by dotted name.
        clock: By default :func:`project_clock`.
    """
    project = load_project(folder, flags)
    return _put_together(project, project.root / STATE_FOLDER, clock or project_clock(project.root))


def open_recorded(root: Path, find_code: Callable[[Trust], Path]) -> System:
    """Put a project's parts together with the code of this process's release, without one with code of a package.

    Raises what :func:`load_project` does, and what ``find_code`` does, which returns the package's code.
    """
    if running_release(root) is not None:
        return open_system(root)
    code = find_code(read_trust(root / STATE_FOLDER / "keys"))
    project = _collect(root, code, load_settings(root, code=code))
    return _put_together(project, root / STATE_FOLDER, project_clock(root))


def open_trial(request: TrialRequest, state: Path) -> System:
    """Put the parts of new code together with the project's data, and with a state folder of their own.

    The errors are those of :func:`load_project`.
    """
    flags = _stores_in(state) | {f"paths.{name}": path for name, path in request.paths.items()}
    home, tree = Path(request.home), Path(request.tree)
    # Its other sections are not used, but a mistake in them would stop the project when they are.
    resolve_settings(_read_settings(tree), {})
    return _put_together(_collect(home, tree, load_settings(home, flags, code=tree)), state, FixedClock(request.as_of))


@contextmanager
def open_dry_run(folder: Path | str | None = None) -> Iterator[System]:
    """Put the parts for a dry run of a release together, with a state folder that is deleted in the end.

    Commits are those of the repository that the project's folder is in, pushed or not. Raises what
    :func:`open_without_definitions` does, and :class:`RepositoryError` if there is no repository.
    """
    root = find_root(folder)
    repository = repository_above(root)
    place = {"releases.repository": str(repository), "releases.folder": root.relative_to(repository).as_posix()}
    with TemporaryDirectory(prefix="everfit-dry-run-", ignore_cleanup_errors=True) as temporary:
        state = Path(temporary).resolve()
        project = _without_definitions(root, _stores_in(state) | place)
        system = _put_together(project, state, SystemClock())
        try:
            # A model that serves must stay defined.
            yield replace(system, deployment=DeploymentRecord(root / STATE_FOLDER / "deployment.json"))
        finally:
            system.ledger.dispose()
            delete_folder(state)


def open_without_definitions(folder: Path | str | None = None) -> System:
    """Put a project's parts together without its code, which may be what is broken: it has no views and no models.

    Raises :class:`ProjectError` if there is no project, and :class:`SettingsError` if a setting is wrong.
    """
    root = find_root(folder)
    return _put_together(_without_definitions(root), root / STATE_FOLDER, project_clock(root))


def _without_definitions(root: Path, flags: Mapping[str, Any] | None = None) -> Project:
    from everfit.definitions.project import Project

    return Project(root=root, code=root, settings=load_settings(root, flags), sources={}, views={}, models={})


def _stores_in(state: Path) -> dict[str, str]:
    """Return settings by which all stores are in a state folder."""
    stores = {"ledger": sqlite_url(state / "ledger.db"), "tracking": sqlite_url(state / "tracking.db")}
    stores |= {"lake": str(state / "lake"), "online": sqlite_url(state / "online.db")}
    return {f"stores.{key}": url for key, url in stores.items()}


def _put_together(project: Project, state: Path, clock: Clock) -> System:
    from everfit.store.reader import Reader

    root, settings = project.root, project.settings
    lake = root / settings.stores.lake
    signer, trust = open_keys(state / "keys")
    return System(
        project=project,
        clock=clock,
        state=state,
        journal=state / "journal",
        lake=lake,
        reader=Reader(
            root,
            settings.paths,
            pushes=(lake, state / "journal"),
            statement_s=settings.sources.statement_seconds,
        ),
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
    return collect_project(vars(module), root=project.root, settings=project.settings, code=code)


def deployed_versions(root: Path) -> dict[str, int]:
    """Return the deployed champion of every model, by name. Raises :class:`NotReadyError` if there is none yet."""
    record = DeploymentRecord(root / STATE_FOLDER / "deployment.json").read()
    if record is None or not record.models:
        remedy = "Train a model, then promote a version of it: everfit promote MODEL VERSION."
        raise NotReadyError("there must be a champion to serve", remedy=remedy)
    return {deployed.model: deployed.champion.version for deployed in record.models}


def open_worker(
    folder: Path | str | None = None, *, slot: int = 0, clock: Clock | None = None, options: tuple[str, ...] = ()
) -> Worker:
    """Put a prediction worker together, without the project's code, MLflow or the ledger.

    ``options`` are those of the commands that execute versions in other environments.

    Raises :class:`ProjectError`, :class:`SettingsError`, or :class:`StoreError` if a store cannot be opened.
    """
    from everfit.serving.inference.model_loader import ModelLoader
    from everfit.serving.prediction_logger import PredictionLogger
    from everfit.serving.release_webhook import ReleaseWebhook
    from everfit.serving.worker import Worker

    root = find_root(folder)
    settings = load_settings(root)
    serving, state, online = settings.serving, root / STATE_FOLDER, _online_store(root, settings)
    record, trust = DeploymentRecord(state / "deployment.json"), read_trust(state / "keys")
    durability, seal_after_s = serving.durability, serving.seal_seconds
    return Worker(
        ModelLoader(
            record,
            trust=trust,
            online=online,
            max_rows=serving.max_rows,
            limit_s=serving.answer_seconds,
            options=options,
        ),
        online=online,
        prediction_logger=PredictionLogger(
            state / "journal",
            durability=durability,
            seal_after_s=seal_after_s,
            in_replay=isinstance(clock, FollowedClock),
        ),
        settings=serving,
        clock=clock or SystemClock(),
        slot=slot,
        reports=state / "workers",
        webhook=ReleaseWebhook(state, SystemClock()),
        gauges=state / "gauges",
    )


def asgi_app() -> AsgiApp:
    """Return the prediction service of the current folder's project as an ASGI application; see docs/howto/serve.md."""
    from everfit.serving.http.asgi import AsgiApp

    webhook_secrets(find_root()).read()
    return AsgiApp(open_worker())


def webhook_secrets(root: Path) -> WebhookSecrets:
    """Return the file of the secrets that sign webhooks.

    A service reads it once before it starts: a worker that is restarted must not fail because of it.
    """
    return WebhookSecrets(root / STATE_FOLDER / "keys")


def open_controller(folder: Path | str | None = None, *, in_replay: bool = False) -> Controller:
    """Put the controller of the loop together, perhaps with the time of a replay."""
    from everfit.loop.loop import Loop
    from everfit.runtime.workflows import Engine

    root = find_root(folder)
    system = open_system(root, clock=follow_replay(root) if in_replay else None)
    ledger = _ledger_url(system)
    # Beside an SQLite ledger, a database of its own: workflows' steps must not wait for those who read the ledger.
    workflows = sqlite_url(system.state / "loop.db") if ledger.startswith("sqlite") else ledger
    return Controller(
        open_leadership(system),
        Loop(
            system,
            partial(launcher_of, root, system.state),
            open_engine=partial(Engine, workflows),
            in_replay=in_replay,
        ),
        pause_s=system.project.settings.loop.watch_seconds,
        in_replay=in_replay,
        during=system.reader.reading_once,
    )


def open_leadership(system: System) -> Leadership:
    """Return the lock that one of a project's controllers holds, or a command in the place of one."""
    from everfit.store.leadership import FileLeadership, PostgresLeadership

    if _ledger_url(system).startswith("sqlite"):
        return FileLeadership(system.state / "controller.lock")
    return PostgresLeadership(system.ledger)


def _ledger_url(system: System) -> str:
    return anchor_url(system.project.settings.stores.ledger, system.project.root)


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
    from everfit.registry.version_list import ARTIFACTS

    is_server = tracking.startswith(("http://", "https://"))
    artifacts, history = None if is_server else state / ARTIFACTS, AliasHistory(ledger)
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
        rule = f"the project's module could not be imported: {type(error).__name__}: {error}"
        place = _place_of(error, root) or str(root / f"{name}.py")
        raise ProjectError(rule, place=place, remedy=_import_remedy(error)) from error
    finally:
        sys.path.remove(str(root))


def _place_of(error: Exception, root: Path) -> str:
    """Return file and line of the project's code at which an import raised; empty if that is not known."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(str(root))]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def _import_remedy(error: Exception) -> str:
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    library = error.name.partition(".")[0]
    return f"Install {library} where this runs; a release brings it after 'uv add {library}', committed with uv.lock."


def _forget_foreign_modules(root: Path) -> None:
    """Drop modules of another project that bear the same names, so that one process can open several projects."""
    own = {path.stem for path in root.glob("*.py")} | {path.parent.name for path in root.glob("*/__init__.py")}
    for top in own & set(sys.modules):
        file = getattr(sys.modules[top], "__file__", None)
        if file is not None and not Path(file).is_relative_to(root) and is_project_code(Path(file)):
            for name in [name for name in sys.modules if name.partition(".")[0] == top]:
                del sys.modules[name]

"""Model versions on MLflow, visible to any MLflow client and to ``mlflow.pyfunc.load_model``.

MLflow holds runs, versions, aliases and tags; the ledger holds the history of the aliases. Every method is idempotent,
since a step may run again after a crash.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import msgspec
from mlflow.entities import Metric, Param
from mlflow.entities.model_registry import ModelVersion as MlflowVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from everfit.core.clock import Clock
from everfit.core.errors import RegistryError, StoreError, UnknownVersionError
from everfit.core.event_log import log_event
from everfit.core.records import AliasChange, GateReport, ModelVersion
from everfit.core.sqlite_url import sqlite_path
from everfit.registry.aliases import CHALLENGER, CHAMPION, PREVIOUS
from everfit.registry.history import AliasHistory
from everfit.registry.version_list import local_artifacts, local_package
from everfit.store.sqlite_file import creation_lock, is_read_only, read_only_uri

_log = logging.getLogger(__name__)

_DIGEST_TAG, _ORDER_TAG, _GATES_TAG = "everfit.digest", "everfit.order", "everfit.gates"
_PACKAGE_FOLDER, _REPORT_FILE = "model", "gate_report.json"


class Registry:
    """Registry of versions, aliases and their history.

    Args:
        tracking_uri: MLflow's tracking URI, which is also its registry's.
        artifacts: Where packages are kept when MLflow is a database without a server; ``None`` leaves it to the server.
        cache: A folder for packages that are downloaded from a server.
    """

    def __init__(
        self, tracking_uri: str, *, artifacts: Path | None, history: AliasHistory, cache: Path, clock: Clock
    ) -> None:
        self._client = _connect(tracking_uri)
        self._artifacts = artifacts
        self._history = history
        self.history = history.of
        """The changes of a model's aliases, oldest first."""
        self._cache = cache
        self._clock = clock

    def start_run(self, model: str, *, tags: Mapping[str, str], started_at: datetime | None = None) -> str:
        """Open a run in the model's experiment and return its id; one may be opened when its work has ended."""
        experiment = self._client.get_experiment_by_name(model)
        if experiment is None:
            location = self._artifacts.joinpath(model).as_uri() if self._artifacts else None
            experiment_id = self._client.create_experiment(model, artifact_location=location)
        else:
            experiment_id = experiment.experiment_id
        start_ms = None if started_at is None else int(started_at.timestamp() * 1000)
        run = self._client.create_run(experiment_id, start_time=start_ms, tags=dict(tags))
        return str(run.info.run_id)

    def run_of_order(self, model: str, order: int) -> str | None:
        """Return the id of the newest run of an order, if there is one."""
        experiment = self._client.get_experiment_by_name(model)
        if experiment is None:
            return None
        found = self._client.search_runs(
            [experiment.experiment_id], f"tags.`{_ORDER_TAG}` = '{order}'", max_results=1, order_by=["start_time DESC"]
        )
        return str(found[0].info.run_id) if found else None

    def end_run(
        self,
        run_id: str,
        *,
        status: str,
        params: Mapping[str, object] = MappingProxyType({}),
        metrics: Mapping[str, float] = MappingProxyType({}),
        report: GateReport | None = None,
        note: str = "",
    ) -> None:
        """Close a run.

        Args:
            status: ``FINISHED`` or ``FAILED``.
            metrics: The hold-out's metrics.
            report: The gates' verdicts, kept as ``gate_report.json``.
            note: What went wrong, if anything.
        """
        now_ms = int(self._clock.now().timestamp() * 1000)
        self._client.log_batch(
            run_id,
            metrics=[Metric(key, value, now_ms, 0) for key, value in metrics.items()],
            params=[Param(key, str(value)) for key, value in params.items()],
        )
        if report is not None:
            text = msgspec.json.format(msgspec.json.encode(report)).decode()
            if self._artifacts is None:
                self._client.log_text(run_id, text, _REPORT_FILE)
            else:
                # Not the run's own location: that is absolute, and the state folder may have been moved since.
                place = self._local_artifacts(report.model, run_id)
                place.mkdir(parents=True, exist_ok=True)
                place.joinpath(_REPORT_FILE).write_text(text, encoding="utf-8")
            self._client.set_tag(run_id, _GATES_TAG, "passed" if report.passed else "failed")
        if note:
            self._client.set_tag(run_id, "mlflow.note.content", note)
        self._client.set_terminated(run_id, status=status)

    def register(self, model: str, *, package: Path, digest: str, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
        """Register a package as a version; the same package is the same version, however often it is registered.

        ``tags`` are its lineage: run, code, data and order, each as text.
        """
        for version in self.versions(model):
            if version.digest == digest:
                return version
        with _ignored("RESOURCE_ALREADY_EXISTS"):
            self._client.create_registered_model(model)
        if self._artifacts is None:
            self._client.log_artifacts(run_id, str(package), _PACKAGE_FOLDER)
            source = f"{self._client.get_run(run_id).info.artifact_uri}/{_PACKAGE_FOLDER}"
        else:
            # Where MLflow would put it, unless the state folder has been moved since the first run.
            folder = self._local_artifacts(model, run_id) / _PACKAGE_FOLDER
            shutil.copytree(package, folder, dirs_exist_ok=True)
            source = folder.as_uri()
        tags = {**tags, _DIGEST_TAG: digest}
        number = int(self._client.create_model_version(model, source=source, run_id=run_id, tags=tags).version)
        order = int(tags[_ORDER_TAG]) if _ORDER_TAG in tags else None
        message = f"{model}: version {number} is registered"
        log_event(_log, "version_registered", message, model=model, version=number, order=order)
        return self.version(model, number)

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return all versions of a model, oldest first; none if the model is not registered."""
        found = self._client.search_model_versions(f"name = '{model}'", max_results=10_000)
        aliases = self._aliases(model)
        return tuple(sorted((_as_record(raw, aliases) for raw in found), key=lambda version: version.version))

    def version(self, model: str, which: int | str) -> ModelVersion:
        """Return a version by its number or by an alias. Raises :class:`UnknownVersionError` if there is none."""
        known = self.versions(model)
        for version in known:
            if str(which) == str(version.version) or which in version.aliases:
                return version
        names = [" ".join([str(version.version), *(f"({alias})" for alias in version.aliases)]) for version in known]
        raise UnknownVersionError(
            f"there must be such a version of {model}",
            value=which,
            remedy=f"Known are: {', '.join(names)}." if names else "None is registered yet: run 'everfit train'.",
        )

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version in production, if there is one."""
        return next((version for version in self.versions(model) if CHAMPION in version.aliases), None)

    def nominate(self, version: ModelVersion, *, actor: str, reason: str) -> ModelVersion:
        """Make a version the challenger."""
        return self._point(version.model, {CHALLENGER: version.version}, actor=actor, reason=reason)[CHALLENGER]

    def set_champion(self, model: str, which: int | str, *, actor: str, reason: str) -> ModelVersion:
        """Make a version the champion; the champion until now becomes ``previous``.

        Raises :class:`UnknownVersionError` if there is no such version.
        """
        chosen, champion = self.version(model, which), self.champion(model)
        if champion is not None and champion.version == chosen.version:
            return champion
        target: dict[str, int | None] = {CHAMPION: chosen.version}
        if champion is not None:
            target[PREVIOUS] = champion.version
        if CHALLENGER in chosen.aliases:
            target[CHALLENGER] = None
        return self._point(model, target, actor=actor, reason=reason)[CHAMPION]

    def roll_back(self, model: str, *, actor: str, reason: str) -> ModelVersion:
        """Make the previous champion the champion again, and the present one ``previous``.

        Raises :class:`RegistryError` if there was no champion before this one.
        """
        versions = {alias: version for version in self.versions(model) for alias in version.aliases}
        champion, before = versions.get(CHAMPION), versions.get(PREVIOUS)
        if champion is None or before is None:
            raise RegistryError(
                f"a rollback of {model} needs a champion and one before it",
                value=f"champion {champion.version}" if champion else "no champion",
                remedy="Promote a version by number instead: everfit promote MODEL VERSION.",
            )
        target = {CHAMPION: before.version, PREVIOUS: champion.version}
        return self._point(model, target, actor=actor, reason=reason)[CHAMPION]

    def passed_gates(self, version: ModelVersion) -> bool:
        """Return true if the run of a version has a gate report, and all gates passed."""
        return bool(version.run_id) and self._client.get_run(version.run_id).data.tags.get(_GATES_TAG) == "passed"

    def gate_report(self, model: str, run_id: str) -> GateReport | None:
        """Return the gate report of a model's run; ``None`` if it ended before there was one.

        Raises :class:`RegistryError` if there is no such run, or its report cannot be read.
        """
        try:
            if _GATES_TAG not in self._client.get_run(run_id).data.tags:
                return None
            if self._artifacts is not None:
                content = self._local_artifacts(model, run_id).joinpath(_REPORT_FILE).read_bytes()
            else:
                with tempfile.TemporaryDirectory(prefix="everfit-report-") as folder:
                    content = Path(self._client.download_artifacts(run_id, _REPORT_FILE, folder)).read_bytes()
            return msgspec.json.decode(content, type=GateReport)
        except (MlflowException, OSError, msgspec.DecodeError) as error:
            raise RegistryError(f"the run's gate report could not be read: {error}", value=run_id) from error

    def fetch(self, version: ModelVersion) -> Path:
        """Return a local folder with the version's package, which is verified when it is opened."""
        if self._artifacts is not None:
            # Not version.location: that is absolute, and the state folder may have been moved since.
            return local_package(self._artifacts, version.model, version.run_id)
        folder = self._cache / version.digest.removeprefix("sha256:")
        if not folder.is_dir():
            self._cache.mkdir(parents=True, exist_ok=True)
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            self._client.download_artifacts(version.run_id, _PACKAGE_FOLDER, str(partial))
            partial.joinpath(_PACKAGE_FOLDER).rename(folder)
            partial.rmdir()
        return folder

    def log_live(self, version: ModelVersion, metrics: Mapping[str, float], *, at: datetime) -> None:
        """Log a version's metrics in production to its run, as ``live_<metric>``; the step counts days since 1970."""
        at_ms, day = int(at.timestamp() * 1000), int(at.timestamp() // 86_400)
        seen = [Metric(f"live_{name}", value, at_ms, day) for name, value in metrics.items()]
        self._client.log_batch(version.run_id, metrics=seen)

    def _point(
        self, model: str, target: Mapping[str, int | None], *, actor: str, reason: str
    ) -> dict[str, ModelVersion]:
        # The champion moves last: until then the old one serves, and a repetition ends in the same state.
        present = self._aliases(model)
        for alias in sorted(target, key=lambda name: name == CHAMPION):
            version = target[alias]
            if present.get(alias) == version:
                continue
            # The history is written first, so that no alias moves without a reason on record.
            now = self._clock.now()
            self._history.append(
                AliasChange(model=model, alias=alias, version=version, changed_at=now, actor=actor, reason=reason)
            )
            if version is None:
                self._client.delete_registered_model_alias(model, alias)
            else:
                self._client.set_registered_model_alias(model, alias, str(version))
            name = "no version" if version is None else f"version {version}"
            message = f"{model}: {name} is {alias} now: {reason}"
            log_event(_log, "alias_moved", message, model=model, version=version, alias=alias, actor=actor)
        return {alias: self.version(model, number) for alias, number in target.items() if number is not None}

    def _local_artifacts(self, model: str, run_id: str) -> Path:
        assert self._artifacts is not None
        return local_artifacts(self._artifacts, model, run_id)

    def _aliases(self, model: str) -> dict[str, int]:
        aliases: dict[str, str] = {}
        with _ignored("RESOURCE_DOES_NOT_EXIST"):
            # A search for the name takes three times as long.
            aliases = dict(self._client.get_registered_model(model).aliases)
        return {alias: int(number) for alias, number in aliases.items()}


def _connect(tracking_uri: str) -> MlflowClient:
    """Return a client of a tracking store and its registry. Raises :class:`StoreError` if it cannot be opened."""
    # The first use of a database announces 65 migrations, line by line; an error is logged as well as raised.
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    file = sqlite_path(tracking_uri)
    if file is not None and is_read_only(file):
        tracking_uri = f"sqlite+pysqlite:///{read_only_uri(file)}&uri=true"
    elif file is not None and "%" in tracking_uri:
        # MLflow takes what follows "sqlite:///" for a folder and makes it; it leaves other drivers' URLs alone.
        tracking_uri = tracking_uri.replace("sqlite:///", "sqlite+pysqlite:///", 1)
    try:
        with nullcontext() if file is None else creation_lock(file):
            client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
            client.search_registered_models(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise StoreError(
            f"MLflow's store could not be opened: {error}",
            value=tracking_uri,
            remedy="Check [stores] tracking in everfit.toml, and that the server is up if it is one.",
        ) from error
    return client


@contextmanager
def _ignored(error_code: str) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if error.error_code != error_code:
            raise


def _as_record(found: MlflowVersion, aliases: Mapping[str, int]) -> ModelVersion:
    number = int(found.version)
    return ModelVersion(
        model=found.name,
        version=number,
        digest=found.tags.get(_DIGEST_TAG, ""),
        run_id=found.run_id or "",
        location=found.source,
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(alias for alias, pointed in aliases.items() if pointed == number)),
        tags={key: value for key, value in found.tags.items() if key != _DIGEST_TAG},
    )

"""Loading of the deployed versions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from everfit.artifact.package import Package, open_package
from everfit.artifact.schema import RequestField
from everfit.artifact.signing import Trust
from everfit.core.errors import CorruptPackageError, EverfitError, NotReadyError, PackageError, RequestError, StoreError
from everfit.serving.inference.execution import Execution, LocalExecution
from everfit.serving.inference.predictor_messages import Start
from everfit.serving.inference.remote_predictor import RemotePredictor
from everfit.serving.inference.served_model import ServedModel
from everfit.serving.inference.variants import Variants
from everfit.serving.protocols.json import RequestDecoder
from everfit.store.deployment import Deployed, DeploymentRecord, ModelDeployment
from everfit.store.sqlite_online import OnlineStore

_log = logging.getLogger(__name__)


class LoadedDeployment(NamedTuple):
    """The loaded versions of a deployment."""

    number: int
    """The deployment's; 0 where there is none."""
    models: Mapping[str, Variants]
    refused: Mapping[str, str]
    """Reason why a deployed version is not loaded, by ``model version N``."""


@dataclass(frozen=True)
class ModelLoader:
    """Loads deployed versions. One thread at a time."""

    deployment: DeploymentRecord
    trust: Trust
    """The keys whose packages may be executed."""
    online: OnlineStore
    max_rows: int
    """Most rows in one request."""
    limit_s: float = 10.0
    """Longest time for a call of a version that is executed in another environment."""
    options: tuple[str, ...] = ()
    """Further options of the commands that execute such versions."""
    awaited: set[tuple[str, str]] = field(default_factory=set)
    """The views, with definitions, that were not materialised when versions that read them were refused."""

    def load(self, present: Mapping[str, Variants]) -> LoadedDeployment:
        """Load the deployed versions that are not present, that is loaded, yet.

        A version that is refused receives no traffic; a refused champion leaves the present versions in place. Raises
        :class:`StoreError` if the deployment record cannot be read.
        """
        record = self.deployment.read()
        self.awaited.clear()
        refused: dict[str, str] = {}
        models = {
            wanted.model: variants
            for wanted in (record.models if record else ())
            if wanted.loaded and (variants := self._variants(wanted, present.get(wanted.model), refused))
        }
        return LoadedDeployment(record.number if record else 0, models, refused)

    def can_retry(self) -> bool:
        """Return true if a view that a refused version waits for was materialised since."""
        with suppress(StoreError):
            return any(self.online.state(*generation) is not None for generation in self.awaited)
        return False

    def _variants(self, wanted: ModelDeployment, present: Variants | None, refused: dict[str, str]) -> Variants | None:
        loaded = {model.digest: model for model in present.versions.values()} if present else {}
        champion = self._version(wanted.model, wanted.champion, loaded, refused)
        if champion is None:
            return present
        canary, shadow = (
            self._beside(champion, deployed, loaded, refused) if deployed else None
            for deployed in (wanted.canary, wanted.shadow)
        )
        kept = present.decoder if present and champion is present.champion else None
        decoder = kept or RequestDecoder(champion.schema, max_rows=self.max_rows)
        share = wanted.canary_share
        return Variants(champion=champion, decoder=decoder, canary=canary, canary_share=share, shadow=shadow)

    def _beside(
        self, champion: ServedModel, wanted: Deployed, loaded: Mapping[str, ServedModel], refused: dict[str, str]
    ) -> ServedModel | None:
        found = self._version(champion.name, wanted, loaded, refused)
        difference = _difference(champion.schema.request, found.schema.request) if found else ""
        if not difference:
            return found
        name = f"{champion.name} version {wanted.version}"
        refused[name] = f"its requests differ from the champion's ({difference}), so it can only take its place"
        _log.error("%s is not served beside the champion: %s", name, refused[name])
        return None

    def _version(
        self, model: str, wanted: Deployed, loaded: Mapping[str, ServedModel], refused: dict[str, str]
    ) -> ServedModel | None:
        """Return a version, loaded already or now; ``None`` if it is refused."""
        found = loaded.get(wanted.digest)
        if found is not None and found.version == wanted.version:
            return found
        name = f"{model} version {wanted.version}"
        try:
            return self._load(model, wanted)
        except EverfitError as error:
            refused[name] = str(error)
            _log.error("%s is not served: %s", name, error)
        except Exception as error:  # noqa: BLE001 - whatever a package's library raises on its content
            refused[name] = f"it could not be loaded: {type(error).__name__}: {error}"
            _log.exception("%s is not served", name)
        return None

    def _load(self, model: str, wanted: Deployed) -> ServedModel:
        """Verify a package, compare its runtime with the estimator on the reference rows, and warm it up."""
        package = open_package(self.deployment.folder_of(wanted), trust=self.trust)
        if (package.schema.model, package.digest) != (model, wanted.digest):
            raise CorruptPackageError(
                "the package must be the one that was deployed",
                value=f"{package.schema.model} {package.digest}",
                remedy=f"Promote the version again: everfit promote {model} {wanted.version}.",
                place=f"{model} version {wanted.version}, {wanted.digest}",
            )
        self._require_features(package)
        execution = self._execution(package, wanted)
        found = ServedModel(package, execution, version=wanted.version, online=self.online)
        _warm_up(found)
        return found

    def _require_features(self, package: Package) -> None:
        """Check that all generations that a version reads are there. Raises :class:`NotReadyError`."""
        lookups = [(lookup.view, lookup.definition) for lookup in package.schema.lookups if lookup.definition]
        if missing := [lookup for lookup in lookups if self.online.state(*lookup) is None]:
            self.awaited.update(missing)
            raise NotReadyError(
                "the views that it looks up must be materialised as they were defined when it was trained",
                value=", ".join(f"{view} ({definition[:15]})" for view, definition in missing),
                remedy="Run 'everfit features materialize'; it is loaded as soon as they are.",
            )

    def _execution(self, package: Package, wanted: Deployed) -> Execution:
        """Choose where a version is executed: here, or in the environment of its release if it needs that."""
        interpreter = self.deployment.interpreter_of(wanted)
        if interpreter is None:
            return LocalExecution(package.predictor(), package.row_pipeline())
        name = f"{package.schema.model} version {wanted.version}"
        if package.is_compiled:
            try:
                return LocalExecution(package.compiled(), package.row_pipeline())
            except Exception as problem:  # noqa: BLE001 - whatever a runtime's library raises: its environment has others
                _log.warning("%s is executed in its own environment: %s: %s", name, type(problem).__name__, problem)
        start = Start(package.digest, self.trust.keys)
        return RemotePredictor(
            interpreter, package.folder, start, name=name, limit_s=self.limit_s, options=self.options
        )


def _difference(champion: Sequence[RequestField], other: Sequence[RequestField]) -> str:
    """Return the differences between the requests of two versions; empty if one request suits both."""
    theirs, ours = ({field.name: field.type for field in fields} for fields in (other, champion))
    clauses = [
        f"{name} is {theirs.get(name, 'absent')} instead of {ours.get(name, 'absent')}"
        for name in dict.fromkeys((*ours, *theirs))
        if ours.get(name) != theirs.get(name)
    ]
    if not clauses and list(ours) != list(theirs):
        clauses = [f"the fields come as {', '.join(theirs)} instead of {', '.join(ours)}"]
    return "; ".join(clauses)


def require_something(loaded: LoadedDeployment) -> None:
    """Check that there is a model to serve, or that all of them were unloaded and may be loaded again.

    Raises :class:`NotReadyError` if nothing was ever deployed, and :class:`PackageError` with the first reason if no
    version can be loaded.
    """
    if loaded.models or (loaded.number and not loaded.refused):
        return
    if loaded.refused:
        name, problem = next(iter(loaded.refused.items()))
        raise PackageError(f"it must be possible to load {name}: {problem.rstrip('.')}")
    remedy = "Train a model, then promote a version of it: everfit promote MODEL VERSION."
    raise NotReadyError("there must be a champion to serve", remedy=remedy)


def _warm_up(model: ServedModel) -> None:
    """Predict one row and several, so that no request pays for first-time work."""
    example = model.describe().example["inputs"]
    decoder = RequestDecoder(model.schema, max_rows=2)
    for inputs in (example, example * 2):
        try:
            model.predict(decoder.decode(msgspec.json.encode({"inputs": inputs})).rows, now_us=0)
        except RequestError as error:  # for example a model that takes no missing values
            _log.info("%s refuses its own example: %s", model.name, error)

"""From what was deployed to a plane that answers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from everfit.artifact.package import open_package
from everfit.core.errors import CorruptPackageError, NotReadyError, RequestError
from everfit.serving.decode import RequestDecoder
from everfit.serving.plane import Plane
from everfit.serving.served_model import ServedModel

if TYPE_CHECKING:
    from pathlib import Path

    from everfit.artifact.signing import Trust
    from everfit.core.clock import Clock
    from everfit.store.deployment import DeploymentRecord
    from everfit.store.online import OnlineReader

_log = logging.getLogger(__name__)


def open_plane(deployment: DeploymentRecord, *, trust: Trust, online: OnlineReader, clock: Clock) -> Plane:
    """Load every model that the deployment record names.

    Raises:
        NotReadyError: If it names none.
        StoreError: If it cannot be understood.
        PackageError: If a package must not be used; see :func:`load_model`.
    """
    record = deployment.read()
    if record is None or not record.models:
        raise NotReadyError(
            "there must be a champion to serve",
            remedy="Train a model, then promote a version of it: everfit promote MODEL VERSION.",
        )
    models = []
    for each in record.models:
        model = load_model(deployment.folder_of(each), version=each.version, trust=trust, online=online)
        if (model.name, model.digest) != (each.model, each.digest):
            raise CorruptPackageError(
                "the package must be the one that was deployed",
                value=f"{model.name} {model.digest}",
                remedy=f"Promote the version again: everfit promote {each.model} {each.version}.",
                place=f"{each.model} version {each.version}, {each.digest}",
            )
        models.append(model)
    return Plane(models, online=online, clock=clock)


def load_model(folder: Path, *, version: int, trust: Trust, online: OnlineReader) -> ServedModel:
    """Verify a package, prove its form again on its reference rows, and ask it once.

    Args:
        folder: The package.
        version: Its number in the registry.
        trust: Whose code may be executed.
        online: Where features are looked up.

    Raises:
        PackageError: If a file is missing or changed, code is not signed by a trusted key, or the answers differ from
            the fitted estimator's.
    """
    package = open_package(folder, trust=trust)
    predictor = package.predictor()
    if predictor.form != package.manifest.form:
        _log.warning(
            "%s version %s is executed as %s, since %s is not usable on this machine",
            package.schema.model,
            version,
            predictor.form,
            package.manifest.form,
        )
    model = ServedModel(
        version=version,
        digest=package.digest,
        schema=package.schema,
        predictor=predictor,
        pipeline=package.row_pipeline(),
        online=online,
    )
    _warm(model)
    return model


def _warm(model: ServedModel) -> None:
    """Ask twice, for one row and for several, so that no caller waits for what is only done the first time."""
    import msgspec

    example = model.describe().example["inputs"]
    decoder = RequestDecoder(model.schema, max_rows=2)
    for inputs in (example, example * 2):
        try:
            model.predict(decoder.decode(msgspec.json.encode({"inputs": inputs})).rows, now_us=0)
        except RequestError as refusal:  # for example a model that takes no missing values
            _log.info("%s refuses its own example: %s", model.name, refusal)

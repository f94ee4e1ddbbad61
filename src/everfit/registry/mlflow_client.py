"""A quiet MLflow client. The only place, with the pyfunc loader, where MLflow is imported."""

from __future__ import annotations

import logging
from contextlib import nullcontext

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from everfit.core.errors import StoreError
from everfit.core.sqlite_url import sqlite_path
from everfit.store.sqlite_file import creation_lock, is_read_only, read_only_uri


def connect(tracking_uri: str) -> MlflowClient:
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

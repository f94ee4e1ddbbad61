"""``everfit serve``, measured: features looked up, every answer recorded durably, by the real command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.serving_process import Service, free_port, running
from benchmarks.serving_project import EVERFIT, Project
from benchmarks.serving_wrk import ROUNDS, Load, ask, write_bodies

BODIES = 1_000
ROWS = 1_000
"""In one request of a batch."""
BATCH_CONNECTIONS = 4

Durability = Literal["batch", "sync"]


class Everfit(NamedTuple):
    """What was measured."""

    start_s: float
    """To the first prediction, the best of several starts."""
    supervisor_mb: float
    worker_mb: float
    """Resident after the load, with one model."""
    answer: bytes
    """To the first question."""
    batch: Load
    sync: Load
    rows_looked_up: Load
    rows_sent: Load
    """Requests of 1,000 rows each, durability ``batch``; with the model that looks features up, and the other."""


def measure(project: Project, folder: Path) -> Everfit:
    """Make a model the champion, serve it and ask; for the last figure also the second model."""
    project.run("promote", "churn")
    one = write_bodies(folder / "one.jsonl", islice(({"inputs": [row]} for row in project.rows("churn")), BODIES))
    many = write_bodies(folder / "many.jsonl", _batches(project, "churn"))
    starts = []
    for _ in range(ROUNDS - 1):
        with _serving(project, "churn", one, "batch") as service:
            starts.append(service.start_s)
    with _serving(project, "churn", one, "batch") as service:
        batch = ask(service.url, one)
        supervisor_mb, worker_mb = service.memory_mb()
        looked_up = ask(service.url, many, connections=BATCH_CONNECTIONS)
    with _serving(project, "churn", one, "sync") as synced:
        sync = ask(synced.url, one)
    project.run("promote", "flat")
    sent = write_bodies(folder / "sent.jsonl", _batches(project, "flat"))
    with _serving(project, "flat", sent, "batch") as flat:
        rows_sent = ask(flat.url, sent, connections=BATCH_CONNECTIONS)
    return Everfit(
        start_s=min(*starts, service.start_s),
        supervisor_mb=supervisor_mb,
        worker_mb=worker_mb,
        answer=service.answer,
        batch=batch,
        sync=sync,
        rows_looked_up=looked_up,
        rows_sent=rows_sent,
    )


@contextmanager
def _serving(project: Project, model: str, bodies: Path, durability: Durability) -> Iterator[Service]:
    port = free_port()
    variables = {"EVERFIT_SERVING_DURABILITY": durability, "EVERFIT_SERVING_WORKERS": "1"}
    command = (EVERFIT, "serve", "--port", str(port))
    path = f"/predict/{model}"
    with running(command, port=port, path=path, bodies=bodies, folder=project.folder, variables=variables) as service:
        yield service


def _batches(project: Project, model: str) -> Iterator[Any]:
    rows = project.rows(model)
    while batch := list(islice(rows, ROWS)):
        yield {"inputs": batch}

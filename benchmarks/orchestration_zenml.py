"""The empty pipeline on ZenML's local stack, with its store of metadata in SQLite; nothing is taken from its cache."""

from __future__ import annotations

from zenml import pipeline, step
from zenml.client import Client

from benchmarks.orchestration_process import STEPS, measure


@step
def add_one(number: int) -> int:
    """A step."""
    return number + 1


@pipeline(enable_cache=False)
def count() -> None:
    """All steps, one after the other."""
    number = 0
    for _ in range(STEPS):
        number = add_one(number)


def run() -> int:
    """Once, with its record in the store."""
    done = count()
    if done is None:
        raise RuntimeError("the run must be on record")
    steps = Client().get_pipeline_run(done.id).steps
    return sum(each.status.value == "completed" for each in steps.values())


if __name__ == "__main__":
    measure(run)

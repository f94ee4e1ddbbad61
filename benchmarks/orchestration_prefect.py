"""The empty pipeline as a Prefect flow, called as its documentation does: Prefect starts a server for the process."""

from __future__ import annotations

from prefect import flow, task

from benchmarks.orchestration_process import STEPS, measure


@task
def add_one(number: int) -> int:
    """A step."""
    return number + 1


@flow
def pipeline() -> int:
    """All steps, one after the other."""
    number = 0
    for _ in range(STEPS):
        number = add_one(number)
    return number


if __name__ == "__main__":
    measure(pipeline)

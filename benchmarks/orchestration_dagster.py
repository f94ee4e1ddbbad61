"""The empty pipeline as a Dagster job, run in process on an instance that is on the disk."""

from __future__ import annotations

from dagster import DagsterInstance, job, op

from benchmarks.orchestration_process import STEPS, measure


@op
def begin() -> int:
    """What the first step adds to."""
    return 1


@op
def add_one(number: int) -> int:
    """A step."""
    return number + 1


@job
def pipeline() -> None:
    """All steps, one after the other."""
    number = begin()
    for place in range(1, STEPS):
        number = add_one.alias(f"step_{place}")(number)


if __name__ == "__main__":
    with DagsterInstance.get() as instance:

        def run() -> int:
            """Once, with its record in the instance."""
            done = pipeline.execute_in_process(instance=instance)
            return int(done.output_for_node(f"step_{STEPS - 1}"))

        measure(run)

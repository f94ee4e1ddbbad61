"""The empty pipeline as a Metaflow flow, run by its command, as its documentation does: every step is a process."""

from __future__ import annotations

import os
import subprocess
import sys

from metaflow import FlowSpec, step

from benchmarks.orchestration_process import measure


class Pipeline(FlowSpec):  # type: ignore[misc]
    """Eight steps, with the two that every flow has."""

    @step
    def start(self) -> None:
        """The first."""
        self.number = 1
        self.next(self.second)

    @step
    def second(self) -> None:
        """A step."""
        self.number += 1
        self.next(self.third)

    @step
    def third(self) -> None:
        """A step."""
        self.number += 1
        self.next(self.fourth)

    @step
    def fourth(self) -> None:
        """A step."""
        self.number += 1
        self.next(self.fifth)

    @step
    def fifth(self) -> None:
        """A step."""
        self.number += 1
        self.next(self.sixth)

    @step
    def sixth(self) -> None:
        """A step."""
        self.number += 1
        self.next(self.seventh)

    @step
    def seventh(self) -> None:
        """A step."""
        self.number += 1
        self.next(self.end)

    @step
    def end(self) -> None:
        """The last."""
        self.number += 1
        print(f"counted {self.number}")


def run() -> int:
    """By the command of the documentation."""
    command = [sys.executable, __file__, "run"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    if done.returncode:
        raise RuntimeError(f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return int((done.stdout + done.stderr).rpartition("counted ")[2].split()[0])


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "measure":
        measure(run)
    else:
        Pipeline()

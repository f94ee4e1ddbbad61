"""A project at level full, as 'everfit init' makes it, which is released by pushing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.acceptance.shop import everfit
from tests.releases.origin import git
from tests.tracking import place_tracking

from everfit.artifact.manifest import Lineage
from everfit.artifact.package import open_package
from everfit.core.clock import SystemClock
from everfit.core.release import Release
from everfit.store.deployment import Deployed
from everfit.system import System
from everfit.wiring import open_without_definitions

MODEL = "demand"
DESIGN = ("--owner", "Ada", "--approver", "Charles", "--contact", "ada@example.org", "--yes")
SETTINGS = """
[loop]
level = "full"
watch_seconds = 0.2

[releases]
repository = "../origin.git"
poll_seconds = 1
step_seconds = 60
"""
ROLLOUT = '\n\ndemand.roll_out(ef.Shadow(40), ef.Canary(0.5, 40), watch="2s")\n'
LONGEST_S = 240.0


@dataclass
class Bakery:
    """The project's folder, which is also its author's working copy."""

    folder: Path

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def replace(self, before: str, after: str) -> None:
        text = self.folder.joinpath("project.py").read_text()
        assert before in text
        self.write("project.py", text.replace(before, after))

    def push(self, subject: str) -> str:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--message", subject)
        return self._push()

    def revert(self, commit: str) -> str:
        git(self.folder, "revert", "--no-edit", commit)
        return self._push()

    def _push(self) -> str:
        git(self.folder, "push", "--quiet", "origin", "main")
        return git(self.folder, "rev-parse", "HEAD")

    @cached_property
    def system(self) -> System:
        """A look at its stores from outside."""
        return open_without_definitions(self.folder)

    def released(self, commit: str) -> Release:
        """Wait until the release of a commit has ended; return it."""
        wait(lambda: (found := self.system.releases.of_commit(commit)) is not None and found.ended)
        found = self.system.releases.of_commit(commit)
        assert found is not None
        return found

    @property
    def serving(self) -> Deployed | None:
        """What answers, whatever the service still compares it with."""
        deployed = self.system.deployment.of(MODEL)
        return deployed.champion if deployed else None

    @property
    def champion(self) -> Lineage | None:
        """Lineage of the version that answers, once nothing is under way."""
        deployed = self.system.deployment.of(MODEL)
        if deployed is None or self.system.orders.open() or self.system.rollouts.running(MODEL):
            return None
        return open_package(
            self.system.deployment.folder_of(deployed.champion), trust=self.system.trust
        ).manifest.lineage

    def champion_of(self, release: Release) -> Lineage:
        """Wait until a version that a release trained is the champion; return its lineage."""
        wait(lambda: (lineage := self.champion) is not None and lineage.release == release.number)
        lineage = self.champion
        assert lineage is not None
        return lineage


def wait(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.2)


def shops(number: int) -> tuple[str, list[dict[str, Any]]]:
    """Rows of a request for today."""
    chance = random.Random(number)
    opens_at = SystemClock().now().replace(hour=6, minute=0, second=0, microsecond=0).isoformat()
    names = ("north", "market", "station", "mill")
    rows = [
        {"shop": name, "opens_at": opens_at, "price": chance.uniform(2.8, 3.4), "promotion": False} for name in names
    ]
    return MODEL, rows


def make_bakery(folder: Path) -> Bakery:
    """A project as 'everfit init' makes it, its design record filled in, in a repository of its own."""
    answer = everfit(folder, "init", "bakery", *DESIGN)
    assert answer.code == 0, answer.err + answer.out
    made = Bakery(folder / "bakery")
    place_tracking(made.folder)
    settings = made.folder.joinpath("everfit.toml").read_text().replace("trials = 10 ", "trials = 1 ")
    made.write("everfit.toml", settings + SETTINGS)
    made.write("project.py", made.folder.joinpath("project.py").read_text() + ROLLOUT)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(made.folder, "init", "--quiet", "--initial-branch=main")
    git(made.folder, "remote", "add", "origin", "../origin.git")
    made.folder.joinpath(".git", "info", "exclude").write_text("up.log\n")
    return made

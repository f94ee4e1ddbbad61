"""Trials of releases: the project of ``everfit init``, a copy of its code with a change, and the real command."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from everfit.cli.init import scaffold
from everfit.commands.trial.release_trial import ReleaseTrial
from everfit.commands.trial.steps import carry_out
from everfit.core.clock import SystemClock
from everfit.core.release_trial import REQUEST, TrialRequest, TrialResult, TrialStep, log_file, result_file
from everfit.releases.confinement import confined_command, confined_variables, project_reads
from everfit.runtime.subprocess_runner import ProcessLimits, run_child
from everfit.wiring import open_trial

ANSWERS = {"owner": ["Ada"], "approvers": ["Bo"], "contact": ["ada@bakery.example"]}
LIMITS = ProcessLimits(time_s=300, memory_mib=8192, time_setting="time", memory_setting="memory")


@dataclass(frozen=True)
class Release:
    """A release's code, and the project that it is for."""

    home: Path
    tree: Path

    def edit(self, old: str, new: str, *, file: str = "project.py") -> None:
        """Change the code; the old text must be in it once."""
        path = self.tree / file
        text = path.read_text()
        assert text.count(old) == 1, text.count(old)
        path.write_text(text.replace(old, new))

    def add(self, text: str, *, file: str = "project.py") -> None:
        """Add to the end of a file."""
        path = self.tree / file
        path.write_text((path.read_text() if path.is_file() else "") + text)

    @property
    def folder(self) -> Path:
        """Folder of the trial."""
        folder = self.tree.parent / "trial"
        folder.mkdir(exist_ok=True)
        return folder

    def request(self, **fields: object) -> TrialRequest:
        """Return the request of a trial."""
        usual = {"home": str(self.home), "tree": str(self.tree), "as_of": SystemClock().now(), "served": ("demand",)}
        return msgspec.convert({**usual, **fields}, TrialRequest)

    def tried_here(self, *steps: TrialStep, **request: object) -> dict[str, TrialResult]:
        """Do what the command does, in this process: it starts faster."""
        carry_out(ReleaseTrial(self.request(**request), self.folder, open_trial), steps)
        return self.results(*steps)

    def tried(self, *steps: TrialStep, confined: bool = False, **request: object) -> dict[str, TrialResult]:
        """Run the command, and return the results that it has left."""
        folder = self.folder
        (folder / REQUEST).write_bytes(msgspec.json.encode(self.request(**request)))
        command = [sys.executable, "-m", "everfit", "release-trial", *steps, "--folder", str(folder)]
        if confined:
            reads, none = [self.tree, *project_reads(self.home, {})], self.home / "environments"
            command = confined_command(command, reads=reads, writes=[folder], network=False, environments=none)
        run_child(
            command,
            folder=Path("/"),
            variables=confined_variables(folder) if confined else os.environ,
            log=folder / "log.txt",
            limits=LIMITS,
        )
        results = self.results(*steps)
        for result in results.values():
            assert result.sentence in (folder / log_file(result.step)).read_text().replace(f"{self.tree}/", "")
        return results

    def results(self, *steps: TrialStep) -> dict[str, TrialResult]:
        """Read the results of steps that were carried out."""
        files = [self.folder / result_file(step) for step in steps]
        found = [msgspec.json.decode(file.read_bytes(), type=TrialResult) for file in files if file.is_file()]
        return {result.step: result for result in found}


def make_release(folder: Path) -> Release:
    """Make a project, and a release of its code without a change."""
    home = scaffold("bakery", folder, today=SystemClock().now().date(), answers=ANSWERS)
    return Release(home=home, tree=Path(shutil.copytree(home, folder / "release" / "tree")))

"""What a training process does before it begins to work, and nothing else: python -m benchmarks.loop_child FOLDER."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from everfit.wiring import open_system

# All that the command loads: what `everfit make-candidate` is, and where its work begins.
for name in (
    "everfit.cli.main",
    "everfit.runtime.subprocess_runner",
    "everfit.loop.retrain_job",
    "everfit.features.history",
):
    import_module(name)
open_system(Path(sys.argv[1]))

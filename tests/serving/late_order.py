"""The tutorial's model, trained and deployed, for the pages that show requests."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.serving.orders import Shop, deploy_model, trees

ROOT = Path(__file__).parents[2]
ROW = {"shop": "shop-07", "city": "Lyon", "distance_km": 4.2, "ordered_at": "2026-01-05T12:00:00Z"}
"""The row that the pages send."""


def make_late_order(folder: Path) -> Shop:
    """Make the tutorial's data, and deploy its model."""
    folder.mkdir(parents=True)
    for path in (ROOT / "docs" / "snippets" / "tutorial").iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    subprocess.run([sys.executable, "make_data.py"], cwd=folder, check=True, env=os.environ)
    model = runpy.run_path(str(folder / "project.py"))["late_order"]
    return deploy_model(folder, model, trees(), until=datetime.now(UTC))

"""Copy a project's state while it runs: python backup.py PROJECT TARGET."""

# region backup
import shutil
import sqlite3
import sys
from pathlib import Path

project, target = Path(sys.argv[1]), Path(sys.argv[2])
state, copy = project / ".everfit", target / ".everfit"
copy.mkdir(parents=True)
# Databases first, each as one moment; the files that they name exist already.
for database in state.glob("*.db"):
    source = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
    into = sqlite3.connect(copy / database.name)
    source.backup(into)
    source.close()
    into.close()
# Then files, the journal before the lake that it is moved to: a row may be in both, and is shipped once.
for name in ("deployment.json", "keys", "artifacts", "orders", "journal", "lake"):
    for path in sorted((state / name).rglob("*")) or [state / name]:
        if path.is_file():
            place = copy / path.relative_to(state)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copy2(path, place)
            except FileNotFoundError:  # a segment that was shipped meanwhile: it is in the lake
                continue
# endregion

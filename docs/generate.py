"""Write the reference pages, the pictures and the included code again: ``python -m docs.generate [--check]``.

With ``--check`` nothing is written; exit code 1 if a page is not what it would become.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from docs.include import with_includes
from docs.pictures import demo, point_in_time
from docs.reference_pages import PAGES

ROOT = Path(__file__).parents[1]


def pages() -> dict[Path, str]:
    """Every generated page and picture, and every page with included code, as it should be."""
    found = {ROOT / "docs" / "reference" / f"{name}.md": write() for name, write in PAGES.items()}
    pictures = ROOT / "docs" / "pictures"
    found[pictures / "demo.svg"] = demo.draw(json.loads((pictures / "demo.json").read_text(encoding="utf-8")))
    found[pictures / "point-in-time.svg"] = point_in_time.draw()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if path not in found:
            found[path] = with_includes(path.read_text(encoding="utf-8"), ROOT)
    return found


def stale() -> dict[Path, str]:
    """The pages that are not what they should be, as they should be."""
    return {
        path: text for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """Write, or only check."""
    check = "--check" in sys.argv
    wrong = stale()
    for path, text in wrong.items():
        print(path.relative_to(ROOT))
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if wrong and check:
        print("These pages are out of date; run: make docs")
    return 1 if wrong and check else 0


if __name__ == "__main__":
    sys.exit(main())

"""Script that an environment runs on itself: Everfit and its dependencies must be usable there, in their versions.

It ends with a sentence on standard error, and a code other than 0, if they are not.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement


def main(package: Path) -> None:
    """Check the versions that Everfit requires, then import the largest ones, and Everfit from its installation."""
    for line in requires("everfit") or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            sys.exit(f"Everfit needs {requirement.name}, but there is none")
        if not requirement.specifier.contains(found, prereleases=True):
            sys.exit(f"Everfit needs {requirement.name}{requirement.specifier}, but the lock has {found}")
    import_module("numpy")
    import_module("polars")
    imported = Path(str(import_module("everfit").__file__)).parent
    if imported != package:
        sys.exit(f"everfit must be imported from {package}, but a package of the lock brings {imported}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

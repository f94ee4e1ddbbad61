"""Process that runs a project's tests with pytest and the given arguments; it ends with its parent."""

from __future__ import annotations

import sys

from everfit.runtime.subprocess_runner import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    import pytest

    sys.exit(pytest.main(sys.argv[1:]))

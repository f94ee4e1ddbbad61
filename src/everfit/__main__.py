"""``python -m everfit`` is the ``everfit`` command."""

from __future__ import annotations

from everfit.cli.main import main

if __name__ == "__main__":
    main()

"""Script that downloads one file, so that time and memory of that are limited."""

from __future__ import annotations

import shutil
import sys
from urllib.request import urlopen

_TIMEOUT_S = 60


def main(url: str, file: str) -> None:
    """Write what an address serves to a file; only the web, and files of this machine."""
    if not url.startswith(("https://", "http://", "file://")):
        sys.exit(f"{url} is no address of the web")
    with urlopen(url, timeout=_TIMEOUT_S) as response, open(file, "wb") as written:  # noqa: S310 - checked above
        shutil.copyfileobj(response, written)


if __name__ == "__main__":
    main(*sys.argv[1:3])

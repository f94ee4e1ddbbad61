"""URLs of SQLite files, as SQLAlchemy reads them: the path is percent-encoded, so that a folder may have any name.

SQLAlchemy 2.1, MLflow and DBOS decode ``%2F`` in a URL's path and take what follows ``?`` for options. A path must
therefore never be pasted into a URL.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

_SCHEME = "sqlite"


def sqlite_url(path: Path) -> str:
    """Return the URL of an SQLite file.

    >>> sqlite_url(Path("/srv/a?b/p%20q/ledger.db"))
    'sqlite:////srv/a%3Fb/p%2520q/ledger.db'
    """
    return f"{_SCHEME}:///{quote(str(path))}"


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite URL; ``None`` for another database, and for one in memory.

    >>> sqlite_path("sqlite:////srv/a%3Fb/ledger.db?timeout=5"), sqlite_path("postgresql://host/ledger")
    (PosixPath('/srv/a?b/ledger.db'), None)
    """
    scheme, found, rest = url.partition(":///")
    path = unquote(rest.partition("?")[0])
    if not found or scheme.partition("+")[0] != _SCHEME or path in {"", ":memory:"} or path.startswith("file:"):
        return None
    return Path(path)


def anchor_url(url: str, root: Path) -> str:
    """Take a relative SQLite path from a project's folder; any other URL stays as it is.

    >>> anchor_url("sqlite:///.everfit/ledger.db", Path("/srv/late"))
    'sqlite:////srv/late/.everfit/ledger.db'
    >>> anchor_url("sqlite:///orders%23.db?timeout=5", Path("/srv/p%20q"))
    'sqlite:////srv/p%2520q/orders%23.db?timeout=5'
    """
    path = sqlite_path(url)
    if path is None or path.is_absolute():
        return url
    scheme, _, rest = url.partition(":///")
    _, mark, options = rest.partition("?")
    return f"{scheme}:///{quote(str(root / path))}{mark}{options}"

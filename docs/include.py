"""Code in the documentation is never typed twice: it is included from a file that the tests run.

In a page, a comment names a file and a region of it, and the fenced block after it holds the text::

    <!-- include: examples/flights/project.py#sources -->
    ```python
    ...
    ```

In the file, the lines ``# region sources`` and ``# endregion`` enclose it. Without ``#region`` the whole file is meant.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

_INCLUDE = re.compile(
    r"(?P<head><!-- include: (?P<path>[^\s#]+)(?:#(?P<region>[\w-]+))? -->\n```\w*\n).*?(?P<tail>^```$)",
    re.DOTALL | re.MULTILINE,
)
_MARK = re.compile(r"^\s*# (?:region\b.*|endregion)\n", re.MULTILINE)


def with_includes(page: str, root: Path) -> str:
    """The page with every included block as its file has it now.

    Raises:
        FileNotFoundError: If a page names a file that does not exist.
        ValueError: If the file has no such region.
    """

    def fill(found: re.Match[str]) -> str:
        body = region((root / found["path"]).read_text(encoding="utf-8"), found["region"], found["path"])
        return found["head"] + body + found["tail"]

    return _INCLUDE.sub(fill, page)


def region(text: str, name: str | None, path: str) -> str:
    """The lines of a region, without its marks, moved to the left margin.

    Raises:
        ValueError: If there is no such region.
    """
    if name is None:
        return _MARK.sub("", text)
    found = re.search(rf"^[ \t]*# region {re.escape(name)}\n(.*?)^[ \t]*# endregion$", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise ValueError(f"{path} has no region {name!r}; write '# region {name}' and '# endregion' around the lines")
    return textwrap.dedent(_MARK.sub("", found[1])).strip("\n") + "\n"

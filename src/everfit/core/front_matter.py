"""Front matter of a Markdown file: the YAML between two lines ``---`` at its beginning."""

from __future__ import annotations

from typing import NamedTuple

FENCE = "---"


class FrontMatter(NamedTuple):
    """A Markdown file, taken apart; its first line of YAML is line 2."""

    yaml: str | None
    """``None`` if the file does not begin with :data:`FENCE`, or a second one is missing."""
    prose: str
    """The Markdown after it; the whole text without front matter."""


def split_front_matter(text: str) -> FrontMatter:
    r"""Return the front matter and the prose of a Markdown file.

    >>> split_front_matter("---\nowner: Ada\n---\n# Title\n")
    FrontMatter(yaml='owner: Ada\n', prose='# Title\n')
    >>> split_front_matter("# Title\n")
    FrontMatter(yaml=None, prose='# Title\n')
    """
    first, *lines = text.removeprefix("\ufeff").split("\n")
    fences = [number for number, line in enumerate(lines) if line.rstrip() == FENCE]
    if first.rstrip() != FENCE or not fences:
        return FrontMatter(None, text)
    return FrontMatter("".join(f"{line}\n" for line in lines[: fences[0]]), "\n".join(lines[fences[0] + 1 :]))

"""Blocks as Markdown (CommonMark with tables). Text from outside cannot begin a block, a link or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from everfit.commands.documentation.blocks import (
    MISSING,
    Block,
    Code,
    Heading,
    Inline,
    Items,
    Link,
    NamedValues,
    Paragraph,
    TableBlock,
)
from everfit.core.printable import printable, printable_lines

_SPECIAL = re.compile(r"[\\`*\[\]<>&|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BLOCK_MARK = re.compile(r"^(\d*)([#+=:.)-])")
"""Begins a heading, a list, a rule or a definition at the start of a line."""


def to_markdown(blocks: Iterable[Block]) -> str:
    """Return a document's Markdown."""
    return "\n".join(f"{text}\n" for block in blocks for text in _texts(block))


def escaped(text: object) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> print(escaped("<b>a_b</b> [x](y)"))
    \<b\>a_b\</b\> \[x\](y)
    """
    return _SPECIAL.sub(lambda special: f"\\{special[0]}", printable(text).strip())


def _line(text: Inline) -> str:
    r"""Return text that begins a line.

    >>> print(_line("1. item"), _line("# title"))
    1\. item \# title
    """
    return _BLOCK_MARK.sub(r"\1\\\2", _inline(text))


def _inline(text: Inline) -> str:
    if isinstance(text, Link):
        return f"[{escaped(text.text)}](<{_target(text.target)}>)"
    return escaped(text or MISSING)


def _target(target: str) -> str:
    return re.sub(r"[<>|\\]", lambda found: f"%{ord(found[0]):02X}", printable(target))


def _texts(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            yield f"{'#' * block.level} {escaped(block.text)}"
        case Paragraph():
            yield _line(block.text)
        case Items():
            yield "\n".join(f"- {_line(item)}" for item in block.items)
        case NamedValues():
            yield "\n".join(f"- **{escaped(name)}**: {_inline(value)}" for name, value in block.rows)
        case TableBlock():
            if block.caption:
                yield f"{_line(block.caption)}:"
            lines = [
                block.columns,
                ["---"] * len(block.columns),
                *([_inline(cell) for cell in row] for row in block.rows),
            ]
            lines[0] = [escaped(column) for column in block.columns]
            yield "\n".join(f"| {' | '.join(line)} |" for line in lines)
        case Code():
            text = printable_lines(block.text).rstrip("\n")
            # Longer than any run of the text's own, which could otherwise end it.
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            yield f"{fence}{block.language}\n{text}\n{fence}"

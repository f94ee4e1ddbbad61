"""Blocks as pages of HTML: no script, one stylesheet, nothing from the network. All text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

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

STYLESHEET = "style.css"
MARK = "<meta name=generator content=everfit>"
"""In every page; a file that has it may be replaced or removed."""

# The looks of the monitoring report: everfit.monitoring.report.page.
STYLE = """\
:root { color-scheme: light dark; --ground: #fbfbfa; --card: #fff; --ink: #1d2430; --soft: #5b6472; --line: #e4e7ec;
  --link: #1f5fbf; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171c; --card: #1b2027; --ink: #e7eaf0; --soft: #98a2b3; --line: #2b323c; --link: #8ab4f8; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main, nav ul { max-width: 1120px; margin: 0 auto; padding: 0 20px; }
main { padding-top: 28px; padding-bottom: 64px; overflow-wrap: anywhere; }
nav { background: var(--card); border-bottom: 1px solid var(--line); }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 22px; list-style: none; padding-top: 12px; padding-bottom: 12px; }
a { color: var(--link); }
nav a { text-decoration: none; }
nav a[aria-current] { color: var(--ink); font-weight: 600; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 20px; }
h1 { font-size: 26px; margin: 0 0 8px; letter-spacing: -.01em; }
h2 { font-size: 19px; margin: 36px 0 8px; padding-top: 16px; border-top: 1px solid var(--line); }
h3 { font-size: 16px; margin: 24px 0 6px; }
p, li { max-width: 90ch; }
p { margin: 6px 0 12px; }
dl { display: grid; grid-template-columns: minmax(120px, 220px) 1fr; gap: 0; margin: 10px 0 18px;
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
dt, dd { margin: 0; padding: 7px 16px; }
dt { color: var(--soft); }
dt:not(:first-of-type), dt:not(:first-of-type) + dd { border-top: 1px solid var(--line); }
.wide { overflow-x: auto; margin: 10px 0 18px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { text-align: left; color: var(--soft); padding: 10px 16px 4px; }
th, td { text-align: left; vertical-align: top; padding: 7px 16px; border-top: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px;
  overflow-x: auto; }
"""


def to_page(title: str, blocks: Iterable[Block], *, links: Sequence[Link], current: str) -> str:
    """Return a page.

    Args:
        links: Those of the navigation.
        current: Target of the one that leads to this page, or to the page above it.
    """
    menu = "".join(
        f"<li><a href={_quoted(link.target)}{' aria-current=page' if link.target == current else ''}>"
        f"{_text(link.text)}</a></li>"
        for link in links
    )
    body = "\n".join(text for block in blocks for text in _texts(block))
    return (
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n"
        "<meta name=viewport content='width=device-width, initial-scale=1'>\n"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'self'\">\n"
        f"{MARK}\n<title>{_text(title)}</title>\n<link rel=stylesheet href={STYLESHEET}>\n"
        "<a class=skip href='#content'>Skip to the content</a>\n"
        f"<nav aria-label=Pages><ul>{menu}</ul></nav>\n<main id=content>\n{body}\n</main>\n</html>\n"
    )


def _text(text: object) -> str:
    return escape(printable(text))


def _quoted(text: str) -> str:
    return f'"{_text(text)}"'


def _inline(text: Inline) -> str:
    if isinstance(text, Link):
        return f"<a href={_quoted(text.target)}>{_text(text.text)}</a>"
    return _text(text or MISSING)


def _texts(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            yield f"<h{block.level}>{_text(block.text)}</h{block.level}>"
        case Paragraph():
            yield f"<p>{_inline(block.text)}</p>"
        case Items():
            yield f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in block.items)}</ul>"
        case NamedValues():
            rows = (f"<dt>{_text(name)}</dt><dd>{_inline(value)}</dd>" for name, value in block.rows)
            yield f"<dl>{''.join(rows)}</dl>"
        case TableBlock():
            head = "".join(f"<th scope=col>{_text(column)}</th>" for column in block.columns)
            rows = ("".join(f"<td>{_inline(cell)}</td>" for cell in row) for row in block.rows)
            caption = f"<caption>{_text(block.caption)}</caption>" if block.caption else ""
            yield f"<div class=wide><table>{caption}<thead><tr>{head}</tr></thead><tbody>"
            yield "\n".join(f"<tr>{row}</tr>" for row in rows)
            yield "</tbody></table></div>"
        case Code():
            yield f"<pre><code>{escape(printable_lines(block.text))}</code></pre>"

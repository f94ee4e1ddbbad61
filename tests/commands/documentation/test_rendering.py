"""Text from outside stays text, in Markdown and in HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from everfit.commands.documentation.blocks import Block, Code, Heading, Items, Link, NamedValues, Paragraph, TableBlock
from everfit.commands.documentation.html import to_page
from everfit.commands.documentation.markdown import to_markdown

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</code></pre><h1>title</h1>",
    "[click](javascript:alert(1))",
    "![picture](http://evil.example/x.png)",
    "# title",
    "---",
    "===",
    "- item",
    "1. item",
    "| cell | cell |",
    "```\ncode",
    "a\n\n# title\n",
    "**bold** _slanted_ ~~gone~~ `code`",
    "&lt;script&gt; &copy;",
    "> quoted",
    "[reference]: http://evil.example",
    "trailing backslash \\",
    "\x1b[31mred \u202e reversed",
    "'\" onmouseover='alert(1)",
    "{{ 7 * 7 }}",
)


def _document(text: str) -> list[Block]:
    return [
        Heading(f"Title {text}", 1),
        Paragraph(text),
        Items([text, Link(text, f"page.html?{text}")]),
        NamedValues([(text, text)]),
        TableBlock(text, (text, "plain"), [(text, Link("plain", text)), ("plain", text)]),
        Code(text, "sh"),
        Paragraph("end"),
    ]


class _Tags(HTMLParser):
    """Collects the elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_the_same_elements_as_a_plain_word(text: str) -> None:
    def pages(word: str) -> tuple[str, str]:
        links = [Link(word, "index.html")]
        marked = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
        return to_page(word, _document(word), links=links, current="x"), marked.render(to_markdown(_document(word)))

    for plain, hostile in zip(pages("word"), pages(text), strict=True):
        assert _Tags(hostile).found == _Tags(plain).found


def test_text_is_shown_as_it_was_given() -> None:
    text = "A_b *c* <d> [e](f) | g ~ $h$ & 1. i"
    page = (
        MarkdownIt("commonmark")
        .enable("table")
        .render(to_markdown([Paragraph(text), TableBlock("", ("x",), [(text,)])]))
    )
    assert "".join(_Tags(page).texts).count(text) == 2


def test_what_is_missing_is_said() -> None:
    assert to_markdown([NamedValues([("Owner", "")])]) == "- **Owner**: not provided\n"
    assert "<dd>not provided</dd>" in to_page("x", [NamedValues([("Owner", "")])], links=[], current="")


def test_a_page_needs_nothing_from_the_network_and_has_landmarks() -> None:
    page = to_page("Models", [Heading("Models", 1)], links=[Link("Models", "index.html")], current="index.html")
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<html lang=en>" in page
    assert "<title>Models</title>" in page
    assert "aria-current=page" in page

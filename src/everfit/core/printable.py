"""Text from outside, made safe to print: a name, a reason or an error message never steers a terminal or a log."""

from __future__ import annotations

import json
import re

# C0 and C1 controls (newlines and escape sequences among them), soft hyphen, bidirectional marks, embeddings and
# isolates (CVE-2021-42574), invisible spaces and operators, line and paragraph separators, lone surrogates, tags.
# Zero-width joiners (U+200C, U+200D) stay: Persian, Indic scripts and emoji are written with them.
_INVISIBLE = (
    "\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
_STEERING = re.compile(f"[\x00-\x1f{_INVISIBLE}\ud800-\udfff]")
_STEERING_JSON = re.compile(f"[{_INVISIBLE}]")
_STEERING_LINES = re.compile(f"[\x00-\x08\x0b-\x1f{_INVISIBLE}\ud800-\udfff]")


def printable(value: object) -> str:
    r"""Return a value's text on one line, with control and invisible characters escaped as Python writes them.

    >>> printable("[red]\x1b[31mred\nhot\u202e")
    '[red]\\x1b[31mred\\nhot\\u202e'
    """
    return _STEERING.sub(_escaped, str(value))


def printable_lines(text: str) -> str:
    r"""Return a text of our own several lines, such as a traceback; its newlines and tabs stay.

    >>> printable_lines("first\n\tsecond\x1b[2J")
    'first\n\tsecond\\x1b[2J'
    """
    return _STEERING_LINES.sub(_escaped, text)


def printable_json(text: str) -> str:
    r"""Return a JSON document that means the same and holds no invisible characters.

    JSON itself escapes only the characters below U+0020, but a terminal obeys U+009B, too.

    >>> printable_json('{"a": "\x9b31m"}')
    '{"a": "\\u009b31m"}'
    """
    return _STEERING_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")

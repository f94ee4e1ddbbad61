"""Text that must never be printed."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """A secret text; ``str``, ``repr``, ``format``, tracebacks and JSON show dots, and pickle refuses it.

    >>> f"{Secret('whsec_1234')} {[Secret('whsec_1234')]}"
    'Secret(…) [Secret(…)]'
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """Return the text, to compute with it or to show it to the person who asked for it."""
        return self.__text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret must not be stored or sent")

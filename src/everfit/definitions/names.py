"""Names of definitions: one form that is valid in columns, folders, URLs and registry entries."""

from __future__ import annotations

import re

from everfit.core.errors import DefinitionError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def require_name(name: object, *, of: str) -> str:
    """Return a name of a definition. Raises :class:`DefinitionError` if it is none, or of more than 63 characters."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        rule = f"the name of {of} must be lower-case letters, digits and underscores, and start with a letter"
        raise DefinitionError(rule, value=name)
    return name

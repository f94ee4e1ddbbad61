"""Digest of a feature view's definition: two definitions of one digest compute the same rows of the same sources."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from everfit.definitions.source_digest import code_of, relative_path

if TYPE_CHECKING:
    from everfit.definitions.view import FeatureView


def definition_digest(view: FeatureView) -> str:
    """Return ``sha256:…`` of all in a definition that its rows depend on; its ttl and description are not among it.

    The text of its functions counts, wherever the file lies, but not that of the functions that these call.
    """
    source = view.source
    content = {
        "entities": [(entity.key, str(entity.dtype)) for entity in view.entities],
        "features": view.features,
        "times": [view.timestamp, view.created, str(view.look_back)],
        "source": [source.name, relative_path(source.path), source.query, source.url, source.timestamp, source.created],
        "code": [code_of(function) for function in (source.function, view.transform) if function is not None],
    }
    if source.known_at:
        content["known_at"] = sorted(source.known_at.items())
    if source.types:
        content["types"] = sorted((name, str(dtype)) for name, dtype in source.column_types.items())
    return f"sha256:{hashlib.sha256(json.dumps(content).encode()).hexdigest()}"

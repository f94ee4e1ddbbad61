"""The static part of the OpenAPI document: ``template.json``, and the replacement of its placeholders."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

Json = dict[str, Any]
_PLACEHOLDER = re.compile(r'"\{(\w+)\}"|\{(\w+)\}')


@cache
def load_template() -> Json:
    """Return the template; it must not be changed."""
    found: Json = json.loads((files("everfit.serving.openapi") / "template.json").read_bytes())
    return found


def fill(part: Any, values: Json) -> Any:
    """Return a part of the template with its placeholders replaced; those without a value are kept.

    >>> fill({"{model}.Row": {"maxItems": "{max_rows}"}}, {"model": "late", "max_rows": 7})
    {'late.Row': {'maxItems': 7}}
    """

    def replace(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in values:
            return found[0]
        return json.dumps(values[name]) if found[1] else json.dumps(str(values[name]))[1:-1]

    return json.loads(_PLACEHOLDER.sub(replace, json.dumps(part)))

"""``/docs``: an OpenAPI document as one self-contained HTML page without scripts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files

from everfit.serving.inference.served_model import ServedModel
from everfit.serving.inference.variants import Variants
from everfit.serving.openapi.template import Json

_ADDRESS = b"http://everfit.invalid"
"""Placeholder for the service's address."""
_HOST = re.compile(rb"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


def write_docs_page(document: Json, models: Mapping[str, Variants]) -> bytes:
    """Return the page of a document and its models; :func:`address_page` inserts the service's address."""
    style = (files("everfit.serving.openapi") / "docs.css").read_text()
    title, version = escape(document["info"]["title"]), escape(document["info"]["version"])
    served = ", ".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in models) or "none"
    tags = "".join(f'<a href="#{_anchor(tag["name"])}">{escape(tag["name"])}</a>' for tag in document["tags"])
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}: API</title><style>\n{style}</style></head><body>",
        f'<header><h1>{title}</h1><p class="soft">Version {version} · models: {served} · ',
        f'<a href="/openapi.json">openapi.json</a></p><nav>{tags}</nav></header>',
        f"<p>{_prose(document['info']['description'])}</p>",
        *(_model(variants.champion) for variants in models.values()),
        *_operations(document),
        "</body></html>",
    ]
    return "\n".join(parts).encode()


def address_page(page: bytes, host: bytes) -> bytes:
    """Return the page with the address of its examples: the request's header ``Host``, if that is a plain name or
    number, with or without a port.
    """
    return page.replace(_ADDRESS, b"http://" + (host if _HOST.fullmatch(host) else b"127.0.0.1:8080"))


def _model(model: ServedModel) -> str:
    fields = "".join(
        f"<tr><td><code>{escape(field.name)}</code></td><td>{field.type} or null</td>"
        f"<td><code>{escape(json.dumps(field.example, ensure_ascii=False))}</code></td></tr>"
        for field in model.schema.request
    )
    body = json.dumps(model.describe().example, ensure_ascii=False, indent=2)
    url = f"{_ADDRESS.decode()}/predict/{model.name}"
    curl = f"curl {url} \\\n  -H 'content-type: application/json' \\\n  -d {shlex.quote(body)}"
    return (
        f'<section class="model" id="{escape(model.name)}"><h2>{escape(model.name)}</h2>'
        f'<p class="soft">Version {model.version} · {model.schema.task} · {escape(_meaning(model))}</p>'
        '<div class="scroll"><table><thead><tr><th>field</th><th>type</th><th>example</th></tr></thead>'
        f"<tbody>{fields}</tbody></table></div><h3>Example</h3><pre>{escape(curl)}</pre></section>"
    )


def _meaning(model: ServedModel) -> str:
    if model.schema.task == "binary":
        return f"predicts the probability of {model.class_names[-1]}"
    if model.schema.task == "multiclass":
        return f"predicts the probabilities of {', '.join(model.class_names)}"
    return "predicts a number"


def _operations(document: Json) -> Iterator[str]:
    for tag in document["tags"]:
        yield f'<h2 id="{_anchor(tag["name"])}">{escape(tag["name"])}</h2>'
        yield f'<p class="soft">{escape(tag["description"])}</p>'
        for path, methods in document["paths"].items():
            for method, described in methods.items():
                if tag["name"] in described["tags"]:
                    yield _operation(path, method.upper(), described)


def _operation(path: str, method: str, described: Json) -> str:
    statuses = "".join(
        f"<tr><td><code>{status}</code></td><td>{_prose(response['description'])}</td></tr>"
        for status, response in described["responses"].items()
    )
    takes = ", ".join(described.get("requestBody", {}).get("content", ()))
    gives = ", ".join(described["responses"].get("200", {}).get("content", ()))
    paragraphs = [
        described.get("description", ""),
        f"Takes {takes}." if takes else "",
        f"Gives {gives}." if gives else "",
        *(f"`{own['name']}` ({own['in']}): {own['description']}" for own in described.get("parameters", ())),
    ]
    prose = "".join(f"<p>{_prose(text)}</p>" for text in paragraphs if text)
    return (
        f'<details><summary><span class="verb {method}">{method}</span> <code>{escape(path)}</code> '
        f'<span class="soft">{escape(described["summary"])}</span></summary>'
        f'<div>{prose}<div class="scroll"><table><tbody>{statuses}</tbody></table></div></div></details>'
    )


def _prose(text: str) -> str:
    """Return text as HTML; backticks mark code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _anchor(name: str) -> str:
    return "about-" + escape(name.lower().replace(" ", "-"))

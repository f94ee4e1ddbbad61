"""``/docs``: an OpenAPI document as one page of HTML that needs nothing else, neither scripts nor other servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING

from everfit.serving.openapi.operation import Json

if TYPE_CHECKING:
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.inference.variants import Lineup

_ADDRESS = b"http://everfit.invalid"
"""Stands for the service's own address until a page is asked."""
_HOST = re.compile(rb"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--soft:#60646c;--line:#e2e4e9;--back:#fcfcfd;--card:#fff;--code:#f2f4f7;
--accent:#1d5fd1;--get:#0f7b55;--post:#8a4b00}
@media(prefers-color-scheme:dark){:root{--ink:#edeef0;--soft:#a3a8b1;--line:#2e3238;--back:#111316;--card:#181b1f;
--code:#20242a;--accent:#8ab4ff;--get:#5fd3a5;--post:#f0b060}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2.5rem 1.25rem 5rem;max-width:60rem;background:var(--back);color:var(--ink);
font:16px/1.55 system-ui,sans-serif}
h1{margin:0;font-size:1.9rem;letter-spacing:-.02em}h2{margin:2.75rem 0 .5rem;font-size:1.3rem}h3{margin:1.5rem 0 .4rem;
font-size:1rem}
p{margin:.4rem 0}.soft{color:var(--soft)}a{color:var(--accent)}
code,pre{font:.86rem/1.5 ui-monospace,"SF Mono",Consolas,monospace}
pre{margin:.4rem 0;padding:.9rem 1rem;overflow-x:auto;border:1px solid var(--line);border-radius:8px;
background:var(--code);user-select:all}
section.model{margin:1.25rem 0;padding:1.1rem 1.25rem;border:1px solid var(--line);border-radius:12px;
background:var(--card)}
section.model h2{margin:0}
.scroll{overflow-x:auto}table{width:100%;border-collapse:collapse}
th,td{padding:.45rem .9rem .45rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{color:var(--soft);font-size:.82rem;font-weight:600}
details{border-bottom:1px solid var(--line)}summary{padding:.55rem 0;cursor:pointer}
details>div{padding:0 0 .9rem 1.1rem}
.verb{display:inline-block;min-width:3.2rem;font:700 .78rem ui-monospace,monospace}.GET{color:var(--get)}
.POST{color:var(--post)}
nav a{margin-right:1rem}
"""


def write_docs_page(document: Json, lineups: Mapping[str, Lineup]) -> bytes:
    """The page; :func:`address_page` makes it one of a certain address.

    Args:
        document: The OpenAPI document.
        lineups: The models that it describes.
    """
    title, version = escape(document["info"]["title"]), escape(document["info"]["version"])
    served = ", ".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in lineups) or "none"
    tags = "".join(f'<a href="#{_anchor(tag["name"])}">{escape(tag["name"])}</a>' for tag in document["tags"])
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}: what may be asked</title><style>{_STYLE}</style></head><body>",
        f'<header><h1>{title}</h1><p class="soft">Version {version} · models: {served} · ',
        f'<a href="/openapi.json">openapi.json</a></p><nav>{tags}</nav></header>',
        f"<p>{_prose(document['info']['description'])}</p>",
        *(_model(lineup.champion) for lineup in lineups.values()),
        *_operations(document),
        "</body></html>",
    ]
    return "\n".join(parts).encode()


def address_page(page: bytes, host: bytes) -> bytes:
    """A page whose examples ask the address that the page itself was asked at.

    Args:
        page: What :func:`write_docs_page` wrote.
        host: The request's header; not believed unless it is a plain name or number, with or without a port.
    """
    return page.replace(_ADDRESS, b"http://" + (host if _HOST.fullmatch(host) else b"127.0.0.1:8080"))


def _model(model: ServedModel) -> str:
    fields = "".join(
        f"<tr><td><code>{escape(field.name)}</code></td><td>{field.type} or null</td>"
        f"<td><code>{escape(json.dumps(field.example, ensure_ascii=False))}</code></td></tr>"
        for field in model.schema.request
    )
    body = json.dumps(model.describe().example, ensure_ascii=False, indent=2)
    # Within single quotes a shell takes everything as it is, but for the quote.
    quoted = body.replace("'", "'\\''")
    curl = (
        f"curl {_ADDRESS.decode()}/predict/{model.name} \\\n  -H 'content-type: application/json' \\\n  -d '{quoted}'"
    )
    return (
        f'<section class="model" id="{escape(model.name)}"><h2>{escape(model.name)}</h2>'
        f'<p class="soft">Version {model.version} · {model.schema.task} · {escape(_meaning(model))}</p>'
        '<div class="scroll"><table><thead><tr><th>field</th><th>type</th><th>example</th></tr></thead>'
        f"<tbody>{fields}</tbody></table></div><h3>Ask it</h3><pre>{escape(curl)}</pre></section>"
    )


def _meaning(model: ServedModel) -> str:
    if model.schema.task == "binary":
        return f"answers with the chance of {model.class_names[-1]}"
    if model.schema.task == "multiclass":
        return f"answers with the chances of {', '.join(model.class_names)}"
    return "answers with a number"


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
        f"<tr><td><code>{status}</code></td><td>{_prose(answer['description'])}</td></tr>"
        for status, answer in described["responses"].items()
    )
    takes = ", ".join(described.get("requestBody", {}).get("content", ()))
    gives = ", ".join(described["responses"].get("200", {}).get("content", ()))
    told = [
        described.get("description", ""),
        f"Takes {takes}." if takes else "",
        f"Gives {gives}." if gives else "",
        *(f"`{each['name']}` ({each['in']}): {each['description']}" for each in described.get("parameters", ())),
    ]
    prose = "".join(f"<p>{_prose(each)}</p>" for each in told if each)
    return (
        f'<details><summary><span class="verb {method}">{method}</span> <code>{escape(path)}</code> '
        f'<span class="soft">{escape(described["summary"])}</span></summary>'
        f'<div>{prose}<div class="scroll"><table><tbody>{statuses}</tbody></table></div></div></details>'
    )


def _prose(text: str) -> str:
    """Text in which backticks mark code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _anchor(name: str) -> str:
    return "about-" + escape(name.lower().replace(" ", "-"))

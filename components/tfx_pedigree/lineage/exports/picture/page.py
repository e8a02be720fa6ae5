"""The page around the picture. Whatever comes from outside stands in it as escaped text or as JSON, never as HTML.

The browser itself refuses what the page is not meant to have: only this one script may run, and nothing is loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib import resources
from typing import Any

from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.exports.palette import PAINT
from tfx_pedigree.lineage.exports.picture.scene import scene
from tfx_pedigree.lineage.graph import NodeKind
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.text import listed, plural

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{policy}<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Lineage of {title}</title>
{style}
</head>
<body>
<header aria-label="Of the picture">
<div><p class="kicker">Lineage</p><h1>{title}</h1></div>
<form role="search"><input id="search" type="search" placeholder="Search: span, commit, digest …" \
aria-label="Search" autocomplete="off" spellcheck="false"><output id="found"></output></form>
<div class="tools">
<button id="fit" type="button" title="Show all (0)">Show all</button>
<button id="fold" type="button" title="One box for each run">Fold runs</button>
<button id="unfold" type="button">Unfold</button>
<button id="closer" type="button" aria-label="Zoom in" title="Zoom in (+)">+</button>
<button id="further" type="button" aria-label="Zoom out" title="Zoom out (−)">−</button>
</div>
</header>
<main aria-label="Picture">
<div id="stage">
<div id="picture" tabindex="0" role="group" aria-label="Lineage, earlier on the left. Arrow keys move between boxes, \
Enter opens one."></div>
<svg id="map" aria-hidden="true"></svg>
</div>
<aside id="details" aria-live="polite"></aside>
</main>
<footer aria-label="Of the picture">
<ul class="legend">{legend}</ul>
<p>{counts} An arrow leads from what was used to what came of it.{limit}</p>
</footer>
<script type="application/json" id="lineage">{data}</script>
{script}
</body>
</html>
"""


def picture_script() -> str:
    return _beside("picture.js")


def picture_style() -> str:
    return _beside("picture.css") + _colours()


def page(graph: Subgraph) -> str:
    """One file that needs nothing beside it. Only its own script may run: the page says so itself."""
    script = picture_script()
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">\n'
    return _page(graph, policy, f"<style>{picture_style()}</style>", f"<script>{script}</script>")


def linked_page(graph: Subgraph, style: str, script: str) -> str:
    """The same with style and script at these addresses, for a server that says in a header what may run."""
    link, load = f'<link rel="stylesheet" href="{escape(style)}">', f'<script src="{escape(script)}" defer></script>'
    return _page(graph, "", link, load)


def _page(graph: Subgraph, policy: str, style: str, script: str) -> str:
    title = listed((wording.label(graph.nodes[key]) for key in graph.start if key in graph.nodes), 3) or "nothing"
    kinds = [kind for kind in NodeKind if any(node.kind is kind for node in graph.nodes.values())]
    many = f"{plural(len(graph.nodes), 'node')}, {plural(len(graph.edges), 'edge')}."
    return _PAGE.format(
        policy=policy,
        title=escape(title),
        style=style,
        legend="".join(f'<li class="k-{kind.value}"><i></i>{kind.value}</li>' for kind in kinds),
        counts=many,
        limit="" if graph.complete else " A limit on the depth left something out.",
        data=embedded(scene(graph)),
        script=script,
    )


def embedded(value: Any) -> str:
    """JSON that no HTML parser takes for the end of its script, or for anything else."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "".join(_UNSAFE.get(letter, letter) for letter in text)


def _beside(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def _colours() -> str:
    light = "".join(f".k-{kind.value}{{--ink:{one.ink};--ground:{one.ground}}}" for kind, one in PAINT.items())
    dark = "".join(f".k-{kind.value}{{--ink:{one.dark_ink};--ground:{one.dark_ground}}}" for kind, one in PAINT.items())
    return f"{light}@media (prefers-color-scheme:dark){{{dark}}}"

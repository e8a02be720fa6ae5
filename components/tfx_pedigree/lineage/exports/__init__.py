"""An answer of the graph in the forms that other tools and people read. In: a subgraph. Out: text.

Labels and facts come from data, models and other systems: each form escapes them its own way. Never: asks the registry,
or leaves anything of the answer out without saying so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from tfx_pedigree.lineage.subgraph import Subgraph

# Written while it is read: `json_text.lines`.
LINES = "jsonl"

# A form's name, and the function from a subgraph to its text: imported when it is asked for.
FORMATS = {
    "json": "json_text:render",
    "dot": "dot:render",
    "mermaid": "mermaid:render",
    "html": "picture.page:page",
    "openlineage": "openlineage:render",
}


def render(graph: Subgraph, form: str) -> str:
    module, _, name = FORMATS[form].partition(":")
    renderer: Callable[[Subgraph], str] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return renderer(graph)

"""The picture: one HTML file that needs nothing beside it, for any browser, on a screen or a phone."""

from __future__ import annotations

from tfx_pedigree.lineage.exports.picture.page import page
from tfx_pedigree.lineage.subgraph import Subgraph


def render(graph: Subgraph) -> str:
    return page(graph)

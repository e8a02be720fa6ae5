"""What a version was measured on. That hangs on its evaluations: no walk that only goes up or only down meets it."""

from __future__ import annotations

from tfx_pedigree.lineage.api import LineageApi
from tfx_pedigree.lineage.graph import EdgeKind, Node
from tfx_pedigree.lineage.neighbours import Adjacency
from tfx_pedigree.lineage.wording import order


def evaluation_data(lineage: LineageApi, version: str) -> tuple[Node, ...]:
    """Each once, in a stable order. `version` is the key of a node; raises NotFoundError where it was not recorded."""
    found: dict[str, Node] = {}
    for judge in Adjacency(lineage.get_downstream(version, 1)).sources(version, EdgeKind.EVALUATES):
        rows = Adjacency(lineage.get_upstream(judge, 1)).targets(judge.key, EdgeKind.EVALUATED_ON)
        found |= {node.key: node for node in rows}
    return tuple(sorted(found.values(), key=order))

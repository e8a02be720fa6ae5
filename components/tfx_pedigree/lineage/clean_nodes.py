"""Nodes without secrets: each passes here before it enters the graph, and before it is hashed."""

from __future__ import annotations

from tfx_pedigree.lineage.graph import Node, NodeKind
from tfx_pedigree.secrets import Gate

# What an environment has installed.
_PACKAGES = "packages"


def clean_node(node: Node) -> tuple[Node, int]:
    """The node without its secrets, and how many values were hidden; the same node where there were none.

    Cleaning what is clean changes nothing.
    """
    gate = Gate()
    content = dict(node.content)
    packages = content.pop(_PACKAGES, None) if node.kind is NodeKind.ENVIRONMENT else None
    clean_content = gate.mapping(content)
    if packages is not None:
        clean_content[_PACKAGES] = gate.packages(packages)
    clean = Node(node.kind, clean_content, gate.facts(node.facts))
    return (clean, gate.hidden) if gate.hidden else (node, 0)

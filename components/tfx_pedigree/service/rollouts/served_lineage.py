"""What rollouts served, in the lineage graph: `pedigree impact span:3` then names what was served where and when.

The audit log is the record. The graph is told after each decision, and of all of a model's rollouts whenever a
controller begins: what one that died did not tell is told by the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment
from tfx_pedigree.lineage.node_factory import deployment_node, version_node
from tfx_pedigree.registry import LARGEST_PAGE, Action, every
from tfx_pedigree.rollout.served import ShareChange, percent, share_changes
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.text import format_timestamp


def record_served(workspace: Workspace, model: str) -> None:
    """Telling the same again adds nothing. A candidate that never had a share was deployed nowhere."""
    registry, action = workspace.registry, str(Action.ROLL_OUT)
    events = list(every(lambda after: registry.history(model, action=action, limit=LARGEST_PAGE, after=after)))
    fragment = served_fragment(share_changes(reversed(events)))
    if fragment.nodes:
        workspace.lineage.record(fragment, model=model)


def served_fragment(changes: Iterable[ShareChange]) -> Fragment:
    by_place: dict[tuple[str, str], list[ShareChange]] = {}
    for change in changes:
        by_place.setdefault((change.version.digest, change.target), []).append(change)
    nodes, edges = [], []
    for (digest, target), mine in by_place.items():
        one = mine[0].version
        version = version_node(one.model, digest, version=one.version)
        node = deployment_node(one.model, digest, target, version=one.version)
        told = {
            "share": tuple(f"{format_timestamp(change.at)} {percent(change.points)}" for change in mine),
            "rollout": tuple(sorted({str(change.rollout) for change in mine})),
        }
        nodes += [version, replace(node, facts={**node.facts, **told})]
        edges.append(Edge(node.key, EdgeKind.DEPLOYS, version.key))
    return Fragment(tuple(nodes), tuple(edges))

"""What a rollout served, as part of the lineage graph: `pedigree impact span:3` then names what was served where.

The ledger is the record; the graph is told when all traffic is where it should be, or was taken back.
"""

from __future__ import annotations

from dataclasses import replace

from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment
from tfx_pedigree.lineage.node_factory import deployment_node, version_node
from tfx_pedigree.rollout.state import Phase, Rollout
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.text import format_timestamp

# What is told of in the graph, and in which word.
TOLD = {Phase.KEEPING: "served", Phase.DONE: "served", Phase.ROLLED_BACK: "rolled-back"}


def record_served(workspace: Workspace, rollout: Rollout) -> None:
    """Telling the same again adds nothing. A candidate that never had a share was deployed nowhere."""
    phase, candidate = rollout.state.phase, rollout.candidate
    if phase not in TOLD or (phase is Phase.ROLLED_BACK and not rollout.order.plan.steps):
        return
    version = version_node(candidate.model, candidate.digest, version=candidate.version)
    node = deployment_node(
        candidate.model, candidate.digest, rollout.order.target, version=candidate.version, outcome=TOLD[phase]
    )
    when = format_timestamp(rollout.state.since)
    seen = {"rollout": (str(rollout.number),), f"{TOLD[phase].replace('-', '_')}_at": (when,)}
    node = replace(node, facts={**node.facts, **seen})
    workspace.lineage.record(
        Fragment((version, node), (Edge(node.key, EdgeKind.DEPLOYS, version.key),)), model=candidate.model
    )

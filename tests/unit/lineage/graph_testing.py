"""A small history as the components record it, and graphs at random, for the tests of the lineage graph."""

from __future__ import annotations

import random

import networkx as nx
import sqlalchemy as sa

from pedigree_testing import candidate, digest, lineage_of
from tfx_pedigree.db import schema
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, NodeKind
from tfx_pedigree.lineage.node_factory import (
    code_node,
    comparison_node,
    data_node,
    decision_node,
    evaluation_node,
    module_node,
    parameters_node,
    run_node,
    version_node,
)
from tfx_pedigree.registry import Evidence, Registry, Verdict, Version

MODEL = "flight-delay"
TABLES = (schema.lineage_nodes, schema.lineage_facts, schema.lineage_edges)


def data(span: int, split: str = "train") -> Node:
    return data_node(fingerprint=digest((span, split)), span=str(span), split=split, rows=1000 + span)


def code(number: int) -> Node:
    return code_node({"commit": f"{number:02x}" * 20, "remote": "https://git.example.org/flights", "branch": "main"})


def node_of(version: Version) -> Node:
    return version_node(version.model, version.digest, version=version.version)


def making(
    version: Version, span: int, predecessor: Version | None = None, evidence: Evidence | None = None
) -> Fragment:
    """How a version was trained on one span, evaluated on another split, compared with the one before, and decided."""
    made, train, test = node_of(version), data(span), data(span, "eval")
    sources, settings, module = (
        code(version.sequence % 2),
        parameters_node({"rate": 0.1}),
        module_node("trainer.py", digest("m")),
    )
    run = run_node(
        model=version.model,
        version=version.digest,
        data=[train.key, test.key],
        code=sources.key,
        parameters=settings.key,
        id=f"run-{version.sequence}",
        pipeline="flights",
    )
    evaluation = evaluation_node(of=version.digest, data=[test.key])
    comparison = comparison_node(digest(("comparison", version.digest)))
    decision = decision_node(version.model, (evidence or judged(version.digest)).digest, verdict="PASS")
    edges = [
        (made, EdgeKind.TRAINED_ON, train),
        (made, EdgeKind.BUILT_BY, sources),
        (made, EdgeKind.BUILT_BY, module),
        (made, EdgeKind.CONFIGURED_BY, settings),
        (made, EdgeKind.PRODUCED_BY, run),
        (run, EdgeKind.USED, train),
        (run, EdgeKind.USED, test),
        (evaluation, EdgeKind.EVALUATES, made),
        (evaluation, EdgeKind.EVALUATED_ON, test),
        (comparison, EdgeKind.RESTS_ON, evaluation),
        (comparison, EdgeKind.EVALUATES, made),
        (decision, EdgeKind.RESTS_ON, comparison),
        (decision, EdgeKind.DECIDES_ON, made),
    ]
    nodes = [made, train, test, sources, module, settings, run, evaluation, comparison, decision]
    if predecessor is not None:
        before = node_of(predecessor)
        nodes.append(before)
        edges += [(made, EdgeKind.SUPERSEDES, before), (comparison, EdgeKind.COMPARED_WITH, before)]
    return Fragment(tuple(nodes), tuple(Edge(s.key, kind, t.key, run.key) for s, kind, t in edges))


def judged(challenger: str, champion: str | None = None) -> Evidence:
    return Evidence(challenger, champion, Verdict.PASS, "better")


def storied(registry: Registry, count: int = 3, promoted: tuple[int, ...] = (0, 1)) -> list[Version]:
    """So many versions, each trained on its own span after the one before, some promoted one after the other."""
    lineage, made = lineage_of(registry), list[Version]()
    champion: str | None = None
    for number in range(count):
        found = candidate((MODEL, number))
        evidence = judged(found.digest, champion)
        version = registry.add(MODEL, found, evidence=evidence).version
        lineage.record(making(version, number, made[-1] if made else None, evidence), model=MODEL)
        made.append(version)
        if number in promoted:
            registry.promote(f"{MODEL}@{version.version}")
            champion = version.digest
    return made


def counted(registry: Registry) -> tuple[int, ...]:
    """The rows of nodes, facts and edges."""
    with registry.transactions.reading(None) as connection:
        return tuple(connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in TABLES)


def thing(number: int) -> Node:
    return Node(NodeKind.ARTIFACT, {"store": "test", "type": "Thing", "id": number}, {"id": (str(number),)})


def random_fragment(seed: int, nodes: int, edges: int, *, cycles: bool = False) -> Fragment:
    """Things linked at random: later ones to earlier ones, and where cycles are wanted, anything to anything."""
    chance = random.Random(seed)
    things = [thing(number) for number in range(nodes)]
    found = set()
    for _ in range(edges):
        a, b = chance.sample(range(nodes), 2)
        later, earlier = (a, b) if cycles else (max(a, b), min(a, b))
        kind = chance.choice([EdgeKind.USED, EdgeKind.PRODUCED_BY, EdgeKind.SUPERSEDES])
        found.add(Edge(things[later].key, kind, things[earlier].key))
    return Fragment(tuple(things), tuple(sorted(found)))


def as_networkx(fragment: Fragment) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(node.key for node in fragment.nodes)
    graph.add_edges_from((edge.source, edge.target) for edge in fragment.edges)
    return graph

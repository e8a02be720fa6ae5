"""What the processes of the lineage tests do. Each has done nothing before but import this."""

from __future__ import annotations

import os
import random
import signal
from multiprocessing.synchronize import Barrier

import sqlalchemy as sa
from graph_testing import MODEL, making, random_fragment

from pedigree_testing import lineage_of
from tfx_pedigree.lineage.graph import Fragment
from tfx_pedigree.registry import Registry

_together: list[Barrier] = []


def begin_together(barrier: Barrier) -> None:
    """In each process: nobody records before all of them have the registry open."""
    _together.append(barrier)


def record_shuffled(address: str, worker: int) -> int:
    """Records the same graph as all the others, in an order of its own, in pieces that overlap; gives the nodes that it
    was the first to add. Half of the workers write to a model's chain and half to the registry's, so that on PostgreSQL
    no lock keeps them apart."""
    whole = random_fragment(5, 400, 1200)
    nodes = {node.key: node for node in whole.nodes}
    chance = random.Random(worker)
    edges = chance.sample(whole.edges, len(whole.edges))
    added = 0
    with Registry.open(address, actor="ada") as registry:
        lineage = lineage_of(registry)
        _together[0].wait(100)
        for first in range(0, len(edges), 100):
            piece = edges[first : first + 150]
            ends = sorted({key for edge in piece for key in (edge.source, edge.target)})
            keys = chance.sample(ends, len(ends))
            fragment = Fragment(tuple(nodes[key] for key in keys), tuple(piece))
            added += lineage.record(fragment, model=(MODEL, "other", None)[worker % 3]).nodes
        lineage.record(whole)
    return added


def kill_at_statement(address: str, number: int) -> None:
    """Records how a version was made; dies at the so-manyth statement or commit that reaches the database."""
    count = 0

    def maybe_die(*_: object) -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    with Registry.open(address, actor="ada") as registry:
        fragment = making(registry.get(f"{MODEL}@1.0.0"), 1)
        for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(registry._database.engine, moment, maybe_die)
        lineage_of(registry).record(fragment, model=MODEL)
    print(count)

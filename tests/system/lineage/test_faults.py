"""Recorders that die in the middle, and several at once: processes of their own, on both databases."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import lineage_processes as processes
import pytest
from graph_testing import MODEL, counted, making, node_of, random_fragment

from forking_testing import Ended, forking
from pedigree_testing import candidate, lineage_of
from tfx_pedigree.registry import Registry

WORKERS = 4


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(WORKERS)
    with ProcessPoolExecutor(WORKERS, context, processes.begin_together, (together,)) as executor:
        yield executor


def test_recorders_at_once_neither_double_anything_nor_wait_for_each_other_for_ever(
    registry: Registry, address: str, pool: ProcessPoolExecutor
) -> None:
    for model in (MODEL, "other"):
        registry.add(model, candidate(model))
    whole = random_fragment(5, 400, 1200)
    jobs = [pool.submit(processes.record_shuffled, address, worker) for worker in range(WORKERS)]
    added = [job.result(timeout=120) for job in jobs]
    used = {key for edge in whole.edges for key in (edge.source, edge.target)}
    assert len(used) <= sum(added) <= len(whole.nodes), "each node was new to one of them"
    assert counted(registry) == (len(whole.nodes), len(whole.nodes), len(whole.edges))
    events = [e for chain in (MODEL, "other", None) for e in registry.history(chain, limit=500).items]
    counts = [e.details for e in events if e.action == "record-lineage"]
    assert sum(c["nodes"] for c in counts) == len(whole.nodes)
    assert sum(c["edges"] for c in counts) == len(whole.edges)
    assert registry.verify_audit().problems == ()


@pytest.fixture(scope="module")
def fork() -> Iterator[Callable[..., Ended]]:
    with forking("lineage_processes") as call:
        yield call


def test_recorder_killed_at_any_statement_recorded_all_of_it_or_nothing(
    registry: Registry, address: str, fork: Callable[..., Ended]
) -> None:
    version = registry.add(MODEL, candidate("a")).version
    fragment = making(version, 1)
    died = 0
    for number in range(1, 100, 3):
        ended = fork("kill_at_statement", address, number)
        nodes, _, edges = counted(registry)
        assert (nodes, edges) in ((0, 0), (len(fragment.nodes), len(fragment.edges)))
        told = [e for e in registry.history(MODEL).items if e.action == "record-lineage"]
        assert len(told) == (1 if nodes else 0), "the rows and the event that tells of them are there together"
        report = registry.verify_audit()
        assert report.ok, (number, report.problems)
        if ended.out.strip():
            break
        assert ended.code == -signal.SIGKILL, ended.err
        died += 1
    assert died >= 4
    assert lineage_of(registry).get_upstream(f"{MODEL}@1.0.0").nodes.keys() > {node_of(version).key}
    assert not lineage_of(registry).record(fragment, model=MODEL).anything

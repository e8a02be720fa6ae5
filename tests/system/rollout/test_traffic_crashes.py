"""A manager that dies before or after any of its effects leaves what the next one carries on from.

Each point is a real death (`os._exit`) in a process of its own: before or after each rename, flush and removal of a
file, and each command to HAProxy.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from balancer_testing import VERSIONS, BalancerBench, Processes, Serving
from haproxy_testing import Haproxy
from traffic_conformance import prepared, settled

from tfx_pedigree.rollout.traffic.api import Convergence, TrafficManager, WantedRoutes
from tfx_pedigree.rollout.traffic.envoy import KEPT, KEYS, LINK, EnvoySettings, kept_values, write_kept
from tfx_pedigree.rollout.traffic.haproxy_socket import HaproxySocket
from tfx_pedigree.rollout.traffic.routed import RouteOrder

DIED = 77
EFFECTS: tuple[tuple[Any, str], ...] = (
    (os, "fsync"),
    (Path, "replace"),
    (Path, "rename"),
    (Path, "symlink_to"),
    (Path, "unlink"),
    (shutil, "rmtree"),
    (HaproxySocket, "ask"),
)
FIRST, SECOND, THIRD = (version.digest for version in VERSIONS)


def dies_at(point: int, work: Callable[[], object]) -> bool:
    """Whether it died: point 2n is before the effect n, 2n + 1 after it. False where it ended before that."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _arm(point)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    found = os.waitstatus_to_exitcode(status)
    assert found in (0, DIED)
    return found == DIED


def _arm(point: int) -> None:
    counted = itertools.count()

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*arguments: Any, **named: Any) -> Any:
            number = next(counted)
            if point == 2 * number:
                os._exit(DIED)
            result = real(*arguments, **named)
            if point == 2 * number + 1:
                os._exit(DIED)
            return result

        return effect

    for owner, name in EFFECTS:
        setattr(owner, name, wrapped(getattr(owner, name)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[BalancerBench]:
    processes = Processes(tmp_path)
    made = Haproxy(Serving(tmp_path / "models", processes), tmp_path)
    try:
        made.serving.start()
        made.start()
        yield made.bench()
    finally:
        processes.stop()
        made.stop()


def start(bench: BalancerBench, points: int) -> TrafficManager:
    """The first version serves, the second has a share, and nothing else is there."""
    manager = bench.manager()
    wanted = WantedRoutes.all_to(FIRST)
    prepared(manager, VERSIONS[0], bench)
    manager.apply(wanted, epoch=1)
    settled(manager, wanted, bench)
    prepared(manager, VERSIONS[1], bench)
    manager.apply(WantedRoutes.two(FIRST, SECOND, points, 60), epoch=1)
    return manager


def test_a_change_of_shares_that_dies_anywhere_is_the_old_or_the_new_one(bench: BalancerBench) -> None:
    start(bench, 1000)
    before, after = (WantedRoutes.two(FIRST, SECOND, points, 60) for points in (1000, 2500))
    for point in itertools.count():
        bench.manager().apply(before, epoch=1)
        died = dies_at(point, lambda: bench.manager().apply(after, epoch=1))
        if not died:
            break
        found = bench.manager().observe()
        assert found.points(SECOND) in (1000, 2500)
        assert found.points(FIRST) + found.points(SECOND) == 10_000
        assert bench.send(5)
        again = bench.manager()
        again.apply(after, epoch=1)
        assert again.verify(after).convergence is Convergence.CONVERGED
    assert point > 10


def test_a_version_whose_coming_or_going_dies_anywhere_comes_or_goes_with_the_next_try(bench: BalancerBench) -> None:
    manager = start(bench, 0)
    manager.retire(SECOND)
    for point in itertools.count():
        died = dies_at(point, lambda: bench.manager().prepare(VERSIONS[2]))
        assert bench.manager().observe().serving == FIRST
        prepared(bench.manager(), VERSIONS[2], bench)
        gone = dies_at(point, lambda: bench.manager().retire(THIRD))
        assert bench.manager().observe().serving == FIRST
        bench.manager().retire(THIRD)
        assert bench.manager().observe().arm(THIRD) is None
        if not died and not gone:
            break
    assert point > 10


def test_what_envoy_keeps_is_the_old_or_the_new_after_any_death(tmp_path: Path) -> None:
    serving = Serving(tmp_path / "models", Processes(tmp_path), [1, 2])
    from tfx_pedigree.rollout.traffic.places import read_places

    places = read_places(serving.settings(), "penguin", serving.materialise)
    settings = EnvoySettings(places, "http://127.0.0.1:1", "127.0.0.1:2", tmp_path / "runtime")
    orders = [RouteOrder({"blue": 10_000 - points, "green": points}, "blue", 1) for points in (0, 10_000)]

    def kept() -> str:
        return (settings.runtime / LINK / KEPT / KEYS / settings.cluster("green")).read_text("utf-8")

    for point in itertools.count():
        write_kept(settings, kept_values(places, orders[0], 1))
        died = dies_at(point, lambda: write_kept(settings, kept_values(places, orders[1], 2)))
        assert kept() in ("0", "10000")
        write_kept(settings, kept_values(places, orders[1], 2))
        assert kept() == "10000"
        if not died:
            break
    assert point > 10

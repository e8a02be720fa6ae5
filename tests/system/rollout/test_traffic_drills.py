"""What clients see, who try nothing twice, while shares change and while controllers and candidates are killed.

With real load balancers; the servers behind them are stand-ins. `benchmarks/rollout_traffic.py` is the long version.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from balancer_testing import VERSIONS, Processes, Serving, listens, until
from envoy_testing import Envoy
from haproxy_testing import Haproxy
from load_testing import Client, Load
from traffic_conformance import prepared, settled

from tfx_pedigree.json_form import to_json
from tfx_pedigree.rollout.traffic.api import FencedError, Share, TrafficManager, WantedRoutes

HERE = Path(__file__).parent
FIRST, SECOND = VERSIONS[0].digest, VERSIONS[1].digest


@pytest.fixture(params=[Haproxy, Envoy], ids=["haproxy", "envoy"])
def balancer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Haproxy | Envoy]:
    """In front of two servers, each a process of its own; both versions are ready and the first has everything."""
    processes = Processes(tmp_path)
    made = request.param(Serving(tmp_path / "models", processes), tmp_path)
    try:
        made.serving.start(together=False)
        made.start()
        bench = made.bench()
        manager = bench.manager()
        prepared(manager, VERSIONS[0], bench)
        manager.apply(WantedRoutes.all_to(FIRST), epoch=1)
        settled(manager, WantedRoutes.all_to(FIRST), bench)
        prepared(manager, VERSIONS[1], bench)
        yield made
    finally:
        processes.stop()
        made.stop()


def at_25(manager: TrafficManager, balancer: Haproxy | Envoy, lease: float) -> WantedRoutes:
    wanted = WantedRoutes.two(FIRST, SECOND, 2500, lease)
    manager.apply(wanted, epoch=1)
    settled(manager, wanted, balancer.bench())
    return wanted


def test_no_request_is_lost_over_changes_of_shares_a_promotion_and_reloads(balancer: Haproxy | Envoy) -> None:
    manager = balancer.bench().manager()
    routes = [WantedRoutes.two(FIRST, SECOND, points, 30) for points in (100, 2500, 5000, 0, 7500)]
    routes += [WantedRoutes.all_to(SECOND, FIRST), WantedRoutes.two(SECOND, FIRST, 2000, 30)]
    routes += [WantedRoutes.all_to(FIRST, SECOND)]
    with Load(balancer.port) as load:
        for at, wanted in enumerate(routes):
            manager.apply(wanted, epoch=1)
            settled(manager, wanted, balancer.bench())
            if at in (1, 5):
                balancer.reload()
                settled(balancer.bench().manager(), wanted, balancer.bench())
            time.sleep(0.1)
    assert not load.failures
    assert load.answers[1] > 100
    assert load.answers[2] > 100


def test_a_controller_that_is_killed_leaves_no_share_to_the_candidate(balancer: Haproxy | Envoy) -> None:
    lease = 1.5
    wanted = WantedRoutes.two(FIRST, SECOND, 2500, lease)
    arguments = [balancer.KIND, json.dumps(plain_settings(balancer)), json.dumps(to_json(wanted)), "2"]
    command = [sys.executable, str(HERE / "renewing_process.py"), *arguments]
    controller = subprocess.Popen(command, stdout=subprocess.PIPE)
    observer = balancer.bench().manager()
    with Load(balancer.port) as load:
        try:
            assert controller.stdout is not None
            assert controller.stdout.readline()
            until(lambda: observer.observe().points(SECOND) == 2500, "the candidate has its share")
            time.sleep(2 * lease)
            assert observer.observe().points(SECOND) == 2500
        finally:
            controller.kill()
            controller.wait()
            killed = time.monotonic()
        until(lambda: observer.observe().points(SECOND) == 0, "the share is over")
        took = time.monotonic() - killed
        time.sleep(0.1)
        before = load.answers
        time.sleep(0.3)
        after = load.answers
    assert took < lease + 0.5
    assert after[1] > before[1]
    assert after[2] == before[2] > 0
    assert not load.failures
    with pytest.raises(FencedError):
        observer.apply(wanted, epoch=1)


def plain_settings(balancer: Haproxy | Envoy) -> dict[str, object]:
    found = balancer.settings.table()
    places = [{key: one.value for key, one in place.table().items()} for place in found.pop("places").items()]
    return {"places": places, **{key: node.value for key, node in found.items()}}


def test_a_load_balancer_that_starts_again_serves_what_it_served(balancer: Haproxy | Envoy) -> None:
    """Also without any controller."""
    manager = balancer.bench().manager()
    wanted = WantedRoutes.all_to(SECOND, FIRST)
    manager.apply(wanted, epoch=4)
    settled(manager, wanted, balancer.bench())
    balancer.serving.processes.kill(balancer.KIND)
    until(lambda: not listens(balancer.port), "nobody listens")
    balancer.launch()
    until(lambda: listens(balancer.port), "it listens again")
    found = balancer.bench().manager().observe()
    assert (found.serving, found.epoch) == (SECOND, 4)
    until(lambda: second_answers(balancer), "the second version answers")


def second_answers(balancer: Haproxy | Envoy) -> bool:
    client = Client(balancer.port)
    client.send(20)
    client.close()
    return not client.failures and client.answers == {2: 20}


def test_copies_go_to_a_version_that_answers_nobody(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    balancer = Envoy(Serving(tmp_path / "models", processes), tmp_path)
    try:
        balancer.serving.start()
        balancer.start()
        bench = balancer.bench()
        manager = bench.manager()
        balancer.serving.behaviour[2] = {"failing": 1}
        prepared(manager, VERSIONS[0], bench)
        manager.apply(WantedRoutes.all_to(FIRST), epoch=1)
        prepared(manager, VERSIONS[1], bench)
        shares = (Share(FIRST, 10_000), Share(SECOND, 0))
        mirrored = WantedRoutes(shares, FIRST, lease_seconds=30, mirror=Share(SECOND, 5000))
        manager.apply(mirrored, epoch=1)
        settled(manager, mirrored, bench)
        until(lambda: manager.observe().lease_left, "the copies are under way")
        assert bench.send(400) == {FIRST: 400}
        until(lambda: (found := manager.counters(SECOND)) and found.requests > 120, "copies are counted")
        found = manager.counters(SECOND)
        assert found is not None
        assert found.requests < 280
        assert found.responses_5xx == found.requests
    finally:
        processes.stop()


def test_a_candidate_that_is_killed_is_seen_although_no_client_saw_it(balancer: Haproxy | Envoy) -> None:
    manager = balancer.bench().manager()
    at_25(manager, balancer, 30)
    with Load(balancer.port) as load:
        time.sleep(0.3)
        before = manager.counters(SECOND)
        balancer.serving.processes.kill("blue")
        until(lambda: (found := manager.counters(SECOND)) and found.up is False, "the check sees it")
        after, stable = manager.counters(SECOND), manager.counters(FIRST)
        manager.apply(WantedRoutes.all_to(FIRST, SECOND), epoch=1)
        time.sleep(0.1)
    assert before is not None
    assert after is not None
    assert stable is not None
    assert (before.failures, before.up, stable.failures) == (0, True, 0)
    assert after.failures > 0
    assert after.process == before.process
    assert not load.failures
    assert load.answers[2] > 0


def test_a_candidate_whose_answers_fail_is_seen_by_its_own_counters(balancer: Haproxy | Envoy) -> None:
    bench = balancer.bench()
    manager = bench.manager()
    balancer.serving.behaviour[3] = {"failing": 0.5}
    prepared(manager, VERSIONS[2], bench)
    third = VERSIONS[2].digest
    wanted = WantedRoutes.two(FIRST, third, 5000, 30)
    manager.apply(wanted, epoch=1)
    settled(manager, wanted, bench)
    with Load(balancer.port) as load:
        until(lambda: (found := manager.counters(third)) and found.responses_5xx > 20, "the failures are counted")
        stable = manager.counters(FIRST)
    assert set(load.failures) == {"500"}
    assert stable is not None
    assert stable.failures == 0


def test_slow_answers_are_counted_for_their_version_alone(balancer: Haproxy | Envoy) -> None:
    bench = balancer.bench()
    manager = bench.manager()
    balancer.serving.behaviour[3] = {"slow": 0.12}
    prepared(manager, VERSIONS[2], bench)
    third = VERSIONS[2].digest
    wanted = WantedRoutes.two(FIRST, third, 5000, 30)
    manager.apply(wanted, epoch=1)
    settled(manager, wanted, bench)
    with Load(balancer.port):
        until(lambda: counted_latency(manager, third) > 20, "answers are counted")
        until(lambda: counted_latency(manager, FIRST) > 20, "answers are counted")
        slow, quick = manager.counters(third), manager.counters(FIRST)
    for found, most in ((slow, 0.0), (quick, 1.0)):
        assert found is not None
        assert found.latency is not None
        within = dict(zip(found.latency.bounds, found.latency.counts, strict=True))[100.0] / found.latency.total
        assert abs(within - most) < 0.1


def counted_latency(manager: TrafficManager, digest: str) -> int:
    found = manager.counters(digest)
    return found.latency.total if found and found.latency else 0

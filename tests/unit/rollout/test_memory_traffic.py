"""The traffic in memory holds what every traffic manager must hold; and it fails when a test wants it to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from traffic_conformance import Bench, TrafficConformance

from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.rollout.traffic.api import WHOLE, Counters, ServedVersion, Share, Split, WantedRoutes
from tfx_pedigree.rollout.traffic.memory import CAPABILITIES, Behaviour, MemoryBalancer, MemoryTraffic


def version(number: int) -> ServedVersion:
    return ServedVersion("penguin", f"sha256:{number:064d}", f"{number}.0.0", number)


EFFECTS = tuple((MemoryTraffic, name) for name in ("prepare", "apply", "retire"))
VERSIONS = (version(1), version(2), version(3))
BROKEN = version(9)


@dataclass
class MemoryBench:
    balancer: MemoryBalancer
    now: list[float] = field(default_factory=lambda: [0.0])
    versions: tuple[ServedVersion, ServedVersion, ServedVersion] = VERSIONS
    broken: ServedVersion = BROKEN

    def manager(self) -> MemoryTraffic:
        return MemoryTraffic(self.balancer)

    def send(self, count: int) -> dict[str, int] | None:
        return self.balancer.send(count)

    def wait(self, seconds: float) -> None:
        self.now[0] += seconds


@pytest.fixture
def bench() -> MemoryBench:
    made = MemoryBench(MemoryBalancer(load_seconds=0.2, broken={version(9).digest}))
    made.balancer.clock = lambda: made.now[0]
    return made


class TestMemory(TrafficConformance):
    effects = EFFECTS


class TestWithoutShares(TrafficConformance):
    """As a backend that only switches, has no counters and no lease."""

    effects = EFFECTS

    @pytest.fixture
    def bench(self, bench: MemoryBench) -> Bench:
        bench.balancer.capabilities = replace(
            CAPABILITIES, step=WHOLE, split=Split.NONE, counters=False, lease=False, mirror=False
        )
        return bench


def test_an_operation_can_fail_before_or_after_it_took_effect(bench: MemoryBench) -> None:
    manager, first = bench.manager(), version(1)
    manager.prepare(first)
    bench.wait(1)

    def fault(point: str) -> None:
        if point == "apply:after":
            raise UnavailableError("the connection was lost")

    bench.balancer.fault = fault
    with pytest.raises(UnavailableError):
        manager.apply(WantedRoutes.all_to(first.digest), epoch=1)
    bench.balancer.fault = lambda point: None
    assert manager.observe().serving == first.digest


def test_a_retry_that_hid_a_failure_is_counted_as_one(bench: MemoryBench) -> None:
    manager = bench.manager()
    for one in (version(1), version(2)):
        manager.prepare(one)
    bench.wait(1)
    manager.apply(WantedRoutes.two(version(1).digest, version(2).digest, 2500), epoch=1)
    bench.balancer.behaviour[version(2).digest] = Behaviour(down=True)
    bench.send(400)
    found = manager.counters(version(2).digest)
    assert found is not None
    assert (found.responses_5xx, found.failures, found.up) == (0, found.requests, False)


def test_one_failure_that_two_counters_saw_is_one_failure() -> None:
    assert Counters("1", 100, responses_5xx=2, connection_errors=3, redispatches=4).failures == 5


@pytest.mark.parametrize(
    "shares",
    [
        (Share("a", 5000),),
        (Share("a", 5000), Share("a", 5000)),
        (Share("a", -1), Share("b", 10_001)),
        (Share("b", 10_000),),
    ],
)
def test_shares_that_are_no_whole_vector_are_refused(shares: tuple[Share, ...]) -> None:
    with pytest.raises(InvalidInputError):
        WantedRoutes(shares, "a")

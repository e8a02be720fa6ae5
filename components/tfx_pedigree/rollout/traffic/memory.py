"""Traffic that exists only in memory: for tests, and to try a plan or a manager of one's own.

`MemoryBalancer` plays the load balancer and its servers: it outlives the controller. `MemoryTraffic` is the manager
that a controller opens on it, as often as it likes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.rollout.traffic.api import (
    WHOLE,
    ArmState,
    Capabilities,
    Convergence,
    Counters,
    Drained,
    Fence,
    Latency,
    Prepared,
    Readiness,
    Receipt,
    RouteState,
    ServedVersion,
    Share,
    Split,
    TrafficManager,
    Verification,
    WantedRoutes,
    check_change,
    check_retirement,
    not_ready,
    wrong_share,
)

CAPABILITIES = Capabilities(
    step=1, split=Split.RANDOM, fence=Fence.EPOCH, counters=True, lease=True, drain=True, mirror=True
)
SLOW_BOUNDS = (10.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
Fault = Callable[[str], None]


@dataclass(frozen=True)
class Behaviour:
    """How a version answers: the chance that a request fails, that a retry hides it, and that an answer is slow."""

    failing: float = 0.0
    hidden: float = 0.0
    slow: float = 0.0
    down: bool = False


@dataclass
class MemoryBalancer:
    """`fault` is called with `apply:before`, `apply:after` and so on, and may raise: a crash or a lost connection."""

    places: tuple[str, ...] = ("blue", "green")
    clock: Callable[[], float] = lambda: 0.0
    load_seconds: float = 0.0
    capabilities: Capabilities = CAPABILITIES
    fault: Fault = lambda point: None
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)  # digests that fail to load
    calls: list[str] = field(default_factory=list)
    _loaded: dict[str, tuple[ServedVersion, float]] = field(default_factory=dict)
    _counters: dict[str, Counters] = field(default_factory=dict)
    _wanted: WantedRoutes | None = None
    _lease_until: float | None = None
    _epoch: int = 0
    _changes: int = 0
    _process: int = 1

    def restart(self) -> None:
        """The load balancer starts again: counting begins anew, and the shares hold."""
        self._process += 1
        self._counters.clear()

    def lose_shares(self) -> None:
        """Somebody else sets everything to the fallback."""
        if self._wanted is not None:
            self._wanted = replace(
                self._wanted,
                shares=tuple(Share(s.digest, WHOLE * (s.digest == self._wanted.fallback)) for s in self._wanted.shares),
            )
            self._changes += 1

    def send(self, count: int, seed: int = 0) -> dict[str, int]:
        """Requests, each given to a version at random by the shares. Returns how many each answered."""
        draw = random.Random(seed)  # noqa: S311  no secret
        shares = {s.digest: s.points for s in self.shares() if s.points}
        chosen = draw.choices(list(shares), list(shares.values()), k=count) if shares else []
        for digest in chosen:
            self._answer(digest, draw)
        mirror = self._wanted.mirror if self._wanted else None
        for _ in range(count if mirror else 0):
            if mirror and draw.random() * WHOLE < mirror.points:
                self._answer(mirror.digest, draw)
        return {digest: chosen.count(digest) for digest in shares}

    def _answer(self, digest: str, draw: random.Random) -> None:
        acts = self.behaviour.get(digest, Behaviour())
        before = self.counted(digest)
        failed = acts.down or draw.random() < acts.failing
        hidden = failed and (acts.down or draw.random() < acts.hidden)
        self._counters[digest] = replace(
            before,
            requests=before.requests + 1,
            responses_5xx=before.responses_5xx + (failed and not hidden),
            redispatches=before.redispatches + hidden,
            up=not acts.down,
            latency=_with_answer(before.latency, slow=draw.random() < acts.slow),
        )

    def counted(self, digest: str) -> Counters:
        empty = Latency(SLOW_BOUNDS, (0,) * len(SLOW_BOUNDS), 0)
        return self._counters.get(digest, Counters(str(self._process), 0, up=True, latency=empty))

    def shares(self) -> tuple[Share, ...]:
        """What is given now: where the lease is over, everything goes to the fallback."""
        wanted = self._wanted
        if wanted is None:
            return ()
        if self._lease_until is None or self.clock() < self._lease_until:
            return wanted.shares
        return tuple(Share(s.digest, WHOLE if s.digest == wanted.fallback else 0) for s in wanted.shares)


def _with_answer(latency: Latency | None, *, slow: bool) -> Latency | None:
    if latency is None:
        return None
    took = 400.0 if slow else 5.0
    counts = tuple(n + (took <= bound and 1) for n, bound in zip(latency.counts, latency.bounds, strict=True))
    return Latency(latency.bounds, counts, latency.total + 1)


class MemoryTraffic(TrafficManager):
    def __init__(self, balancer: MemoryBalancer) -> None:
        self._b = balancer

    def capabilities(self) -> Capabilities:
        return self._b.capabilities

    def prepare(self, version: ServedVersion) -> Prepared:
        self._reach("prepare:before")
        place = self._place_of(version.digest) or self._free_place(version)
        if place not in self._b._loaded:
            self._b._loaded[place] = (version, self._b.clock() + self._b.load_seconds)
        self._reach("prepare:after")
        readiness, reason = self._readiness(place)
        return Prepared(readiness, reason)

    def observe(self) -> RouteState:
        self._reach("observe:before")
        b = self._b
        wanted, shares = b._wanted, {s.digest: s.points for s in b.shares()}
        arms = []
        for place in b.places:
            version = b._loaded[place][0] if place in b._loaded else None
            digest = version.digest if version else None
            readiness, reason = self._readiness(place)
            arms.append(ArmState(place, digest, shares.get(digest or "", 0), readiness, reason, 0))
        left = None if b._lease_until is None else max(0.0, b._lease_until - b.clock())
        return RouteState(tuple(arms), wanted.fallback if wanted else None, b._epoch or None, str(b._changes), left)

    def apply(self, wanted: WantedRoutes, *, epoch: int, expect: str | None = None) -> Receipt:
        self._reach("apply:before")
        b = self._b
        check_change("this model", self.observe(), epoch, expect)
        for share in wanted.shares:
            arm = self._arm(share.digest)
            if share.points and (arm is None or arm.readiness is not Readiness.READY):
                raise not_ready(share.digest, arm)
        if wanted.mirror and not b.capabilities.mirror:
            raise ConflictError("This backend cannot mirror requests.")
        realised = _rounded(wanted, b.capabilities.step)
        b._lease_until = b.clock() + (wanted.lease_seconds or 0) if wanted.leased and b.capabilities.lease else None
        b._changes += realised != b._wanted
        b._wanted, b._epoch = realised, epoch
        self._reach("apply:after")
        return Receipt(realised.shares, str(b._changes))

    def verify(self, wanted: WantedRoutes) -> Verification:
        state = self.observe()
        detail = wrong_share(state, wanted, max(self._b.capabilities.step, 1))
        return Verification(Convergence.CONVERGED if detail is None else Convergence.DIVERGED, state, detail)

    def drain(self, digest: str) -> Drained:
        self._reach("drain:before")
        return Drained(0)

    def retire(self, digest: str) -> None:
        self._reach("retire:before")
        check_retirement(self.observe(), digest)
        place = self._place_of(digest)
        if place is not None:
            del self._b._loaded[place]
        self._reach("retire:after")

    def counters(self, digest: str) -> Counters | None:
        self._reach("counters:before")
        return self._b.counted(digest) if self._b.capabilities.counters and self._place_of(digest) else None

    def _reach(self, point: str) -> None:
        self._b.calls.append(point)
        self._b.fault(point)

    def _place_of(self, digest: str) -> str | None:
        return next((place for place, (version, _) in self._b._loaded.items() if version.digest == digest), None)

    def _free_place(self, version: ServedVersion) -> str:
        """An empty place, else one whose version may be retired."""
        for place in self._b.places:
            if place not in self._b._loaded:
                return place
        state = self.observe()
        for place in self._b.places:
            held = self._b._loaded[place][0].digest
            if not state.points(held) and state.fallback != held:
                del self._b._loaded[place]
                return place
        raise ConflictError(f"Every place serves or is kept, so {version.version} has none. Retire a version first.")

    def _readiness(self, place: str) -> tuple[Readiness, str | None]:
        if place not in self._b._loaded:
            return Readiness.ABSENT, None
        version, ready_at = self._b._loaded[place]
        if version.digest in self._b.broken:
            return Readiness.FAILED, "the model does not load"
        return (Readiness.READY if self._b.clock() >= ready_at else Readiness.LOADING), None

    def _arm(self, digest: str) -> ArmState | None:
        return self.observe().arm(digest)


def _rounded(wanted: WantedRoutes, step: int) -> WantedRoutes:
    """Shares as a backend with this step can give them: others are rounded down, the fallback gets the rest."""
    points = {s.digest: s.points // step * step for s in wanted.shares if s.digest != wanted.fallback}
    points[wanted.fallback] = WHOLE - sum(points.values())
    return replace(wanted, shares=tuple(Share(s.digest, points[s.digest]) for s in wanted.shares))

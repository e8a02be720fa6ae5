"""A traffic manager out of two places and a router: the places hold versions, the router splits the requests.

The router knows places by name and never a version, so that a promotion changes no route. What was put into a place,
what its server says, and what the router's own check says must agree before a version takes traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.rollout.traffic.api import (
    WHOLE,
    ArmState,
    Capabilities,
    Convergence,
    Counters,
    Drained,
    Prepared,
    Readiness,
    Receipt,
    RouteState,
    ServedVersion,
    Share,
    TrafficManager,
    Verification,
    WantedRoutes,
    check_change,
    check_retirement,
    not_ready,
)
from tfx_pedigree.rollout.traffic.places import Place, Places, PlaceState
from tfx_pedigree.text import short_digest


@dataclass(frozen=True)
class Routing:
    """What a router does now. `points` has every place."""

    points: Mapping[str, int]
    fallback: str
    epoch: int | None = None
    etag: str | None = None
    lease_left: float | None = None
    pending: str | None = None  # why what was written is not in force yet
    refused: str | None = None  # why it never will be


@dataclass(frozen=True)
class RouteOrder:
    """What a router is to do. Without `lease_seconds` it holds until it is changed."""

    points: Mapping[str, int]
    fallback: str
    epoch: int
    lease_seconds: float | None = None
    mirror: tuple[str, int] | None = None


class Router(Protocol):
    """Two places in, requests out. `write` is absolute and may be repeated; a repetition renews the lease."""

    def capabilities(self) -> Capabilities: ...

    def read(self) -> Routing: ...

    def write(self, order: RouteOrder, expect: str | None) -> str | None:
        """Gives the new etag. `expect` is checked here only where the router compares it itself."""
        ...

    def up(self, place: str) -> bool | None:
        """What the router's own check says; None where it has none."""
        ...

    def counters(self, place: str) -> Counters | None: ...

    def inflight(self, place: str) -> int | None: ...


class RoutedTraffic(TrafficManager):
    def __init__(self, places: Places, router: Router) -> None:
        self._places = places
        self._router = router

    def capabilities(self) -> Capabilities:
        return self._router.capabilities()

    def prepare(self, version: ServedVersion) -> Prepared:
        with self._places.lock():
            routing = self._router.read()
            free = {name: not points and name != routing.fallback for name, points in routing.points.items()}
            place = self._places.choose(version, free)
            self._places.reserve(place, version)
        filled = self._places.fill(place, version)
        if filled.readiness is Readiness.READY and self._router.up(place.name) is False:
            return Prepared(Readiness.LOADING, f"the load balancer's check has not passed at {place.address} yet")
        return filled

    def observe(self) -> RouteState:
        return self._state(self._router.read(), {place: self._places.state(place) for place in self._places.both})

    def apply(self, wanted: WantedRoutes, *, epoch: int, expect: str | None = None) -> Receipt:
        with self._places.lock():
            routing = self._router.read()
            check_change(self._places.model, routing, epoch, expect)
            if wanted.mirror and not self.capabilities().mirror:
                raise ConflictError("This load balancer cannot mirror requests.")
            order = self._order(wanted, routing, epoch)
            etag = self._router.write(order, expect)
        realised = self._realised(wanted, order)
        return Receipt(realised, etag)

    def verify(self, wanted: WantedRoutes) -> Verification:
        routing = self._router.read()
        states = {place: self._places.state(place) for place in self._places.both}
        state = self._state(routing, states)
        if routing.refused:
            return Verification(Convergence.DIVERGED, state, routing.refused)
        detail = self._difference(wanted, routing)
        if detail is not None:
            return Verification(
                Convergence.PENDING if routing.pending else Convergence.DIVERGED, state, routing.pending or detail
            )
        for place, found in states.items():
            if routing.points[place.name] and found.digest is None:
                detail = f"What {place.name} serves is not known: {found.reason or 'it holds no version of ours'}."
                return Verification(Convergence.PENDING, state, detail)
        return Verification(Convergence.PENDING if routing.pending else Convergence.CONVERGED, state, routing.pending)

    def drain(self, digest: str) -> Drained:
        counts = [self._router.inflight(place.name) for place in self._places.holding(digest)]
        return Drained(None if None in counts else sum(count or 0 for count in counts))

    def retire(self, digest: str) -> None:
        with self._places.lock():
            routing = self._router.read()
            held = {place: self._places.held(place) for place in self._places.both}
            # Also where a server does not answer: what was put there is what it may serve the next moment.
            assumed = {
                place: PlaceState(one, one.digest if one else None, Readiness.READY) for place, one in held.items()
            }
            check_retirement(self._state(routing, assumed), digest)
            for place in self._places.holding(digest):
                self._places.empty(place)

    def counters(self, digest: str) -> Counters | None:
        """Of the place that holds it. A place counts on when its version changes: that begins another process."""
        holding = self._holding(digest, self._router.read())
        found = self._router.counters(holding.name) if holding else None
        return None if found is None else replace(found, process=f"{found.process}/{short_digest(digest)}")

    def _holding(self, digest: str, routing: Routing) -> Place | None:
        return max(self._places.holding(digest), key=lambda place: routing.points[place.name], default=None)

    def _state(self, routing: Routing, states: Mapping[Place, PlaceState]) -> RouteState:
        arms = [
            ArmState(
                place.name,
                found.digest,
                routing.points[place.name],
                found.readiness,
                found.reason,
                self._router.inflight(place.name),
                place.address,
            )
            for place, found in states.items()
        ]
        kept = next((found.held for place, found in states.items() if place.name == routing.fallback), None)
        return RouteState(tuple(arms), kept.digest if kept else None, routing.epoch, routing.etag, routing.lease_left)

    def _order(self, wanted: WantedRoutes, routing: Routing, epoch: int) -> RouteOrder:
        step = self.capabilities().step
        points = dict.fromkeys(routing.points, 0)
        fallback = self._ready(wanted.fallback, wanted, routing)
        for share in wanted.shares:
            if share.points and share.digest != wanted.fallback:
                points[self._ready(share.digest, wanted, routing)] = share.points // step * step
        points[fallback] = WHOLE - sum(points.values())
        mirror = None
        if wanted.mirror and wanted.mirror.points:
            mirror = (self._ready(wanted.mirror.digest, wanted, routing), wanted.mirror.points)
        lease = wanted.lease_seconds if wanted.leased or mirror else None
        return RouteOrder(points, fallback, epoch, lease, mirror)

    def _ready(self, digest: str, wanted: WantedRoutes, routing: Routing) -> str:
        """The place that holds it. It must be ready, but for traffic that it has already or is the last resort for."""
        place = self._holding(digest, routing)
        if place is None:
            raise not_ready(digest, None)
        if wanted.points(digest) <= routing.points[place.name] or place.name == routing.fallback:
            return place.name
        found = self._places.state(place)
        up = self._router.up(place.name)
        if found.readiness is Readiness.READY and up is False:
            found = replace(found, readiness=Readiness.LOADING, reason="the load balancer's check has not passed yet")
        if found.readiness is not Readiness.READY:
            arm = ArmState(place.name, found.digest, 0, found.readiness, found.reason)
            raise not_ready(digest, arm)
        return place.name

    def _realised(self, wanted: WantedRoutes, order: RouteOrder) -> tuple[Share, ...]:
        def given(digest: str) -> int:
            return sum(order.points[place.name] for place in self._places.holding(digest))

        return tuple(Share(share.digest, given(share.digest)) for share in wanted.shares)

    def _difference(self, wanted: WantedRoutes, routing: Routing) -> str | None:
        """Between the wanted routes and those in force, by what was put into the places."""
        for share in wanted.shares:
            found = sum(routing.points[place.name] for place in self._places.holding(share.digest))
            if abs(found - share.points) >= max(self.capabilities().step, 1):
                over = " The lease is over." if routing.lease_left == 0 and wanted.leased else ""
                return f"{short_digest(share.digest)} has {found / 100:g} % instead of {share.points / 100:g} %.{over}"
        kept = next((place for place in self._places.both if place.name == routing.fallback), None)
        held = self._places.held(kept) if kept else None
        if held is None or held.digest != wanted.fallback:
            return (
                f"The last resort is the place {routing.fallback}, which does not hold {short_digest(wanted.fallback)}."
            )
        return None

"""A Gateway API `HTTPRoute`: the weights of two services, one for each place.

Kubernetes refuses a write over a newer state, and the epoch is kept with the route, so that a controller that was
replaced changes nothing. There is no lease: without a controller the weights stay. A gateway's own metrics are not
read: give the judge metrics of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.errors import ConflictError
from tfx_pedigree.rollout.traffic.api import WHOLE, Capabilities, Counters, Fence, ManagerContext, Split
from tfx_pedigree.rollout.traffic.cluster import CLUSTER_KEYS, ClusterObject, ObjectKind, note, open_object, whole_note
from tfx_pedigree.rollout.traffic.places import read_places
from tfx_pedigree.rollout.traffic.routed import RoutedTraffic, RouteOrder, Routing
from tfx_pedigree.text import plain

KIND = ObjectKind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
CAPABILITIES = Capabilities(step=1, split=Split.RANDOM, fence=Fence.EPOCH, counters=False, lease=False, drain=False)


def open_route(settings: ConfigNode, context: ManagerContext) -> RoutedTraffic:
    """`services` says which Service a place has, where it is not called as the place is."""
    found = settings.fields((*CLUSTER_KEYS, "places", "serves_as", "services"), required=("places",))
    places = read_places(settings, context.model, context.materialise)
    names = [place.name for place in places.both]
    services = {name: name for name in names}
    if "services" in found:
        services |= {name: node.text() for name, node in found["services"].fields(names).items()}
    return RoutedTraffic(places, RouteRouter(open_object(KIND, found, settings), services))


class RouteRouter:
    """`services` by place."""

    def __init__(self, route: ClusterObject, services: Mapping[str, str]) -> None:
        self._route = route
        self._services = services

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def read(self) -> Routing:
        found = self._route.read()
        rules = self._rules(found)
        weights = {place: _weight(rules[0][service]) for place, service in self._services.items()}
        if any(_weight(rule[service]) != weights[place] for rule in rules for place, service in self._services.items()):
            raise ConflictError(f"{self._route.title} has rules with different weights. Make them alike.")
        total = sum(weights.values())
        if total <= 0:
            raise ConflictError(f"{self._route.title} sends nothing to {' or '.join(self._services.values())}.")
        points = _points(weights, total)
        fallback = note(found, "fallback")
        if fallback not in points:
            fallback = max(points, key=lambda place: points[place])
        pending, refused = self._status(found)
        return Routing(
            points,
            fallback,
            whole_note(found, "epoch"),
            str(found["metadata"].get("resourceVersion")),
            pending=pending,
            refused=refused,
        )

    def write(self, order: RouteOrder, expect: str | None) -> str | None:
        found = self._route.read()
        changed = copy.deepcopy(found)
        for rule in self._rules(changed):
            for place, service in self._services.items():
                rule[service]["weight"] = order.points[place]
        notes = {"epoch": str(order.epoch), "fallback": order.fallback}
        same = changed == found and all(note(found, key) == value for key, value in notes.items())
        after = found if same else self._route.replace(changed, notes)
        return str(after["metadata"].get("resourceVersion"))

    def up(self, place: str) -> bool | None:
        return None

    def counters(self, place: str) -> Counters | None:
        return None

    def inflight(self, place: str) -> int | None:
        return None

    def _rules(self, found: Mapping[str, Any]) -> list[dict[str, dict[str, Any]]]:
        """The references to our services, of each rule that has both."""
        rules = []
        for rule in (found.get("spec") or {}).get("rules") or ():
            named = {one.get("name"): one for one in rule.get("backendRefs") or () if isinstance(one, dict)}
            if all(service in named for service in self._services.values()):
                rules.append({service: named[service] for service in self._services.values()})
        if not rules:
            raise ConflictError(
                f"{self._route.title} has no rule with the services {' and '.join(self._services.values())}. Name both "
                "as its backendRefs, one with the weight 10000 and one with 0."
            )
        return rules

    def _status(self, found: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Whether each gateway has taken this generation of the route."""
        generation = found["metadata"].get("generation", 0)
        parents = (found.get("status") or {}).get("parents") or ()
        conditions = [one for parent in parents for one in parent.get("conditions") or ()]
        current = [one for one in conditions if one.get("observedGeneration", 0) >= generation]
        for one in current:
            if one.get("type") in ("Accepted", "ResolvedRefs") and one.get("status") == "False":
                said = plain(str(one.get("message") or one.get("reason")), 200)
                return None, f"The gateway refuses the route: {said}"
        accepted = [one for one in current if one.get("type") == "Accepted" and one.get("status") == "True"]
        if not parents or len(accepted) < len(parents):
            return "the gateway has not taken the route's latest state yet", None
        return None, None


def _weight(reference: Mapping[str, Any]) -> int:
    weight = reference.get("weight", 1)
    return weight if isinstance(weight, int) and weight >= 0 else 0


def _points(weights: Mapping[str, int], total: int) -> dict[str, int]:
    (first, _), (second, share) = weights.items()
    points = share * WHOLE // total
    return {first: WHOLE - points, second: points}

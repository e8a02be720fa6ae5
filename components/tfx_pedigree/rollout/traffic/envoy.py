"""Envoy: the weights of its clusters are runtime values, in two layers above each other.

`kept` lies in files below `runtime` and holds without any controller, also over a restart: what serves when no lease
runs. `leased` comes over gRPC with a time to live: while a controller renews it, it covers the layer below; when
nobody does, Envoy drops it by itself. What Envoy's admin interface shows is what is observed, and Envoy's answer over
gRPC, taken or refused, is the verification.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.errors import ConflictError, InvalidInputError, UnavailableError
from tfx_pedigree.rollout.traffic.api import (
    WHOLE,
    Capabilities,
    Counters,
    Fence,
    Latency,
    ManagerContext,
    Split,
)
from tfx_pedigree.rollout.traffic.asking import ask
from tfx_pedigree.rollout.traffic.places import Places, read_address, read_places
from tfx_pedigree.rollout.traffic.protobuf import Value
from tfx_pedigree.rollout.traffic.routed import RoutedTraffic, RouteOrder, Routing
from tfx_pedigree.rollout.traffic.rtds import running_server, shared_server
from tfx_pedigree.store.durable import sync_folder

CAPABILITIES = Capabilities(
    step=1, split=Split.RANDOM, fence=Fence.EPOCH, counters=True, lease=True, drain=True, mirror=True
)
KEYS = "pedigree"  # what all runtime keys begin with
KEPT = "runtime"  # the folder below `current` that Envoy reads
LINK = "current"
_SUFFIX = "_or_other"
_COUNTED = ("upstream_rq_completed", "upstream_rq_5xx", "upstream_rq_retry", "upstream_rq_timeout")


@dataclass(frozen=True)
class EnvoySettings:
    places: Places
    admin: str  # http://host:port of Envoy's admin interface
    listen: str  # host:port at which the controller serves Envoy
    runtime: Path

    @property
    def prefix(self) -> str:
        """Of runtime keys: Envoy looks up a cluster's weight under `pedigree.` and the cluster's name."""
        return f"{KEYS}.{self.places.model}_"

    def cluster(self, name: str) -> str:
        return f"{self.places.model}_{name}"

    @property
    def resource(self) -> str:
        return f"pedigree/{self.places.model}"


def read_settings(settings: ConfigNode, context: ManagerContext) -> EnvoySettings:
    known = ("places", "serves_as", "admin", "controller", "runtime", "listen")
    found = settings.fields(known, required=("places", "admin", "controller", "runtime"))
    runtime = Path(found["runtime"].text())
    if not runtime.is_absolute():
        raise found["runtime"].must_be("an absolute path of a folder; ${here} is the config's folder")
    host, colon, port = found["controller"].text().rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise found["controller"].must_be("where the controller listens for Envoy, as host:port")
    places = read_places(settings, context.model, context.materialise)
    return EnvoySettings(places, read_address(found["admin"]), f"{host}:{port}", runtime)


def open_envoy(settings: ConfigNode, context: ManagerContext) -> RoutedTraffic:
    read = read_settings(settings, context)
    return RoutedTraffic(read.places, EnvoyRouter(read, context.seconds))


def kept_values(places: Places, order: RouteOrder, change: int) -> dict[str, str]:
    """The layer below the lease. Each place answers for itself alone."""
    leased = order.lease_seconds is not None
    points = {place.name: WHOLE * (place.name == order.fallback) for place in places.both} if leased else order.points
    weights = {f"{name}{suffix}": "0" for name in points for suffix in ("", _SUFFIX)}
    weights |= {name: str(one) for name, one in points.items()}
    numbers = {"epoch": str(order.epoch), "change": str(change), "leased": str(int(leased))}
    return {**weights, **numbers, "fallback": order.fallback}


def write_kept(settings: EnvoySettings, values: Mapping[str, str]) -> None:
    """A new folder, then a link that is put in place in one step: Envoy sees the old values or the new ones."""
    root = settings.runtime
    try:
        folder = root / f"values-{uuid.uuid4().hex}"
        inner = folder / KEPT / KEYS
        inner.mkdir(parents=True)
        for name, value in values.items():
            with (inner / settings.cluster(name)).open("w") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(inner)
        before = (root / LINK).resolve()
        draft = root / f".{LINK}-{uuid.uuid4().hex}"
        draft.symlink_to(folder.name)
        draft.replace(root / LINK)
        sync_folder(root)
        for old in root.glob("values-*"):
            if old not in (folder, before):
                shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UnavailableError(f"{root} cannot be written: {error.strerror}. Nothing was changed.") from error


@dataclass(frozen=True)
class RuntimeValues:
    """What the admin interface shows of a model's values: in force, and in the layer that has a lease."""

    final: Mapping[str, str]
    leased: Mapping[str, str]

    def whole(self, name: str) -> int:
        text = self.final.get(name, "")
        return int(text) if text.isdecimal() else 0

    def points(self, name: str) -> int:
        return self.whole(name) + self.whole(f"{name}{_SUFFIX}")


class EnvoyAdmin:
    """Envoy's admin interface: runtime values and statistics."""

    def __init__(self, address: str, prefix: str) -> None:
        self._address = address
        self._prefix = prefix

    def values(self) -> RuntimeValues:
        found = self._ask("/runtime")
        try:
            at = found["layers"].index("leased")
            mine = {
                key.removeprefix(self._prefix): one
                for key, one in found["entries"].items()
                if key.startswith(self._prefix)
            }
            return RuntimeValues(
                {key: str(one["final_value"]) for key, one in mine.items()},
                {key: str(one["layer_values"][at]) for key, one in mine.items() if one["layer_values"][at]},
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ConflictError(
                f"Envoy at {self._address} has no runtime layer `leased`. Write its configuration with "
                "`pedigree rollout template envoy`."
            ) from error

    def process(self) -> str:
        """A mark in a layer that lives as long as the process that counts."""
        mark = self.values().final.get("process")
        if mark is None:
            ask(f"{self._address}/runtime_modify?{self._prefix}process={uuid.uuid4().hex}", "POST")
            mark = self.values().final.get("process", "?")
        return f"envoy-{mark}"

    def first_is_healthy(self, cluster: str) -> bool:
        """Of the hosts of a cluster the first one: that of priority zero."""
        filtered = self._ask(f"/clusters?format=json&filter=^{quote(re.escape(cluster), safe='')}$")
        try:
            hosts = [
                host
                for one in filtered.get("cluster_statuses", ())
                if one["name"] == cluster
                for host in one.get("host_statuses", ())
                if not host.get("priority")
            ]
            healths = [host["health_status"] for host in hosts]
            return any(not one.get("failed_active_health_check") for one in healths)
        except (KeyError, TypeError, AttributeError) as error:
            raise self._strange() from error

    def counts(self, clusters: Sequence[str], names: Sequence[str]) -> dict[tuple[str, str], int]:
        """By cluster and name; zero is not told."""
        found = self._ask(f"/stats?format=json&filter={_stats(clusters, names)}")
        rows = {f"cluster.{cluster}.{name}": (cluster, name) for cluster in clusters for name in names}
        try:
            return {rows[one["name"]]: int(one["value"]) for one in found["stats"] if one.get("name") in rows}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._strange() from error

    def latency(self, clusters: Sequence[str]) -> Latency | None:
        """Of several clusters together, from buckets that are the same for all."""
        query = f"/stats?format=json&histogram_buckets=cumulative&filter={_stats(clusters, ['upstream_rq_time'])}"
        totals: dict[float, int] = {}
        try:
            for row in self._ask(query)["stats"]:
                for histogram in row.get("histograms", ()):
                    for bucket in histogram["buckets"]:
                        bound = float(bucket["upper_bound"])
                        totals[bound] = totals.get(bound, 0) + int(bucket["cumulative"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._strange() from error
        bounds = sorted(totals)
        counts = tuple(totals[bound] for bound in bounds)
        # The last bound is an hour: nothing takes longer.
        return Latency(tuple(bounds), counts, counts[-1]) if counts else None

    def _ask(self, path: str) -> Any:
        answer = ask(f"{self._address}{path}")
        if answer.status != 200:
            raise self._strange()
        try:
            return answer.json(f"the answer of Envoy at {self._address}")
        except InvalidInputError as error:
            raise self._strange() from error

    def _strange(self) -> UnavailableError:
        return UnavailableError(f"{self._address} does not answer as Envoy's admin interface does.")


def _stats(clusters: Sequence[str], names: Sequence[str]) -> str:
    pattern = "|".join(re.escape(one) for one in clusters)
    return quote(f"^cluster\\.({pattern})\\.({'|'.join(names)})$", safe="")


class EnvoyRouter:
    def __init__(self, settings: EnvoySettings, seconds: Callable[[], float]) -> None:
        self._settings = settings
        self._places = settings.places
        self._names = tuple(place.name for place in settings.places.both)
        self._admin = EnvoyAdmin(settings.admin, settings.prefix)
        self._seconds = seconds

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def read(self) -> Routing:
        found = self._admin.values()
        points = {name: found.points(name) for name in self._names}
        if sum(points.values()) != WHOLE:
            raise ConflictError(
                f"Envoy's weights of {self._places.model} are {sum(points.values())} together and not 10,000. Write "
                "its configuration with `pedigree rollout template envoy`, and leave the values to Pedigree."
            )
        fallback = found.final.get("fallback", self._names[0])
        if fallback not in points:
            raise ConflictError(f"Envoy's values name the place {fallback!r}, which the target does not have.")
        until = found.leased.get("until", "")
        left = max(0.0, int(until) / 1000 - self._seconds()) if until.isdecimal() else None
        if left is None and found.whole("leased"):
            left = 0.0
        pending, refused = self._under_way(found)
        return Routing(
            points, fallback, found.whole("epoch") or None, str(found.whole("change")), left, pending, refused
        )

    def write(self, order: RouteOrder, expect: str | None) -> str | None:
        found = self._admin.values()
        leased = order.lease_seconds is not None
        listen = self._settings.listen
        server = shared_server(listen) if leased else running_server(listen)
        now = (found.whole("epoch"), bool(found.whole("leased")), found.final.get("fallback"))
        points = {name: found.points(name) for name in self._names}
        change = found.whole("change")
        if now != (order.epoch, leased, order.fallback) or points != order.points:
            change += 1
            write_kept(self._settings, kept_values(self._places, order, change))
        if server is not None:
            server.publish(self._settings.resource, self._layer(order) if leased else {}, order.lease_seconds)
        return str(change)

    def up(self, place: str) -> bool | None:
        """Each cluster has a check of its own, and its first host is the place's."""
        return all(self._admin.first_is_healthy(cluster) for cluster in self._clusters(place))

    def counters(self, place: str) -> Counters | None:
        """A retry is a request that the place failed, whoever answered it at last."""
        clusters = self._clusters(place)
        found = self._admin.counts(clusters, _COUNTED)

        def both(name: str) -> int:
            return sum(found.get((cluster, name), 0) for cluster in clusters)

        return Counters(
            self._admin.process(),
            both("upstream_rq_completed"),
            responses_5xx=both("upstream_rq_5xx"),
            retries=both("upstream_rq_retry"),
            timeouts=both("upstream_rq_timeout"),
            up=self.up(place),
            latency=self._admin.latency(clusters),
        )

    def inflight(self, place: str) -> int | None:
        clusters = self._clusters(place)
        return sum(self._admin.counts(clusters, ["upstream_rq_active"]).values())

    def _clusters(self, place: str) -> list[str]:
        return [self._settings.cluster(place), self._settings.cluster(f"{place}{_SUFFIX}")]

    def _layer(self, order: RouteOrder) -> dict[str, Value]:
        """A place under trial goes with the other, which answers what it fails; the fallback goes alone."""
        layer: dict[str, Value] = {}
        for name in self._names:
            alone = name == order.fallback
            layer[name] = order.points[name] if alone else 0
            layer[f"{name}{_SUFFIX}"] = 0 if alone else order.points[name]
            mirrored = order.mirror[1] if order.mirror and order.mirror[0] == name else 0
            layer[f"{name}_mirror"] = {"numerator": mirrored, "denominator": "TEN_THOUSAND"}
        layer["until"] = str(round((self._seconds() + (order.lease_seconds or 0)) * 1000))
        return {f"{self._settings.prefix}{key}": value for key, value in layer.items()}

    def _under_way(self, found: RuntimeValues) -> tuple[str | None, str | None]:
        """Why what was written is not in force yet, and why it never will be."""
        server = running_server(self._settings.listen)
        delivery = server.delivery(self._settings.resource) if server else None
        if delivery is None or delivery.published is None:
            other = found.leased and not found.whole("leased")
            return ("the lease of another controller is not over yet" if other else None), None
        if delivery.refused:
            return None, delivery.refused
        wanted = str(delivery.published.get(f"{self._settings.prefix}until", ""))
        if wanted == found.leased.get("until", ""):
            return None, None
        if not delivery.connected:
            return f"no Envoy is connected to the controller at {self._settings.listen}", None
        return "Envoy has not taken the latest shares yet", None

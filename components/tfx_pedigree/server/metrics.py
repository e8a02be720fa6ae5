"""`/metrics`: the registry and this server as Prometheus reads them.

Gauges are what the database holds now, counters what its log adds up to: restarts and replicas agree. Only the time
that requests took is a process's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tfx_pedigree import __version__
from tfx_pedigree.registry import Action, Gauges, Registry, Told
from tfx_pedigree.server.context import RouteGroup, Server
from tfx_pedigree.server.timing import DURATIONS, shared_folder

# Several Prometheus servers, and people, may ask at once: the database is asked once.
FRESH = 5.0


@dataclass
class Numbers:
    """The last answer of the database, asked anew when it is older than `FRESH`."""

    registry: Registry
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: float = -FRESH
    _gauges: Gauges | None = None
    _told: dict[Told, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._counts = self.registry.log_counts()

    def now(self) -> tuple[Gauges, dict[Told, int]]:
        with self._lock:
            if self._gauges is None or time.monotonic() - self._asked >= FRESH:
                self._told = self._counts.up_to_date()
                self._gauges = self.registry.gauges()
                self._asked = time.monotonic()
            return self._gauges, self._told


class RegistryCollector(Collector):
    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def describe(self) -> Sequence[Metric]:
        """Does not query the database before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        gauges, told = self._numbers.now()
        yield from _gauges(gauges)
        yield from _counters(told)
        info = GaugeMetricFamily("pedigree_build_info", "The release that answers.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info


def _gauges(found: Gauges) -> Iterator[Metric]:
    champion = GaugeMetricFamily(
        "pedigree_champion_info", "The version in production; always 1.", labels=["model", "version", "digest"]
    )
    since = GaugeMetricFamily("pedigree_champion_since_timestamp_seconds", "Since when it serves.", labels=["model"])
    created = GaugeMetricFamily("pedigree_champion_created_timestamp_seconds", "When it was made.", labels=["model"])
    for one in found.champions:
        champion.add_metric([one.model, one.version, one.digest], 1)
        since.add_metric([one.model], one.since.timestamp())
        created.add_metric([one.model], one.created_at.timestamp())
    versions = GaugeMetricFamily("pedigree_versions", "Versions by state.", labels=["model", "state"])
    for model, state, count in found.versions:
        versions.add_metric([model, state], count)
    yield from (champion, since, created, versions, *_observed(found))


def _observed(found: Gauges) -> Iterator[Metric]:
    labels = ["model", "version", "metric"]
    value = GaugeMetricFamily("pedigree_observed_value", "What was observed last of the champion.", labels=labels)
    when = GaugeMetricFamily("pedigree_observed_timestamp_seconds", "When that time ended.", labels=labels)
    for one in found.observed:
        value.add_metric([one.model, one.version, one.metric], one.value)
        when.add_metric([one.model, one.version, one.metric], one.ended_at.timestamp())
    yield from (value, when)


def _counters(told: dict[Told, int]) -> Iterator[Metric]:
    promotions = CounterMetricFamily("pedigree_promotions", "Promotions by their outcome.", labels=["model", "outcome"])
    verdicts = CounterMetricFamily("pedigree_gate_verdicts", "Verdicts of the gate.", labels=["model", "verdict"])
    plain = {
        "rollback": CounterMetricFamily("pedigree_rollbacks", "Rollbacks.", labels=["model"]),
        "register": CounterMetricFamily("pedigree_registrations", "Versions that were registered.", labels=["model"]),
        "refuse": CounterMetricFamily("pedigree_refusals", "What a role did not allow.", labels=["model"]),
    }
    events = CounterMetricFamily("pedigree_events", "Events of the audit log.", labels=["action"])
    by_action: dict[str, int] = {}
    for one, count in sorted(told.items(), key=lambda item: (item[0].model, item[0].action, item[0].outcome)):
        by_action[one.action] = by_action.get(one.action, 0) + count
        if one.action == "promote":
            promotions.add_metric([one.model, one.outcome], count)
        elif one.action == "attach-evidence" and one.outcome:
            verdicts.add_metric([one.model, one.outcome], count)
        elif one.action in plain:
            plain[one.action].add_metric([one.model], count)
    for action, count in sorted(by_action.items()):
        events.add_metric([action], count)
    yield from (promotions, verdicts, *plain.values(), events)


def _routes(server: Server) -> Sequence[BaseRoute]:
    own = CollectorRegistry()
    own.register(RegistryCollector(Numbers(server.registry)))
    _add_durations(own)

    def answer(request: Request) -> bytes:
        server.acting(request).require(Action.READ)
        return generate_latest(own)

    async def metrics(request: Request) -> Response:
        return Response(await server.ask(answer, request), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/metrics", metrics)]


def _add_durations(own: CollectorRegistry) -> None:
    """The counters of all processes. With several processes, they share their counts in files."""
    if folder := shared_folder():
        multiprocess.MultiProcessCollector(own, path=folder)  # type: ignore[no-untyped-call]
    else:
        own.register(DURATIONS)


METRICS = RouteGroup("metrics", _routes)

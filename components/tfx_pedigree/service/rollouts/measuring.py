"""What a controller measures beside the load balancer's counts: a plan's metrics, and what both versions answered."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.registry import RegistryApi
from tfx_pedigree.rollout.answers import Answered
from tfx_pedigree.rollout.pairing import Pairs
from tfx_pedigree.rollout.plan import MetricRule
from tfx_pedigree.rollout.prometheus import PrometheusMetrics
from tfx_pedigree.rollout.response_log import AnswerReader, LogPosition, ResponseLog
from tfx_pedigree.rollout.state import Rollout
from tfx_pedigree.rollout.targets import ServingTarget
from tfx_pedigree.rollout.traffic.api import ServedVersion

MOST = 200  # observations


@dataclass(frozen=True)
class Measures:
    """A plan's metrics: asked of Prometheus where they have a query, else what was observed of the version since then
    (`pedigree observe`), on the average."""

    registry: RegistryApi
    prometheus: PrometheusMetrics

    def measure(self, rule: MetricRule, version: ServedVersion, since: datetime) -> float | None:
        if rule.query is not None:
            return self.prometheus.measure(rule.query, version)
        page = self.registry.observations(version.model, version.version, metric=rule.name, since=since, limit=MOST)
        return statistics.fmean(one.value for one in page.items) if page.items else None


@dataclass
class ResponseLogs:
    """What both versions of each rollout answered, from its target's response log."""

    target: Callable[[str, str], ServingTarget]
    _readers: dict[tuple[str, int], AnswerReader] = field(default_factory=dict)

    def read(self, rollout: Rollout, position: LogPosition | None) -> tuple[Answered, LogPosition]:
        key = (rollout.model, rollout.number)
        if key not in self._readers:
            self._readers = {old: one for old, one in self._readers.items() if old[0] != rollout.model}
            self._readers[key] = self._open(rollout)
        return self._readers[key].read(position)

    def _open(self, rollout: Rollout) -> AnswerReader:
        place, rule = self.target(rollout.model, rollout.order.target), rollout.order.plan.judge.answers
        if place.responses is None or rule is None or rollout.stable is None:
            raise not_named(place, rollout, "responses", "response log")
        log = ResponseLog(place.responses, {rollout.model, place.serves_as})
        return AnswerReader(log, Pairs(rule, rollout.stable, rollout.candidate))


def not_named(place: ServingTarget, rollout: Rollout, key: str, what: str) -> UnavailableError:
    return UnavailableError(
        f"The plan needs a {what}, and the target {place.name} names none. Add `{key}:` to it in {place.file}, or "
        f"abort with `pedigree rollout abort {rollout.model} --reason WHY`."
    )

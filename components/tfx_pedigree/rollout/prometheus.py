"""Numbers of both versions from Prometheus, for the plan's metrics. What it does not answer is not known.

`$version`, `$digest` and `$model` in a query stand for the version that is asked about.
"""

from __future__ import annotations

import math
import string
import urllib.parse
from collections.abc import Mapping

from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.rollout.judge import Increment
from tfx_pedigree.rollout.plan import CountQueries
from tfx_pedigree.rollout.traffic.api import Counters, ServedVersion
from tfx_pedigree.rollout.traffic.asking import ask

VARIABLE = "PEDIGREE_PROMETHEUS"
# The `process` of counters that are sums over many.
SUMMED = "prometheus"
_SECONDS = 2.0


class PrometheusMetrics:
    """`PEDIGREE_PROMETHEUS` is its address, as http://prometheus:9090."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get(VARIABLE, "").rstrip("/")
        if self._address and not self._address.startswith(("http://", "https://")):
            raise InvalidInputError(f"{VARIABLE} must be an address such as http://prometheus:9090.")

    def summed(self, queries: CountQueries, version: ServedVersion) -> Counters | None:
        try:
            found = self.counts((queries.requests, queries.failed), version)
        except UnavailableError:
            return None
        return Counters(SUMMED, found.requests, found.failures)

    def counts(self, queries: tuple[str, str], version: ServedVersion) -> Increment:
        """Requests and failures of a version, for who needs them now."""
        found = [self.measure(query, version) for query in queries]
        if None in found or any(one is not None and not 0 <= one < 2**53 for one in found):
            where = self._address or f"no Prometheus, as {VARIABLE} is not set"
            raise UnavailableError(
                f"The requests and failures of {version.version} are not known: {where} has not exactly one number "
                "from 0 on for each query."
            )
        requests, failed = (round(one or 0) for one in found)
        return Increment(max(requests, failed), failed)

    def measure(self, template: str, version: ServedVersion) -> float | None:
        """The number that the query has for this version; None where there is not exactly one."""
        if not self._address:
            return None
        names = {"version": version.version, "digest": version.digest, "model": version.model}
        query = string.Template(template).safe_substitute(names)
        url = f"{self._address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            answer = ask(url, seconds=_SECONDS)
            data = answer.json("Prometheus's answer") if answer.status == 200 else None
        except (UnavailableError, InvalidInputError):
            return None
        return _only_number(data)


def _only_number(data: object) -> float | None:
    try:
        (sample,) = data["data"]["result"]  # type: ignore[index]
        found = float(sample["value"][1])
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return found if math.isfinite(found) else None

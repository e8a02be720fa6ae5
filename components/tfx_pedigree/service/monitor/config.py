"""The section `monitor:` of a config file: which queries are asked where, how often, and of which model.

monitor:
  sources:
    prometheus: {url: "http://prometheus:9090", private: true, token_env: PROMETHEUS_TOKEN}
  watches:
    - model: flight-delay
      source: prometheus
      every: 1h
      metrics:
        auc: avg_over_time(model_auc{model="flight-delay"}[$window])
      examples: sum(increase(predictions_total{model="flight-delay"}[$window]))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from tfx_pedigree.comparison.config_reader import ConfigNode, from_yaml, optional
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.pipeline_config import config_text, filled
from tfx_pedigree.registry import NewObservation, check_model_name
from tfx_pedigree.retraining.rules import read_time

SECTION = "monitor"
# A pass asks for no more windows of one watch, however long nobody looked.
MOST_WINDOWS = 500
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=31)
_DELAY = timedelta(minutes=1)
_HISTORY = 24  # windows
_MOST_SAMPLES = 10_000
_LONGEST_QUERY = 4096


class Take(str, Enum):
    """What a range of samples becomes."""

    MEAN = "mean"
    LEAST = "min"
    MOST = "max"
    LAST = "last"
    SUM = "sum"


@dataclass(frozen=True)
class Query:
    """Asked at the end of a window; with a `step`, over all of it, of which `take` makes one number."""

    text: str
    step: timedelta | None = None
    take: Take = Take.MEAN


@dataclass(frozen=True)
class Source:
    """`token` is sent as Bearer; `private`: whether the address may be one of a network of one's own."""

    name: str
    url: str
    private: bool = False
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Watch:
    """`every` is a window's length; windows begin at its multiples. A window is asked for when it ended `delay` ago,
    and no more when that is longer ago than `history`. `version_label` names the label of an answer that says of which
    version it is; without it an answer is of the champion."""

    model: str
    source: str
    metrics: Mapping[str, Query]
    every: timedelta
    examples: Query | None = None
    version_label: str | None = None
    delay: timedelta = _DELAY
    history: timedelta = timedelta(days=1)

    @property
    def told_source(self) -> str:
        """Of its observations."""
        return f"monitor {self.source}"


@dataclass(frozen=True)
class MonitorConfig:
    sources: Mapping[str, Source]
    watches: tuple[Watch, ...]


def load_monitor(file: Path | None, environ: Mapping[str, str]) -> MonitorConfig:
    if file is None:
        raise NotFoundError(f"No config says what to monitor. Name a file with a section `{SECTION}:` with --config.")
    whole = from_yaml(config_text(file).decode(errors="replace"), str(file))
    section = whole.table().get(SECTION)
    if section is None or section.is_null:
        raise NotFoundError(f"{file} has no section `{SECTION}:`, so there is nothing to monitor.")
    found = section.fields(("sources", "watches"), ("sources", "watches"))
    sources = {name: _source(file, name, one, environ) for name, one in found["sources"].table().items()}
    watches = found["watches"].each(lambda one: _watch(one, sources))
    for at, watch in enumerate(watches):
        for other in watches[:at]:
            same = sorted(set(watch.metrics) & set(other.metrics))
            if same and (watch.model, watch.source, watch.every) == (other.model, other.source, other.every):
                raise found["watches"].wrong(f"asks for {same[0]} of {watch.model} twice. Leave one of them out.")
    return MonitorConfig(sources, watches)


def _source(file: Path, name: str, place: ConfigNode, environ: Mapping[str, str]) -> Source:
    found = place.fields(("url", "private", "token_env"), ("url",))
    _named(place, name, "source")
    url = str(filled(file, found["url"].text(), environ)).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise found["url"].must_be("an address such as http://prometheus:9090, without a name or password in it")
    variable = optional(found, "token_env", ConfigNode.text)
    token = environ.get(variable) if variable else None
    if variable and not token:
        raise found["token_env"].wrong(f"names the environment variable {variable}, which is not set.")
    if token and not (token.isascii() and token.isprintable()):
        raise found["token_env"].wrong(f"names the environment variable {variable}, which holds no token.")
    return Source(name, url, bool(optional(found, "private", ConfigNode.truth)), token)


def _named(place: ConfigNode, name: str, what: str) -> str:
    if len(name) > 60 or not name.isprintable() or not name.strip():
        raise place.wrong(f"cannot name a {what}: use at most 60 printable characters.")
    return name


def _watch(place: ConfigNode, sources: Mapping[str, Source]) -> Watch:
    keys = ("model", "source", "metrics", "every", "examples", "version_label", "delay", "history")
    found = place.fields(keys, keys[:4])
    model, source = check_model_name(found["model"].text()), found["source"].text()
    if source not in sources:
        raise found["source"].must_be(f"one of `sources`: {', '.join(sources) or 'none is there'}")
    metrics = {name: _query(one) for name, one in found["metrics"].table().items()}
    _check_observable(found["metrics"], metrics)
    every = _time(found["every"], _SHORTEST, _LONGEST)
    delay = optional(found, "delay", lambda one: _time(one, timedelta(0), _LONGEST))
    history = optional(found, "history", lambda one: _time(one, every, every * MOST_WINDOWS))
    for query in metrics.values():
        if query.step is not None and every / query.step > _MOST_SAMPLES:
            raise found["every"].wrong(f"is more than {_MOST_SAMPLES} steps of a query. Make the steps longer.")
    return Watch(
        model,
        source,
        metrics,
        every,
        optional(found, "examples", _query),
        optional(found, "version_label", ConfigNode.text),
        _DELAY if delay is None else delay,
        every * _HISTORY if history is None else history,
    )


def _check_observable(place: ConfigNode, metrics: Iterable[str]) -> None:
    """What the registry would refuse later is refused here."""
    moment = datetime(2000, 1, 1, tzinfo=timezone.utc)
    try:
        NewObservation(dict.fromkeys(metrics, 0.0), moment, moment)
    except InvalidInputError as error:
        raise place.wrong(f"cannot be observed: {error}") from None


def _query(place: ConfigNode) -> Query:
    if not isinstance(place.value, dict):
        return Query(_query_text(place))
    found = place.fields(("query", "step", "take"), ("query",))
    step = optional(found, "step", lambda one: _time(one, timedelta(seconds=1), _LONGEST))
    take = optional(found, "take", lambda one: one.choice(Take))
    if take is not None and step is None:
        raise place.wrong("has `take`, but no `step`: only a query with steps answers with several samples.")
    return Query(_query_text(found["query"]), step, take or Take.MEAN)


def _query_text(place: ConfigNode) -> str:
    text = place.text()
    if not text.strip() or len(text) > _LONGEST_QUERY:
        raise place.must_be(f"a query of 1 to {_LONGEST_QUERY} characters")
    return text


def _time(place: ConfigNode, least: timedelta, most: timedelta) -> timedelta:
    found = read_time(place.any_text())
    if found is None or not least <= found <= most:
        raise place.must_be(f"a length of time such as 1h, from {_shown(least)} to {_shown(most)}")
    return found


def _shown(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds and seconds % unit == 0:
            return f"{seconds // unit}{name}"
    return f"{seconds}s"

"""Questions to a Prometheus server, over its HTTP API. What it answers is bounded and checked field by field."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.service.monitor.config import Query, Source, Take
from tfx_pedigree.service.monitor.windows import Window
from tfx_pedigree.service.outgoing import host_of, path_of, pool_of
from tfx_pedigree.text import plain

_SECONDS = 10.0
_LARGEST = 4 << 20
_CHUNK = 64 << 10
_MOST_SERIES = 1000
_TAKEN: dict[Take, Callable[[Sequence[float]], float]] = {
    Take.MEAN: lambda values: math.fsum(values) / len(values),
    Take.LEAST: min,
    Take.MOST: max,
    Take.LAST: lambda values: values[-1],
    Take.SUM: math.fsum,
}


@dataclass(frozen=True)
class Answer:
    """One series of an answer as one number."""

    labels: Mapping[str, str]
    value: float


def ask(source: Source, query: Query, model: str, window: Window) -> tuple[Answer, ...]:
    """UnavailableError where the server does not answer, InvalidInputError where it answers something else than was
    asked for. A value that is no number is left out."""
    seconds = int((window.ended_at - window.began_at).total_seconds())
    text = query.text.replace("$window", f"{seconds}s").replace("$model", model)
    if query.step is None:
        asked = {"query": text, "time": _moment(window.ended_at)}
        return _series(_get(source, "query", asked), "vector", lambda one: _sample(one.get("value")))
    # The first sample of a range lies at its beginning, and belongs to the window before.
    first = window.began_at + min(query.step, timedelta(seconds=seconds))
    asked = {"query": text, "start": _moment(first), "end": _moment(window.ended_at)}
    found = _get(source, "query_range", {**asked, "step": f"{int(query.step.total_seconds())}s"})
    return _series(found, "matrix", lambda one: _of_range(one.get("values"), query.take))


def _moment(when: datetime) -> str:
    return f"{when.timestamp():.3f}"


def _get(source: Source, operation: str, asked: Mapping[str, str]) -> Any:
    import urllib3  # noqa: PLC0415  slow to load, and only who asks needs it

    url = f"{source.url}/api/v1/{operation}?{urlencode(asked)}"
    headers = {"host": host_of(url), "accept": "application/json"}
    if source.token:
        headers["authorization"] = f"Bearer {source.token}"
    until = time.monotonic() + _SECONDS
    try:
        with pool_of(url, private=source.private) as pool:
            response = pool.urlopen(
                "GET",
                path_of(url),
                headers=headers,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(total=_SECONDS),
                preload_content=False,
                decode_content=False,
            )
            try:
                body = _read(response, until)
            finally:
                response.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(f"{source.name} does not answer: {plain(str(error), 200)}") from None
    if response.status != 200:
        said = plain(body[:300].decode(errors="replace").strip(), 200)
        kind = InvalidInputError if response.status in (400, 422) else UnavailableError
        raise kind(f"{source.name} answered {response.status}{f': {said}' if said else ''}")
    return parse_json(body, f"the answer of {source.name}", largest=_LARGEST)


def _read(response: Any, until: float) -> bytes:
    """A server that sends a byte a second is not waited for: what is there is taken, and not a whole piece waited for.
    urllib3 has `read1` itself since 2.0; before, only the response beneath does."""
    take = getattr(response, "read1", None) or response._fp.read1
    parts, size = [], 0
    while chunk := take(_CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > _LARGEST:
            raise OSError(f"its answer has more than {_LARGEST >> 20} MiB")
        if time.monotonic() > until:
            raise OSError(f"its answer took more than {_SECONDS:g} seconds")
    return b"".join(parts)


def _series(found: Any, kind: str, number: Callable[[Mapping[str, Any]], float | None]) -> tuple[Answer, ...]:
    data = found.get("data") if isinstance(found, Mapping) and found.get("status") == "success" else None
    result = data.get("result") if isinstance(data, Mapping) else None
    answered = data.get("resultType") if isinstance(data, Mapping) else None
    if kind == "vector" and answered == "scalar":
        result, answered = [{"metric": {}, "value": result}], "vector"
    if answered != kind or not isinstance(result, list):
        raise InvalidInputError(f"a {kind} was asked for, and {plain(str(answered), 40)} was answered")
    if len(result) > _MOST_SERIES:
        raise InvalidInputError(f"{len(result)} series were answered, and {_MOST_SERIES} are the most. Sum them")
    answers = []
    for one in result:
        labels = one.get("metric") if isinstance(one, Mapping) else None
        if not isinstance(labels, Mapping) or not all(isinstance(label, str) for label in labels.values()):
            raise InvalidInputError("a series of the answer has no labels")
        value = number(one)
        if value is not None:
            answers.append(Answer(dict(labels), value))
    return tuple(answers)


def _sample(pair: Any) -> float | None:
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], str):
        raise InvalidInputError("a sample of the answer is no time with a value")
    try:
        found = float(pair[1])
    except ValueError:
        raise InvalidInputError(f"a sample of the answer has the value {plain(pair[1], 40)!r}") from None
    return found if math.isfinite(found) else None


def _of_range(values: Any, take: Take) -> float | None:
    if not isinstance(values, list):
        raise InvalidInputError("a series of the answer has no values")
    numbers = [value for pair in values if (value := _sample(pair)) is not None]
    if not numbers:
        return None
    found = _TAKEN[take](numbers)
    return found if math.isfinite(found) else None

"""TensorFlow Serving's own log of requests: records of PredictionLog, read without TensorFlow.

A request has no id there, so what was asked stands for it: the same inputs, whoever answered them. Predict, classify
and regress are read; a version is named by its number, which is its sequence in the registry.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterator
from typing import Any

from tfx_pedigree.rollout.pairing import LoggedAnswer
from tfx_pedigree.versioning.tensor_values import tensor_values
from tfx_pedigree.versioning.wire import Span, WireError, reading, whole
from tfx_pedigree.versioning.wire_writing import run

_MOST_FIELDS = 300_000
_MOST_OUTPUTS = 1000
_MOST_EXAMPLES = 10_000
_CLASSIFY, _REGRESS, _PREDICT = 2, 3, 6


def logged_answer(record: bytes, models: Collection[str]) -> LoggedAnswer | None:
    """None for what is no such record, and for another model's: one server's log may hold several."""
    try:
        with reading(_MOST_FIELDS):
            return _answer(whole(record), models)
    except WireError:
        return None


def _answer(log: Span, models: Collection[str]) -> LoggedAnswer | None:
    kind = next((field for field in (_PREDICT, _CLASSIFY, _REGRESS) if _is_there(log.message(field))), None)
    if kind is None:
        return None
    request, response = log.message(kind).message(1), log.message(kind).message(2)
    for spec in (response.message(2), request.message(1), log.message(1).message(1)):
        number = spec.message(2).number(1)
        if number > 0 and spec.message(1).text() in models:
            outputs = _predicted(response) if kind == _PREDICT else _results(response.message(1), kind)
            return LoggedAnswer(str(number), _asked(request, kind), outputs)
    return None


def _is_there(span: Span) -> bool:
    return span.stop > span.start


def _predicted(response: Span) -> dict[str, Any]:
    found = {}
    for entry in response.messages(1, _MOST_OUTPUTS, "outputs"):
        try:
            found[entry.message(1).text()] = tensor_values(entry.message(2))
        except WireError:  # a resource, say: the others can be compared all the same
            continue
    return dict(sorted(found.items()))


def _results(result: Span, kind: int) -> dict[str, Any]:
    """As the REST interface gives them."""
    rows = result.messages(1, _MOST_EXAMPLES, "results")
    if kind == _REGRESS:
        return {"results": [_single(row, 1) for row in rows]}
    return {
        "results": [
            [[one.message(1).text(), _single(one, 2)] for one in row.messages(1, _MOST_OUTPUTS, "classes")]
            for row in rows
        ]
    }


def _single(message: Span, field: int) -> float:
    """The last float under a field number; zero if there is none."""
    bits = message.number(field) % (1 << 32)
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def _asked(request: Span, kind: int) -> str:
    """What stands for the request. Entries of a map come in any order."""
    digest = hashlib.sha256(run(1, request.message(1).message(3).raw()))
    parts = _inputs(request) if kind == _PREDICT else _examples(request.message(2))
    for part in parts:
        digest.update(run(2, part))
    return digest.hexdigest()


def _inputs(request: Span) -> Iterator[bytes]:
    yield from sorted(one.raw() for one in request.messages(2, _MOST_OUTPUTS, "inputs"))
    yield from sorted(run(3, one.raw()) for one in request.messages(3, _MOST_OUTPUTS, "names"))


def _examples(given: Span) -> Iterator[bytes]:
    for examples in (given.message(1), given.message(2)):
        for example in (*examples.messages(1, _MOST_EXAMPLES, "examples"), examples.message(2)):
            features = example.message(1).messages(1, _MOST_OUTPUTS, "features")
            yield b"".join(run(1, feature) for feature in sorted(one.raw() for one in features))

"""Answers that come line by line (NDJSON): one JSON object a line, and a last one that says how it ended.

Without that last line nobody could tell a whole answer from one that was cut off.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import PedigreeError, UnavailableError
from tfx_pedigree.json_form import read, to_json
from tfx_pedigree.wire.operation import Operation
from tfx_pedigree.wire.problem import Problem, error_of, problem_of

NDJSON = "application/x-ndjson"
_END = b'{"end":true}\n'
# Together, so that neither threads nor sockets are gone through for each of a million lines.
_PIECE = 64 << 10


def write_lines(items: Iterable[Any]) -> Generator[bytes, None, None]:
    """Pieces of some lines each. A refusal before the first line is raised; a later one is the last line."""
    begun, held = False, bytearray()
    try:
        for item in items:
            begun = True
            held += json.dumps(to_json(item), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            if len(held) > _PIECE:
                yield bytes(held)
                held.clear()
    except PedigreeError as error:
        if not begun:
            raise
        yield bytes(held) + json.dumps({"problem": to_json(problem_of(error))}).encode() + b"\n"
        return
    yield bytes(held) + _END


def read_lines(operation: Operation, lines: Iterable[bytes]) -> Iterator[Any]:
    """Each line by the operation's annotation. A refusal in them is raised, as is an end that did not come."""
    for line in lines:
        found = parse_json(line, f"a line of the answer for {operation.path}")
        if found == {"end": True}:
            return
        if isinstance(found, dict) and "problem" in found:
            raise error_of(read(Problem, found["problem"], "the problem in the answer"))
        yield read(operation.result, found, f"a line of the answer for {operation.path}")
    raise UnavailableError("The answer was cut off before its end. Nothing was changed; ask again.")

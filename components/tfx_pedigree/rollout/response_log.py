"""The response log: one JSON object a line for each answered request, as whoever serves writes it.

    {"version": "1.2.0", "id": "7f3a", "outputs": {"late": 0.81}}

`version` is the version's number, its digest or its sequence; `id` the request's, the same for a mirrored copy and its
original; `outputs` the answer. Other fields are passed over. A line that is none of this counts as none. The file is
read on from where it was, and only so much of it a look.
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tfx_pedigree.bounded_parse import open_regular, parse_json
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.json_form import Bounds, JsonForm
from tfx_pedigree.rollout.answers import Answered, Duel, agree
from tfx_pedigree.rollout.plan import AnswerRule
from tfx_pedigree.rollout.traffic.api import ServedVersion

MOST_AT_ONCE = 4 << 20
LONGEST_LINE = 256 << 10
_LONGEST_ID = 200
_MOST_WAITING = 5000
_MOST_UNUSED = 100
_DEEPEST = 20

Whole = Annotated[int, Bounds(0, 2**63)]


@dataclass(frozen=True)
class LogPosition(JsonForm):
    """How far a file was read, and which one it was: a new one under the same name is read from its beginning."""

    file: Whole
    offset: Whole


@dataclass(frozen=True)
class Answer:
    """`mine`: the candidate's."""

    mine: bool
    id: str | None
    outputs: Any
    score: float | None


def read_lines(path: Path, position: LogPosition | None) -> tuple[list[bytes], LogPosition]:
    """The whole lines that came since, and where to go on; without a position none, and the file's end."""
    try:
        file = open_regular(path)
    except OSError as error:
        raise UnavailableError(f"The response log {path} cannot be read: {error.strerror}.") from None
    with file:
        found = os.fstat(file.fileno())
        if position is None:
            return [], LogPosition(found.st_ino, found.st_size)
        begin = position.offset if position.file == found.st_ino and position.offset <= found.st_size else 0
        file.seek(begin)
        data = file.read(MOST_AT_ONCE)
    end = data.rfind(b"\n") + 1
    if not end and len(data) == MOST_AT_ONCE:
        end = len(data)  # one line without an end: nothing of it is kept
    lines = [line for line in data[:end].split(b"\n") if line.strip() and len(line) <= LONGEST_LINE]
    return lines, LogPosition(found.st_ino, begin + end)


class AnswerReader:
    """Of one rollout. What waits for its other half is forgotten by a crash, which loses pairs and no truth."""

    def __init__(self, path: Path, rule: AnswerRule, stable: ServedVersion, candidate: ServedVersion) -> None:
        self._path = path
        self._rule = rule
        self._names = {**_names(stable, False), **_names(candidate, True)}
        self._waiting: OrderedDict[tuple[str, bool], Answer] = OrderedDict()
        self._unused: dict[bool, deque[Answer]] = {side: deque(maxlen=_MOST_UNUSED) for side in (False, True)}

    def read(self, position: LogPosition | None) -> tuple[Answered, LogPosition]:
        lines, after = read_lines(self._path, position)
        return self.fed(lines), after

    def fed(self, lines: list[bytes]) -> Answered:
        agreed = disagreed = 0
        duels = []
        for answer in filter(None, map(self._answer, lines)):
            same = self._paired(answer)
            agreed, disagreed = agreed + (same is True), disagreed + (same is False)
            duel = self._dueled(answer)
            if duel is not None:
                duels.append(duel)
        return Answered(agreed, disagreed, tuple(duels))

    def _answer(self, line: bytes) -> Answer | None:
        try:
            found = parse_json(line, "a line of the response log", words=True)
        except InvalidInputError:
            return None
        if not isinstance(found, Mapping) or "outputs" not in found:
            return None
        version, request = found.get("version"), found.get("id")
        if isinstance(version, bool) or not isinstance(version, str | int) or str(version) not in self._names:
            return None
        known = isinstance(request, str) and 0 < len(request) <= _LONGEST_ID
        outputs = found["outputs"]
        return Answer(self._names[str(version)], request if known else None, outputs, score(outputs, self._rule.score))

    def _paired(self, answer: Answer) -> bool | None:
        """Whether both agree; None where the other has not answered this request, or did so before."""
        if answer.id is None or self._rule.agreement is None:
            return None
        other = self._waiting.pop((answer.id, not answer.mine), None)
        if other is not None:
            return agree(other.outputs, answer.outputs, self._rule.tolerance)
        self._waiting[answer.id, answer.mine] = answer
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)
        return None

    def _dueled(self, answer: Answer) -> Duel | None:
        """With the newest answer of the other version that nothing was compared with yet: both came at nearly the same
        time, so that what drifts, drifts for both. Never with the same request's: those are no two draws."""
        others = self._unused[not answer.mine]
        other = next((one for one in reversed(others) if one.id is None or one.id != answer.id), None)
        if other is None:
            self._unused[answer.mine].append(answer)
            return None
        others.remove(other)
        return Duel(answer.score, other.score) if answer.mine else Duel(other.score, answer.score)


def _names(version: ServedVersion, mine: bool) -> dict[str, bool]:
    return dict.fromkeys((version.version, version.digest, str(version.sequence)), mine)


def score(outputs: Any, path: str | None) -> float | None:
    """The number at `path` (`predictions.0.late`), or the first one that is found. None where there is none that could
    be used."""
    if path is not None:
        for part in path.split("."):
            if isinstance(outputs, Mapping):
                outputs = outputs.get(part)
            elif isinstance(outputs, list) and part.isdecimal() and len(part) < 7 and int(part) < len(outputs):
                outputs = outputs[int(part)]
            else:
                return None
        found = outputs
    else:
        found = next(_scalars(outputs, _DEEPEST), None)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        return float(found) if math.isfinite(found) else None
    except OverflowError:
        return None


def _scalars(value: Any, deepest: int) -> Iterator[Any]:
    """Those that could be a score; a null stands where a number should be."""
    if isinstance(value, Mapping | list) and deepest:
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _scalars(inner, deepest - 1)
    elif value is None or isinstance(value, int | float):
        yield value

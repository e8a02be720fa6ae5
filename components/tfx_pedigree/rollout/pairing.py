"""Who answered what: the answers of both versions, paired. Only so much is kept of what waits for its other half.

In come answers in the order in which they were given; out come pairs to the same request, which must agree, and pairs
to different ones, whose scores are compared.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.rollout.answers import Answered, Duel, agree
from tfx_pedigree.rollout.plan import AnswerRule
from tfx_pedigree.rollout.traffic.api import ServedVersion

LONGEST_ID = 200
_MOST_WAITING = 5000
_MOST_UNUSED = 100
_DEEPEST = 20


@dataclass(frozen=True)
class LoggedAnswer:
    """As a log says it. `version` is its number, its digest or its sequence; `id` the request's."""

    version: str
    id: str | None
    outputs: Any


@dataclass(frozen=True)
class _Answer:
    """`mine`: the candidate's."""

    mine: bool
    id: str | None
    outputs: Any
    score: float | None


class Pairs:
    """Of one rollout. What waits for its other half is forgotten by a crash, which loses pairs and no truth."""

    def __init__(self, rule: AnswerRule, stable: ServedVersion, candidate: ServedVersion) -> None:
        self._rule = rule
        self._names = {**_names(stable, False), **_names(candidate, True)}
        self._waiting: OrderedDict[tuple[str, bool], _Answer] = OrderedDict()
        self._unused: dict[bool, deque[_Answer]] = {side: deque(maxlen=_MOST_UNUSED) for side in (False, True)}

    def fed(self, logged: Iterable[LoggedAnswer]) -> Answered:
        """Answers of other versions count as none."""
        agreed = disagreed = 0
        duels = []
        for one in logged:
            mine = self._names.get(one.version)
            if mine is None:
                continue
            answer = _Answer(mine, one.id, one.outputs, score(one.outputs, self._rule.score))
            same = self._paired(answer)
            agreed, disagreed = agreed + (same is True), disagreed + (same is False)
            duel = self._dueled(answer)
            if duel is not None:
                duels.append(duel)
        return Answered(agreed, disagreed, tuple(duels))

    def _paired(self, answer: _Answer) -> bool | None:
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

    def _dueled(self, answer: _Answer) -> Duel | None:
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

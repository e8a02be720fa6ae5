"""What earlier decisions about a model mean for the next one: what is left of the error budget, how often the same rows
have decided, and which champion was the best so far.

In: what the audit log tells of the decisions and of who was champion. Out: a `Standing`, which stands in the decision's
document, so that the decision can be made again without the log; and with the log, `standing_of` gives the same again.

The best champion is found on numbers of the same rows: each new champion was compared with the one before it on one set
of rows, so its lead over that one does not depend on how hard the month's examples were. The leads along the line of
champions are added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tfx_pedigree.comparison.intervals import TFMA_DEGREES_OF_FREEDOM, t_quantile
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import MetricValue
from tfx_pedigree.comparison.policy import Policy
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm, Layout, Measured


@dataclass(frozen=True)
class Stake(JsonForm):
    """What a decision risks of its period's error budget: it is the `number`th of the period, those before it lost
    `lost` of the budget, and `level` is the chance of an error that it gets."""

    number: int
    lost: float
    level: float


@dataclass(frozen=True)
class Decided(JsonForm):
    """What later decisions need to know of one. `half` is half the width of the paired difference's interval, `won`
    whether the score alone was enough."""

    challenger: str
    champion: str
    digests: tuple[str, ...]
    metric: str
    value: Measured
    champion_value: Measured
    half: Measured | None
    confidence: float | None
    data: str | None
    policy: str
    won: bool
    stake: Stake | None

    @property
    def question(self) -> tuple[object, ...]:
        """The same question again is no decision of its own: a run that was repeated asks it once more."""
        return (self.digests, self.data, self.policy)


@dataclass(frozen=True)
class PastDecision(JsonForm):
    """As it stands in the audit log: with the digest of its evidence, and whether that says PASS."""

    evidence: str
    passed: bool
    decided: Decided


@dataclass(frozen=True)
class Crowning(JsonForm):
    """A version became champion in the place of `replaced`: by the evidence of that digest, by a person's word alone
    (None), or by a rollback, which says that the one before is not to be trusted."""

    version: str
    replaced: str | None
    evidence: str | None
    rollback: bool


@dataclass(frozen=True)
class Past(JsonForm):
    """Of one model, the oldest first."""

    decisions: tuple[PastDecision, ...] = ()
    champions: tuple[Crowning, ...] = ()


@dataclass(frozen=True)
class Reuse(JsonForm):
    """How many earlier decisions the same rows made, and how many of them said PASS."""

    uses: int
    passes: int


@dataclass(frozen=True)
class Best(JsonForm):
    """A former champion that was better than the present one: by `ahead`, over so many comparisons, each on rows of its
    own. `deviation` is the standard error of that; `value` what it scored on the rows of this decision, where it was
    ever measured on them."""

    version: str
    ahead: float
    comparisons: int
    deviation: float | None
    value: float | None


@dataclass(frozen=True)
class Standing(JsonForm):
    """`reuse` is None where the rows have no fingerprint, `best` where no former champion was better than the present
    one. `unlinked` are former champions of which that is not known: nobody compared them by this score."""

    number: int
    lost: float
    reuse: Reuse | None
    best: Best | None
    unlinked: tuple[str, ...]


# Of a model's first decision, on rows that nobody knows yet.
FIRST = Standing(1, 0.0, Reuse(0, 0), None, ())


def standing_of(past: Past, policy: Policy, digests: tuple[str, ...], champion: str, data: str | None) -> Standing:
    """Before a decision about the models of these digests, the second of which is the version `champion`, on the rows
    of the fingerprint `data`."""
    asked = (digests, data, policy.digest)
    by_question = {one.decided.question: one for one in past.decisions if one.decided.question != asked}
    number, lost = _place_in_period(by_question.values(), policy)
    reuse = None
    if data is not None:
        same = [one for one in by_question.values() if one.decided.data == data]
        reuse = Reuse(len(same), sum(one.passed for one in same))
    best, unlinked = _Line(past, policy).best(champion, data)
    return Standing(number, lost, reuse, best, unlinked)


def best_of(past: Past, policy: Policy, champion: str) -> Best | None:
    """The former champion that was better than this one, where there is one."""
    return _Line(past, policy).best(champion, None)[0]


def _place_in_period(earlier: Iterable[PastDecision], policy: Policy) -> tuple[int, float]:
    """A stake is lost where the score did not win; where it won, the budget has it back."""
    if policy.error_budget is None:
        return 1, 0.0
    number, lost = 1, 0.0
    for one in earlier:
        if one.decided.stake is not None:
            number += 1
            lost += 0.0 if one.decided.won else one.decided.stake.level
        if number > policy.error_budget.decisions:
            number, lost = 1, 0.0
    return number, lost


@dataclass(frozen=True)
class _Link:
    """How far a champion was ahead of the one before it, and the variance of that."""

    parent: str
    ahead: float
    variance: float | None


class _Line:
    """The champions of a model, each tied to the one that it was compared with."""

    def __init__(self, past: Past, policy: Policy) -> None:
        self._metric, self._sign = policy.metric, 1.0 if policy.better is Direction.HIGHER else -1.0
        self._decided = {one.evidence: one.decided for one in past.decisions}
        self._links: dict[str, _Link] = {}
        self._champions: dict[str, None] = {}
        self._withdrawn: set[str] = set()
        for crowning in past.champions:
            self._add(crowning)

    def _add(self, crowning: Crowning) -> None:
        if crowning.rollback:
            self._withdrawn |= {crowning.replaced} if crowning.replaced else set()
            self._withdrawn.discard(crowning.version)
            return
        self._champions[crowning.version] = None
        self._withdrawn.discard(crowning.version)
        link = self._link(crowning)
        if link is not None and crowning.version not in self._links:
            self._links[crowning.version] = link

    def _link(self, crowning: Crowning) -> _Link | None:
        decided = self._decided.get(crowning.evidence or "")
        if decided is None or decided.metric != self._metric or decided.champion != crowning.replaced:
            return None
        ahead = self._sign * (decided.value - decided.champion_value)
        if not math.isfinite(ahead) or crowning.version in dict(self._ancestors(decided.champion)):
            return None
        return _Link(decided.champion, ahead, _variance(decided))

    def best(self, champion: str, data: str | None) -> tuple[Best | None, tuple[str, ...]]:
        mine = dict(self._ancestors(champion))
        found, unlinked = None, []
        for other in self._champions:
            if other == champion or other in self._withdrawn:
                continue
            meeting = next(((at, up) for at, up in self._ancestors(other) if at in mine), None)
            if meeting is None:
                unlinked.append(other)
                continue
            at, theirs = meeting
            ahead = theirs.ahead - mine[at].ahead
            if ahead > 0 and (found is None or ahead > found.ahead):
                variance = _sum(theirs.variance, mine[at].variance)
                deviation = None if variance is None else math.sqrt(variance)
                comparisons = theirs.comparisons + mine[at].comparisons
                found = Best(other, ahead, comparisons, deviation, self._on(data, other))
        return found, tuple(unlinked)

    def _ancestors(self, version: str) -> Iterator[tuple[str, _Way]]:
        """Itself and those before it, each with the way to it."""
        way, seen = _Way(0.0, 0.0, 0), set[str]()
        while version not in seen:
            seen.add(version)
            yield version, way
            link = self._links.get(version)
            if link is None:
                return
            way = _Way(way.ahead + link.ahead, _sum(way.variance, link.variance), way.comparisons + 1)
            version = link.parent

    def _on(self, data: str | None, version: str) -> float | None:
        """What a version scored on these rows; the newest of equal questions counts."""
        found = None
        for one in self._decided.values() if data is not None else ():
            if one.data == data and one.metric == self._metric:
                values: Mapping[str, float] = {one.champion: one.champion_value, one.challenger: one.value}
                found = values.get(version, found)
        return found


@dataclass(frozen=True)
class _Way:
    ahead: float
    variance: float | None
    comparisons: int


def _variance(decided: Decided) -> float | None:
    if decided.half is None or decided.confidence is None or not math.isfinite(decided.half):
        return None
    return (decided.half / t_quantile(decided.confidence, TFMA_DEGREES_OF_FREEDOM)) ** 2


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


@dataclass(frozen=True)
class Anchor(JsonForm):
    """`best` and `challenger` are both models' scores in one evaluation, `difference` challenger − best, paired.
    `missing` says in a few words why the version was not measured; there are no numbers then."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    version: str
    best: MetricValue | None = None
    challenger: MetricValue | None = None
    difference: MetricValue | None = None
    missing: str | None = None

    def __post_init__(self) -> None:
        if (self.best is None or self.challenger is None) is not (self.missing is not None):
            raise InvalidInputError(f"The best champion {self.version} was measured, or it is said why not.")

"""When a challenger wins, as values. docs/policy.md describes the file; `policy_file` reads it.

Laws: `read_policy(p.to_json()) == p`, and two policies have the same digest exactly if they decide by the same rules.

A policy of the first form knows neither `major` nor `importance.gain`. It goes on deciding as it did before there were
such keys, and keeps its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from tfx_pedigree.comparison.class_counts import NEGATIVES, POSITIVES, class_counts, counts_of_each_class
from tfx_pedigree.comparison.metric_names import base_of
from tfx_pedigree.comparison.metrics import KNOWN, Direction, known, no_direction
from tfx_pedigree.comparison.numbers import Slice
from tfx_pedigree.comparison.policy_utility import Utilities, check_names, terms_of
from tfx_pedigree.comparison.policy_year import ErrorBudget, Holdout, Many, NeverBelow
from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm, Layout, to_json

FORMATS = {"pedigree.policy/1": 1, "pedigree.policy/2": 2}
NEWEST = 2
# Above this the rule would no longer be monotone for a score that changes its sign; docs/policy.md says why.
LARGEST_SHARE = 0.9


class RuleKind(str, Enum):
    RELATIVE = "relative"
    ABSOLUTE = "absolute"
    ERROR_REDUCTION = "error_reduction"


class Similar(str, Enum):
    KEEP_CHAMPION = "keep_champion"
    PREFER_CHALLENGER = "prefer_challenger"


class NotComparable(str, Enum):
    HUMAN = "human"
    FLOORS = "floors"


class MissingSlice(str, Enum):
    FAIL = "fail"
    INSUFFICIENT = "insufficient"
    WARN = "warn"


class MajorChange(str, Enum):
    """Who promotes a version that breaks its callers."""

    HUMAN = "human"
    ALLOW = "allow"


class Gain(str, Enum):
    """In which unit the importance score counts the improvement."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"


class TooFew(str, Enum):
    INSUFFICIENT = "insufficient"
    SKIP = "skip"


@dataclass(frozen=True)
class Rule:
    """One model beats another if it is better by more than `threshold`.

    Relative: times the size of the beaten one's score. Error reduction: times what the beaten one still lacked to
    `perfect`. Absolute: as it stands. With `and_absolute` the difference must be more than that as well.
    """

    kind: RuleKind = RuleKind.RELATIVE
    threshold: float = 0.05
    perfect: float | None = None
    and_absolute: float | None = None

    def __post_init__(self) -> None:
        if self.threshold < 0 or (self.kind is not RuleKind.ABSOLUTE and self.threshold > LARGEST_SHARE):
            raise InvalidInputError(
                f"The rule `{self.kind.value}: {self.threshold}` is out of range: a share is from 0 to "
                f"{LARGEST_SHARE} (0.05 is 5 %), an absolute difference 0 or more."
            )
        if (self.perfect is not None) is not (self.kind is RuleKind.ERROR_REDUCTION):
            raise InvalidInputError("`perfect` belongs to the rule `error_reduction`, and to no other.")
        if self.and_absolute is not None and (self.kind is RuleKind.ABSOLUTE or self.and_absolute < 0):
            raise InvalidInputError(
                "A rule of two kinds asks for a share, and for an absolute difference of 0 or more."
            )

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {self.kind.value: self.threshold}
        return found | _given({"perfect": self.perfect, RuleKind.ABSOLUTE.value: self.and_absolute})


@dataclass(frozen=True)
class Bounds(JsonForm):
    """Both ends belong to what is allowed."""

    JSON: ClassVar[Layout] = Layout(brief=True)

    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise InvalidInputError("A bound needs `at_least`, `at_most` or both.")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise InvalidInputError(
                f"No number is at least {self.at_least} and at most {self.at_most}: the bounds are swapped."
            )


@dataclass(frozen=True)
class Regression:
    """How much worse than the champion is still allowed, as a share of its score or as a difference; with
    `and_absolute` no more than either of them."""

    limit: float
    relative: bool = True
    and_absolute: float | None = None

    def __post_init__(self) -> None:
        if min(self.limit, self.and_absolute or 0) < 0:
            raise InvalidInputError(f"The largest regression {self.limit} is negative: give it as 0 or more.")
        if self.and_absolute is not None and not self.relative:
            raise InvalidInputError("A regression of two kinds is a share and an absolute difference.")

    @property
    def limits(self) -> tuple[tuple[RuleKind, float], ...]:
        """Each of them must be kept."""
        first = (RuleKind.RELATIVE if self.relative else RuleKind.ABSOLUTE, self.limit)
        return (first,) if self.and_absolute is None else (first, (RuleKind.ABSOLUTE, self.and_absolute))

    def to_json(self) -> dict[str, Any]:
        return {kind.value: limit for kind, limit in self.limits}


@dataclass(frozen=True)
class Gap:
    """`at_most`: the widest gap that may be. `worse_by`: how much wider than the champion's widest gap it may be."""

    at_most: float | None = None
    worse_by: float | None = None

    def __post_init__(self) -> None:
        given = [one for one in (self.at_most, self.worse_by) if one is not None]
        if not given or min(given) < 0:
            raise InvalidInputError("A gap is limited by `at_most`, by `worse_by` or by both, each 0 or more.")

    def to_json(self) -> float | dict[str, Any]:
        """The bare number where that is all, as it was before there was another way: such a policy keeps its digest."""
        if self.worse_by is None and self.at_most is not None:
            return self.at_most
        return _given({"at_most": self.at_most, "worse_by": self.worse_by})


@dataclass(frozen=True)
class Guardrail:
    """What must hold besides the score: of all examples, of one slice, or of each slice by some features."""

    metric: str
    max_regression: Regression | None = None
    bounds: Bounds | None = None
    slice: Slice | None = None
    each_slice_of: tuple[str, ...] = ()
    direction: Direction | None = None
    min_examples: int | None = None
    too_few: TooFew = TooFew.INSUFFICIENT
    point_estimate: bool = False
    min_gain: Rule | None = None
    max_gap: Gap | None = None
    many: Many = Many.EACH
    min_positives: int | None = None
    min_negatives: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "each_slice_of", tuple(sorted(set(self.each_slice_of))))
        # Bounds need no direction. The digest of a policy that was written when a metric was not known stays as it is.
        compares = self.max_regression is not None or self.min_gain is not None
        if self.direction is None and (compares or self.metric in KNOWN):
            object.__setattr__(self, "direction", known(self.metric).direction)
        if not compares and self.bounds is None and self.max_gap is None:
            raise InvalidInputError(
                f"The guardrail on `{self.metric}` guards nothing: give `max_regression`, `min_gain`, `max_gap`, "
                "`at_least` or `at_most`."
            )
        if compares and self.direction is None:
            raise InvalidInputError(no_direction(self.metric))
        if self.max_gap is not None and not self.each_slice_of:
            raise InvalidInputError(
                f"The guardrail on `{self.metric}` limits the gap between slices: give the features in `each_slice_of`."
            )
        if self.slice is not None and (self.each_slice_of or self.slice.is_overall):
            raise InvalidInputError(
                f"The guardrail on `{self.metric}` names its slices twice or not at all: give one slice, or "
                "`each_slice_of`, or neither for all examples together."
            )
        if self.many is Many.HOLM and (
            not self.each_slice_of or self.max_regression is None or self.bounds is not None or self.point_estimate
        ):
            raise InvalidInputError(
                f"The guardrail on `{self.metric}` has `many: holm`, which is a test of the loss on many slices: it "
                "needs `each_slice_of` and `max_regression`, and has neither bounds nor `point_estimate`."
            )

    @property
    def where(self) -> str:
        if self.each_slice_of:
            return f"each slice of {' x '.join(self.each_slice_of)}"
        return str(self.slice or "overall")

    def to_json(self) -> dict[str, Any]:
        return _given(
            {
                "metric": self.metric,
                "slice": self.slice.to_json() if self.slice else None,
                "each_slice_of": list(self.each_slice_of) or None,
                "direction": self.direction.value if self.direction else None,
                "max_regression": self.max_regression.to_json() if self.max_regression else None,
                "min_gain": self.min_gain.to_json() if self.min_gain else None,
                "max_gap": self.max_gap.to_json() if self.max_gap else None,
                **(self.bounds.to_json() if self.bounds else {}),
                "min_examples": self.min_examples,
                "min_positives": self.min_positives,
                "min_negatives": self.min_negatives,
                "too_few": self.too_few.value,
                "point_estimate": self.point_estimate,
                "many": self.many.value if self.many is not Many.EACH else None,
            }
        )


@dataclass(frozen=True)
class LatencyBudget(JsonForm):
    """Of the 95th percentile: milliseconds, and a multiple of the champion's."""

    JSON: ClassVar[Layout] = Layout(brief=True)

    p95_ms: float | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class SizeBudget(JsonForm):
    """Of all files of the model: bytes, and a multiple of the champion's."""

    JSON: ClassVar[Layout] = Layout(brief=True)

    bytes: int | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class Weights(JsonForm):
    """Of the importance score: improvement · gain − latency · seconds. The gain as a difference, or as a share."""

    improvement: float = 0.7
    latency: float = 0.3
    gain: Gain = Gain.ABSOLUTE


@dataclass(frozen=True)
class Policy:
    """`Policy("auc")` is the default: more than 5 % better wins, and the champion stays where both are alike."""

    metric: str
    direction: Direction | None = None
    rule: Rule = field(default_factory=Rule)
    similar: Similar = Similar.KEEP_CHAMPION
    confidence: float | None = None
    min_examples: int = 0
    guardrails: tuple[Guardrail, ...] = ()
    latency: LatencyBudget = field(default_factory=LatencyBudget)
    size: SizeBudget = field(default_factory=SizeBudget)
    first_version: Mapping[str, Bounds] = field(default_factory=dict)
    importance: Weights = field(default_factory=Weights)
    not_comparable: NotComparable = NotComparable.HUMAN
    missing_slice: MissingSlice = MissingSlice.FAIL
    major: MajorChange = MajorChange.HUMAN
    error_budget: ErrorBudget | None = None
    holdout: Holdout | None = None
    never_below: NeverBelow | None = None
    form: int = NEWEST
    min_positives: int = 0
    min_negatives: int = 0
    utilities: Utilities = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_names(self.utilities, self._asked)
        if self.direction is None:
            of_utility = Direction.HIGHER if base_of(self.metric) in self.utilities else None
            object.__setattr__(self, "direction", of_utility or known(self.metric).direction)
        if self.direction is None:
            raise InvalidInputError(no_direction(self.metric))
        if self.confidence is not None and not 0.5 <= self.confidence < 1:
            raise InvalidInputError(
                f"The confidence {self.confidence} is out of range: give 0.5 or more and less than 1, such as 0.95."
            )
        object.__setattr__(self, "first_version", dict(sorted(self.first_version.items())))
        object.__setattr__(self, "utilities", dict(sorted(self.utilities.items())))
        if self.form == 1 and (self.major, self.importance.gain) != (MajorChange.ALLOW, Gain.RELATIVE):
            raise InvalidInputError(
                "A policy of the form pedigree.policy/1 promotes a MAJOR change by itself and counts a relative gain: "
                "`major` and `importance.gain` need pedigree.policy/2."
            )
        self._check_year()

    def _check_year(self) -> None:
        tests = {
            "error_budget": self.error_budget is not None,
            "holdout.ladder": self.holdout is not None and self.holdout.ladder,
            "many: holm": any(rail.many is Many.HOLM for rail in self.guardrails),
        }
        asked = [name for name, one in tests.items() if one]
        if asked and self.confidence is None:
            raise InvalidInputError(f"`{asked[0]}` counts chances, which only a test has: give a `confidence` as well.")
        if self.form == 1 and (asked or self.holdout is not None or self.never_below is not None):
            raise InvalidInputError(
                "A policy of the form pedigree.policy/1 judges one decision at a time: `error_budget`, `holdout`, "
                "`never_below` and `many` need pedigree.policy/2."
            )

    @property
    def better(self) -> Direction:
        """Which way the score gets better."""
        assert self.direction is not None  # noqa: S101  __post_init__ has made sure of it
        return self.direction

    @property
    def metrics(self) -> tuple[str, ...]:
        """All that it decides on, the score first, with what that is made of."""
        found = [*self._asked]
        found += [term for name in self._asked for term in terms_of(name, self.utilities)]
        found += class_counts(self.metric, self.least_of_each())
        found += [name for rail in self.guardrails for name in class_counts(rail.metric, self.least_of_each(rail))]
        return tuple(dict.fromkeys(found))

    @property
    def _asked(self) -> tuple[str, ...]:
        return (self.metric, *(rail.metric for rail in self.guardrails), *self.first_version)

    def counts(self, classes: int | None) -> tuple[str, ...]:
        """Counts of each class that it needs as well, of so many classes."""
        found = counts_of_each_class(self.metric, self.least_of_each(), classes)
        for rail in self.guardrails:
            found += counts_of_each_class(rail.metric, self.least_of_each(rail), classes)
        return tuple(dict.fromkeys(found))

    def least_of_each(self, rail: Guardrail | None = None) -> dict[str, int]:
        """How many examples of both classes the guardrail asks for, or the score."""
        mine = {POSITIVES: self.min_positives, NEGATIVES: self.min_negatives}
        theirs = {POSITIVES: rail.min_positives, NEGATIVES: rail.min_negatives} if rail else {}
        return mine | {name: least for name, least in theirs.items() if least is not None}

    @property
    def looks_back(self) -> bool:
        """Whether a decision follows from those before it as well."""
        return self.error_budget is not None or self.holdout is not None or self.never_below is not None

    @property
    def digest(self) -> str:
        return digest_of(canonical_json(self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """Everything spelt out, so that a later default changes no policy that was decided by."""
        found: dict[str, Any] = {"format": f"pedigree.policy/{self.form}"}
        found |= {name: to_json(getattr(self, name)) for name in _ALWAYS}
        if self.form == 1:
            del found["importance"]["gain"]
            return found
        return (
            found
            | {"major": self.major.value}
            | {name: to_json(one) for name in _LATER if (one := getattr(self, name))}
        )


# In the JSON form of every policy.
_ALWAYS = (
    "metric",
    "direction",
    "rule",
    "similar",
    "confidence",
    "min_examples",
    "guardrails",
    "latency",
    "size",
    "first_version",
    "importance",
    "not_comparable",
    "missing_slice",
)
# Keys that came later stand there only where they are given: a policy without them keeps its digest.
_LATER = ("min_positives", "min_negatives", "utilities", "error_budget", "holdout", "never_below")


def _given(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value is not None}

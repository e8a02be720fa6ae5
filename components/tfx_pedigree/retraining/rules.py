"""When training again is worth its cost, as values. docs/scheduling.md describes them; `rules_file` reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.json_form import JsonForm, Layout, to_json

ATTEMPTS = 3
_TIME = re.compile(r"(\d{1,6})\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Bounds(JsonForm):
    """The largest distance between two distributions of a feature that is no drift; None is not looked at.

    Jensen-Shannon divergence is from 0 (alike) to 1 (nothing in common), for texts and numbers. The infinity norm is
    the largest change of one value's share, for texts only.
    """

    jensen_shannon: float | None = None
    infinity_norm: float | None = None

    JSON = Layout(brief=True)


@dataclass(frozen=True)
class DriftRule:
    """`features` go by their own bounds, all others but the ignored ones by `default`."""

    default: Bounds = field(default_factory=Bounds)
    features: Mapping[str, Bounds] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Two rules with the same digest call the same things drift."""
        return digest_of(canonical_json({**to_json(self), "ignore": sorted(self.ignore)}))

    def of(self, feature: str) -> Bounds:
        if feature in self.features:
            return self.features[feature]
        return Bounds() if feature in self.ignore else self.default


@dataclass(frozen=True)
class Decline:
    """How far a metric of the champion may fall below what its evidence says, before that is a reason: as the mean of
    what was observed in the last `over`, on `min_examples` or more."""

    drop: float
    over: timedelta
    min_examples: int = 1
    direction: Direction = Direction.HIGHER


@dataclass(frozen=True)
class Rules:
    """`Rules()` is the default: a span that no version was trained on is a reason, and nothing else is.

    After `attempts` runs of one span that came to no end, nobody tries again by himself.
    """

    new_span: bool = True
    max_age: timedelta | None = None
    drift: DriftRule | None = None
    attempts: int = ATTEMPTS
    performance: Mapping[str, Decline] = field(default_factory=dict)


def performance_in_words(rules: Rules) -> tuple[str, ...]:
    """What the section `retraining` says of the champion's performance, for who asks what a policy demands."""
    return tuple(
        f"Training again: when {metric} of the champion, observed over {in_words(one.over)} on {one.min_examples:,} "
        f"examples or more, is {'below' if one.direction is Direction.HIGHER else 'above'} its evidence by more than "
        f"{one.drop:g}, and there are data that no version was trained on."
        for metric, one in sorted(rules.performance.items())
    )


def read_time(text: str) -> timedelta | None:
    """`30m`, `24h`, `7d`, `2w`; None for what is none."""
    match = _TIME.fullmatch(text.strip())
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]]) if match else None


def in_words(time: timedelta) -> str:
    """The largest unit of which there are two or more: `36 hours`, `3 days`."""
    seconds = max(0, int(time.total_seconds()))
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"

"""The words in which a gate answers. The comparison speaks them, the registry keeps them as evidence."""

from __future__ import annotations

from enum import Enum


class Verdict(str, Enum):
    """Only PASS may promote. INSUFFICIENT: what is known does not suffice to decide."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    INSUFFICIENT = "INSUFFICIENT"


class Recommendation(str, Enum):
    """What the score alone says. None stands where it says nothing: no champion, or no sure answer."""

    CHALLENGER = "RECOMMEND_CHALLENGER"
    CHAMPION = "RECOMMEND_CHAMPION"
    SIMILAR = "SIMILAR_PERFORMANCE"

"""The judge alone, for others who move the traffic themselves (Argo Rollouts, Flagger) and ask what the counts say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.rollout.judge import Increment, judge_totals
from tfx_pedigree.rollout.plan import JudgePlan
from tfx_pedigree.text import listed, plain

HARM, UNKNOWN, HEALTHY = "harm", "unknown", "healthy"
_VALUES = {HARM: -1, UNKNOWN: 0, HEALTHY: 1}
_COUNTS = re.compile(r"(\d{1,15}):(\d{1,15})")
_SHARE = re.compile(r"(\d{1,2}(?:\.\d{1,2})?) ?%?")


@dataclass(frozen=True)
class CountsVerdict(JsonForm):
    """`value` is 1 for healthy, 0 for not known yet, -1 for harm: what a web metric reads as a number."""

    verdict: str
    value: int
    harm: str | None
    waits_for: tuple[str, ...]

    @property
    def sentence(self) -> str:
        if self.verdict == HARM:
            return f"Harm. {self.harm}"
        return "Healthy." if self.verdict == HEALTHY else f"Not known yet: it waits for {listed(self.waits_for)}."


def verdict_on(plan: JudgePlan, points: int, candidate: Increment, stable: Increment) -> CountsVerdict:
    """Of sums since the candidate got its present share. Only errors can be judged by them."""
    found = judge_totals(replace(plan, slow_than_ms=None, metrics=(), answers=None), candidate, stable, points)
    word = HARM if found.harm else HEALTHY if found.healthy else UNKNOWN
    return CountsVerdict(word, _VALUES[word], found.harm, found.waits_for)


def counts(text: str) -> Increment | None:
    """Of `REQUESTS:FAILED`; None where it is something else."""
    match = _COUNTS.fullmatch(text.strip())
    if match is None:
        return None
    requests, failed = int(match[1]), int(match[2])
    if failed > requests:
        raise InvalidInputError(f"{failed:,} of {requests:,} requests cannot have failed. Write REQUESTS:FAILED.")
    return Increment(requests, failed)


def points_of(share: str) -> int:
    match = _SHARE.fullmatch(share.strip())
    points = round(float(match[1]) * 100) if match else 0
    if not points:
        raise InvalidInputError(
            f"The share {plain(share, 40)!r} must be a percentage from 0.01 to 99.99, in steps of 0.01, such as 10."
        )
    return points


def asked_counts(which: str, text: str, ask: Callable[[str], Increment] | None) -> Increment:
    """The counts that were sent, or those of the version that was named, where there is somebody to ask."""
    found = counts(text)
    if found is not None:
        return found
    if ask is None:
        raise InvalidInputError(
            f"`{which}` is {plain(text, 60)!r}: write REQUESTS:FAILED, such as 1200:3, or name a version and give the "
            "queries `requests` and `failed`."
        )
    return ask(text)

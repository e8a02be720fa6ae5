"""Bounds and floors: a value that must be reached, or not exceeded, whatever the champion's is. The value decides."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_pedigree.comparison.check import Check, CheckOutcome
from tfx_pedigree.comparison.measured import Measured, missing, named
from tfx_pedigree.comparison.numbers import Key
from tfx_pedigree.comparison.policy import Bounds, Policy
from tfx_pedigree.comparison.wording import number
from tfx_pedigree.text import plain


def floor_checks(policy: Policy, found: Measured) -> Iterator[Check]:
    """What a model without a champion must reach."""
    for metric, bounds in policy.first_version.items():
        key = Key(metric)
        name = f"floor of {plain(metric)}"
        if problem := missing("challenger", key, found.challenger):
            yield Check(name, CheckOutcome.UNKNOWN, problem)
        else:
            yield bounds_check(name, key, bounds, found.challenger.metrics[key].value)


def bounds_check(name: str, key: Key, bounds: Bounds, value: float) -> Check:
    numbers = {"challenger": value}
    sentence = f"{named(key)} is {number(value)}"
    if bounds.at_least is not None:
        numbers["at_least"] = bounds.at_least
        if value < bounds.at_least:
            return Check(name, CheckOutcome.BROKEN, f"{sentence}, less than {number(bounds.at_least)}", numbers)
        sentence += f", at least {number(bounds.at_least)}"
    if bounds.at_most is not None:
        numbers["at_most"] = bounds.at_most
        if value > bounds.at_most:
            said = f"{named(key)} is {number(value)}, more than {number(bounds.at_most)}"
            return Check(name, CheckOutcome.BROKEN, said, numbers)
        sentence += f", at most {number(bounds.at_most)}"
    return Check(name, CheckOutcome.HOLDS, sentence, numbers)

"""How often the gate promotes by luck: by simulation, with the gate itself.

    make bench BENCH=gate                      the tables, in a minute on one core
    make bench BENCH=gate ARGS='--rounds 200'  a first look
    make bench BENCH=gate ARGS='--years 0'     without the years, which take most of the time

The first table has a challenger that is exactly on the line of `relative: t`: its true gain is t of the champion's
score. With a confidence of 0.95 no more than 2.5 % of them may pass. "as fixed" takes t · champion for a known number.
The second has two equally good models and no threshold. The others live through years of 52 retrainings, with what
the gate keeps of earlier decisions: how many years have a false promotion, how much the champion's score is overstated
where the same rows decide all year, how far a slow decline goes, and how often luck in one of 16 slices stops a model.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "comparison"))

from year_testing import live_through

from tfx_pedigree.comparison import (
    ErrorBudget,
    Guardrail,
    Holdout,
    Key,
    Many,
    NeverBelow,
    Policy,
    Regression,
    Rule,
    RuleKind,
    Scores,
    Similar,
    Slice,
    Verdict,
    decide,
)
from tfx_pedigree.comparison.explaining import WEEKS, Situation, draw, passes
from tfx_pedigree.comparison.rule import Contest

CHAMPION, NOISE = 0.5, 0.02


def on_the_line(rounds: int) -> None:
    print(f"A challenger on the line of `relative: t`, confidence 0.95: it passes in % of {rounds:,} evaluations")
    print(f"{'t':>6} {'correlation':>12} {'as fixed':>10} {'interval of the margin':>24}")
    for threshold in (0.05, 0.2, 0.5, 0.9):
        for correlation in (0.0, 0.5, 0.9):
            policy = Policy("r2_score", rule=Rule(RuleKind.RELATIVE, threshold), confidence=0.95)
            where = Situation(CHAMPION, 1000, NOISE, correlation)
            gain = threshold * CHAMPION
            before = sum(_as_fixed(policy, where, gain, at) for at in range(rounds)) / rounds
            after = passes(policy, where, gain, rounds)
            print(f"{threshold:6} {correlation:12} {100 * before:10.2f} {100 * after:24.2f}")


def _as_fixed(policy: Policy, where: Situation, gain: float, at: int) -> bool:
    _, old, difference = draw(policy, where, gain, at)
    assert difference.interval is not None
    contest = Contest(policy.rule, policy.better)
    return difference.interval[0] > contest.share * contest.measure.unit(old.value)


def equal_models(rounds: int) -> None:
    print(f"\nTwo equally good models, `absolute: 0`: the newer one passes in % of {rounds:,} evaluations")
    print(f"{'confidence':>12} {'once':>8} {'at least once in 52 weeks':>28}")
    for confidence in (None, 0.95, 0.99):
        policy = Policy("auc", rule=Rule(RuleKind.ABSOLUTE, 0.0), confidence=confidence)
        once = passes(policy, Situation(0.8, 1000, 0.0126), 0.0, rounds)
        print(f"{confidence or 'none':>12} {100 * once:8.2f} {100 * (1 - (1 - once) ** 52):28.1f}")


YEAR = Situation(0.8, 1000, 0.0126)
ANY_GAIN = Policy("auc", rule=Rule(RuleKind.ABSOLUTE, 0.0))
SURE = replace(ANY_GAIN, confidence=0.95)


def years_of_equal_models(years: int) -> None:
    print(f"\nA year of equally good models, `absolute: 0`, {years:,} years a cell")
    head = f"{'false promotion, % of years':>28} {'false promotions a year':>24} {'score overstated by':>20}"
    print(f"{'rows':>5} {'policy':>34} {head}")
    budget, ladder = ErrorBudget(0.05, WEEKS), Holdout(ladder=True)
    policies = {
        "no confidence": ANY_GAIN,
        "confidence 0.95": SURE,
        "confidence 0.99": replace(SURE, confidence=0.99),
        "0.95, error budget 5 %": replace(SURE, error_budget=budget),
        "0.95, ladder": replace(SURE, holdout=ladder),
        "0.95, error budget 5 %, ladder": replace(SURE, error_budget=budget, holdout=ladder),
    }
    for same in (False, True):
        for name, policy in policies.items():
            found = [live_through(policy, YEAR, at, same_rows=same) for at in range(years)]
            any_error = 100 * sum(year.errors > 0 for year in found) / years
            errors = sum(year.errors for year in found) / years
            overstated = sum(year.measured[-1] - year.truths[-1] for year in found) / years
            print(f"{'same' if same else 'new':>5} {name:>34} {any_error:28.1f} {errors:24.2f} {overstated:20.4f}")


def slow_decline() -> None:
    print("\n`prefer_challenger`, `relative: 0.05`, each week 1 % worse, 100,000 examples: the true score after a year")
    plain = Policy("auc", rule=Rule(RuleKind.RELATIVE, 0.05), similar=Similar.PREFER_CHALLENGER)
    where = Situation(0.8, 100_000, 0.001)
    for name, policy in {"as it is": plain, "never_below": replace(plain, never_below=NeverBelow())}.items():
        year = live_through(policy, where, 0, gain=lambda _: -0.008)
        print(f"{name:>14} {year.truths[-1]:8.3f} after {year.promotions} promotions")


def many_slices(rounds: int) -> None:
    """Of 100 examples each; the score over all of them is truly better, and no slice is worse."""
    print("\nEqual on 16 slices of 100 examples, which may lose 0.03: what luck does in % of evaluations")
    print(f"{'judged':>24} {'PASS':>8} {'FAIL':>8} {'INSUFFICIENT':>14}")
    for name, many, confidence in (
        ("by values", Many.EACH, None),
        ("each", Many.EACH, 0.95),
        ("holm", Many.HOLM, 0.95),
    ):
        rail = Guardrail("auc", Regression(0.03, relative=False), each_slice_of=("origin",), many=many)
        policy = replace(ANY_GAIN, confidence=confidence, guardrails=(rail,))
        found = [_on_slices(policy, at) for at in range(rounds)]
        shares = [100 * found.count(verdict) / rounds for verdict in Verdict]
        print(f"{name:>24}", *(f"{share:8.1f}" for share in shares))


def _on_slices(policy: Policy, at: int) -> Verdict:
    whole, part = Situation(0.8, 1600, 0.01), Situation(0.8, 100, 0.04)
    drawn = {Key("auc"): draw(policy, whole, 0.06, 17 * at)}
    for number in range(16):
        where = Slice((("origin", f"{number}"),))
        drawn[Key("auc", where)] = draw(policy, part, 0.0, 17 * at + 1 + number)
    new, old, apart = ({key: values[place] for key, values in drawn.items()} for place in range(3))
    return decide(policy, Scores(new), Scores(old), differences=apart).verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000, help="simulated evaluations of each cell")
    parser.add_argument("--years", type=int, default=2000, help="simulated years of each cell")
    given = parser.parse_args()
    on_the_line(given.rounds)
    equal_models(given.rounds)
    if given.years:
        many_slices(given.years)
        slow_decline()
        years_of_equal_models(given.years)


if __name__ == "__main__":
    main()

"""How often the gate promotes by luck: by simulation, with the gate itself.

    make bench BENCH=gate                      the tables, in a minute on one core
    make bench BENCH=gate ARGS='--rounds 200'  a first look

The first table has a challenger that is exactly on the line of `relative: t`: its true gain is t of the champion's
score. With a confidence of 0.95 no more than 2.5 % of them may pass. "as fixed" takes t · champion for a known number.
The second has two equally good models and no threshold.
"""

from __future__ import annotations

import argparse

from tfx_pedigree.comparison import Policy, Rule, RuleKind
from tfx_pedigree.comparison.explaining import Situation, draw, passes
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000, help="simulated evaluations of each cell")
    given = parser.parse_args()
    on_the_line(given.rounds)
    equal_models(given.rounds)


if __name__ == "__main__":
    main()

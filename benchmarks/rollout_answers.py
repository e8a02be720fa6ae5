"""How often the tests of answers err, and how soon they see harm: `python benchmarks/rollout_answers.py [--runs 5000]`.

The pairing and the tests are the real ones, looked at every second; only the answers are drawn. Both versions' scores
drift together (their middle by half of its height, back and forth), and so does how often an answer holds no score.

1. A candidate that answers alike, and one that lies exactly at what the plan allows: of 600 looks the best is taken, so
   each share must be at most alpha. `any` has the thresholds of a plan with all three tests and errors.
2. Harmful ones: how often harm is shown, and after how many of the candidate's answers.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tfx_pedigree.rollout.answers import AnswerTests
from tfx_pedigree.rollout.eprocess import _ABOVE as ABOVE
from tfx_pedigree.rollout.pairing import LoggedAnswer, Pairs
from tfx_pedigree.rollout.plan import AnswerRule
from tfx_pedigree.rollout.traffic.api import ServedVersion

Array = NDArray[np.float64]
COUNTED = ("pairs", "disagreed", "duels", "higher", "spread", "wider", "broken", "broken_stable")
ALPHA, LOOKS, A_LOOK, SHARE = 0.05, 600, 10, 0.25
RULE = AnswerRule(agreement=0.98, shift=0.1)
TESTS = 4  # with errors
STABLE, CANDIDATE = (ServedVersion("m", f"sha256:{at:064}", f"1.0.{at}", at) for at in (1, 2))
# The candidate's scores are so much higher that they win 0.6 of the pairs: just what `shift` allows.
AT_THE_LIMIT = math.sqrt(2) * statistics.NormalDist().inv_cdf(0.5 + RULE.shift)


@dataclass(frozen=True)
class Model:
    """How a candidate departs from the stable version: its scores are `higher`, `wider`; it `disagrees` on so many of
    the copies; and it answers without a score so many times as often."""

    name: str
    higher: float = 0.0
    wider: float = 1.0
    disagrees: float = 0.01
    broken: float = 1.0


@dataclass(frozen=True)
class Seen:
    """By test (agreement, scores, usable scores): the greatest evidence of all looks. `after`: how many answers the
    candidate had given when harm was shown, if it was."""

    greatest: tuple[float, ...]
    after: int | None


HARMLESS = (Model("alike"), Model("at the limit", AT_THE_LIMIT, 1.0, 1 - RULE.agreement))  # type: ignore[operator]
HARMFUL = (
    Model("scores half a deviation higher", 0.5),
    Model("scores one deviation higher", 1.0),
    Model("scores three times as wide", wider=3.0),
    Model("disagrees on 4 %", disagrees=0.04),
    Model("disagrees on 10 %", disagrees=0.1),
    Model("no score 5 times as often", broken=5.0),
)


def answers(draw: random.Random, model: Model, mirrored: bool, at: int, phase: float) -> Iterator[LoggedAnswer]:
    """Of one second."""
    swing = math.sin(phase + at / 60)
    middle, broken = 2 * (1 + 0.5 * swing), 0.02 * (1 + 0.5 * swing)
    for number in range(A_LOOK):
        request = f"{at}/{number}"
        given = draw.random() < SHARE
        if mirrored or not given:
            score = None if draw.random() < broken else draw.gauss(middle, 1)
            yield LoggedAnswer(STABLE.version, request if mirrored else None, score)
        if given:
            if not mirrored:
                score = (
                    None if draw.random() < broken * model.broken else middle + draw.gauss(model.higher, model.wider)
                )
            elif draw.random() < model.disagrees:
                score = -1e6
            yield LoggedAnswer(CANDIDATE.version, request if mirrored else None, score)


def one_run(seed: str, model: Model, mirrored: bool) -> Seen:
    """The sums of every look are kept, and their evidence is computed for all looks at once."""
    draw = random.Random(seed)
    phase, pairs, tests, given = draw.random() * 2 * math.pi, Pairs(RULE, STABLE, CANDIDATE), AnswerTests(), 0
    rows = []
    for at in range(LOOKS):
        logged = tuple(answers(draw, model, mirrored, at, phase))
        given += sum(one.version == CANDIDATE.version for one in logged)
        tests = tests.after(pairs.fed(logged))
        rows.append((given, *(getattr(tests, name) for name in COUNTED)))
    looks = np.array(rows, dtype=float)
    evidence = harm(looks[:, 1:])
    real = [test.harm for test in tests.standings(RULE)]
    assert np.allclose([one[-1] for one in evidence], real), "it is not what the judge computes"
    over = np.flatnonzero(np.max(evidence, axis=0) >= math.log(TESTS / ALPHA))
    return Seen(tuple(float(one.max()) for one in evidence), int(looks[over[0], 0]) if len(over) else None)


def harm(looks: Array) -> list[Array]:
    """`AnswerTests.standings` for many looks, whose sums are in the order of COUNTED."""
    pairs, disagreed, duels, higher, spread, wider, mine, other = looks.T
    most = 0.5 + RULE.shift
    sides = [(higher, duels), (duels - higher, duels), (wider, spread), (spread - wider, spread)]
    shifts = np.stack([log_e_rates(side, of, most) for side, of in sides])
    agreement = log_e_rates(disagreed, pairs, 1 - RULE.agreement)  # type: ignore[operator]
    return [agreement, mean_of(shifts), log_e_rates(mine, mine + other, 0.5)]


def log_e_rates(bad: Array, of: Array, null: float) -> Array:
    """`log_e_rate` above `null`."""
    odds = null / (1 - null) * np.array(ABOVE)
    rates = (odds / (1 + odds))[:, None]
    return mean_of(bad * np.log(rates / null) + (of - bad) * (np.log1p(-rates) - np.log1p(-null)))


def mean_of(logs: Array) -> Array:
    top = logs.max(axis=0)
    return top + np.log(np.exp(logs - top).mean(axis=0))


def played(model: Model, mirrored: bool, runs: int, jobs: int) -> list[Seen]:
    seeds = [f"{model.name}/{mirrored}/{number}" for number in range(runs)]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(partial(one_run, model=model, mirrored=mirrored), seeds, chunksize=50))


def bounded(count: int, runs: int) -> str:
    share = count / runs
    upper = share + 1.645 * math.sqrt(max(share * (1 - share), 1 / runs) / runs)
    return f"{share:.4f} (≤ {upper:.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    started, worst = time.monotonic(), 0.0
    ways = ((True, "copies"), (False, "canary"))
    print(f"{LOOKS} looks, {A_LOOK} requests each, {SHARE:.0%} of them the candidate's, alpha {ALPHA}\n")
    print("| candidate | requests | runs | agreement | scores | usable scores | any, in a plan |")
    print("|---|---|---|---|---|---|---|")
    for model in HARMLESS:
        for mirrored, way in ways:
            found = played(model, mirrored, options.runs, options.jobs)
            over = [sum(one.greatest[at] >= math.log(1 / ALPHA) for one in found) for at in range(3)]
            every = sum(one.after is not None for one in found)
            worst = max(worst, *(count / options.runs for count in (*over, every)))
            cells = [bounded(count, options.runs) for count in (*over, every)]
            print(f"| {model.name} | {way} | {options.runs:,} | {' | '.join(cells)} |", flush=True)
    print("\n| candidate | requests | runs | shown | after so many of its answers, median |\n|---|---|---|---|---|")
    for model in HARMFUL:
        mirrored = model.disagrees > 1 - RULE.agreement  # type: ignore[operator]
        found = played(model, mirrored, options.runs // 10, options.jobs)
        needed = sorted(one.after for one in found if one.after is not None)
        median = f"{needed[len(needed) // 2]:,}" if len(needed) * 2 > len(found) else "–"
        way = dict(ways)[mirrored]
        print(f"| {model.name} | {way} | {len(found):,} | {len(needed) / len(found):.1%} | {median} |", flush=True)
    print(f"\nfalse rollbacks at the worst: {worst:.4f}, alpha {ALPHA}; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()

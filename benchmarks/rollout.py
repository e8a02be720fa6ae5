"""How often the rollout's judge errs, and how long it needs: `python benchmarks/rollout.py [--runs 5000] [--jobs 2]`.

1. False rollbacks of a harmless candidate, looked at every second for 600 s, 100 requests a second, with a base error
   rate of 1 % that drifts by half of itself: it must not be more often than alpha, however often one looks.
2. How long until harm is seen, by how harmful the candidate is, and how many of its answers failed until then.
3. How many requests of a harmless candidate are needed to show its health.
4. The whole plan that `pedigree rollout start` takes without a file, played from its first step to its end.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import repeat

from tfx_pedigree.rollout.eprocess import RatioTest, log_e_rate
from tfx_pedigree.rollout.plan import canary
from tfx_pedigree.rollout.simulate import DRIFT, End, Traffic, binomial, play

ALPHA = 0.05
PER_SECOND = 100
SECONDS = 600
BASE = 0.01
SHARES = (0.05, 0.25, 0.5)
RATIOS = (1.0, 1.5, 2.0, 5.0, 20.0)


@dataclass(frozen=True)
class Seen:
    """When harm was seen, and what the candidate had done until then; None where it was not."""

    second: int | None
    requests: int
    failures: int


def one_run(seed: str, share: float, ratio: float) -> Seen:
    """Looks once a second at what was counted, as the controller does."""
    draw, test = random.Random(seed), RatioTest(1.0, True)
    phase, requests, failures = draw.random() * 2 * math.pi, 0, 0
    for second in range(1, SECONDS + 1):
        rate = BASE * (1 + DRIFT * math.sin(phase + second / 60))
        mine = binomial(draw, PER_SECOND, share)
        bad, others = binomial(draw, mine, min(1.0, rate * ratio)), binomial(draw, PER_SECOND - mine, rate)
        requests, failures = requests + mine, failures + bad
        test = test.after((mine, bad), (PER_SECOND - mine, others))
        if bad and test.log_e >= math.log(1 / ALPHA):
            return Seen(second, requests, failures)
    return Seen(None, requests, failures)


def requests_for_health(seed: str, share: float, margin: float, base: float) -> int:
    """Of a harmless candidate, until its rate is shown to be below `margin` times the stable one's."""
    draw, test, requests = random.Random(seed), RatioTest(margin, False), 0
    look = max(1, round(1 / base))
    while requests < 2_000_000:
        mine = binomial(draw, look, share)
        bad, others = binomial(draw, mine, base), binomial(draw, look - mine, base)
        requests += mine
        test = test.after((mine, bad), (look - mine, others))
        if test.log_e >= math.log(1 / ALPHA):
            break
    return requests


def whole_plan(seed: str, ratio: float) -> tuple[str, float, int]:
    found = play(canary(), Traffic(PER_SECOND, BASE), ratio, random.Random(seed))
    return found.end.value, found.seconds, found.candidate_requests


def upper_bound(count: int, runs: int) -> float:
    """The 95 % upper bound of a share, by the normal distribution."""
    share = count / runs
    return min(1.0, share + 1.645 * math.sqrt(max(share * (1 - share), 1 / runs) / runs))


def spread(pool: ProcessPoolExecutor, work: Callable[..., object], runs: int, *arguments: object) -> list[object]:
    seeds = [f"{work.__name__}/{arguments}/{number}" for number in range(runs)]
    return list(pool.map(work, seeds, *(repeat(one) for one in arguments), chunksize=max(1, runs // 50)))


def table(heading: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    print(f"\n{heading}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(list(columns)))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5000, help="runs of a harmless candidate for each share")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    began, runs, few = time.monotonic(), arguments.runs, max(20, arguments.runs // 10)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        spread_ = partial(spread, pool)
        rows, worst = [], 0.0
        for share in SHARES:
            for ratio in RATIOS:
                count = runs if ratio == 1.0 else few
                found = [one for one in spread_(one_run, count, share, ratio) if isinstance(one, Seen)]
                seen = [one for one in found if one.second is not None]
                if ratio == 1.0:
                    worst = max(worst, len(seen) / count)
                medians = [
                    f"{statistics.median(getattr(one, name) or SECONDS for one in (seen or found)):,.0f}"
                    for name in ("second", "requests", "failures")
                ]
                bound = f"{len(seen) / count:.4f} (≤ {upper_bound(len(seen), count):.4f})"
                rows.append([f"{share:.0%}", f"{ratio:g}", f"{count:,}", bound, *(medians if ratio > 1 else ["–"] * 3)])
        columns = ("share", "true ratio", "runs", "seen as harm", "median s", "median requests", "median failures")
        table(f"A look every second, {PER_SECOND} requests/s, {BASE:.0%} errors ± 50 %, alpha {ALPHA}", columns, rows)
        health = [
            [
                f"{base:.1%}",
                *(
                    f"{statistics.median(map(int, spread_(requests_for_health, 40, 0.25, m, base))):,.0f}"
                    for m in (1.5, 2.0, 3.0)
                ),
            ]  # type: ignore[arg-type]
            for base in (0.01, 0.001)
        ]
        table("Requests of a harmless candidate at 25 % until its health is shown (median)",
              ("base rate", "margin 1.5", "margin 2", "margin 3"), health)  # fmt: skip
        print(f"Below 2 % (`acceptable`) by itself: {acceptable(0.02):,} requests without an error.")
        whole = []
        for ratio in RATIOS:
            ends = [one for one in spread_(whole_plan, max(20, few // 5), ratio) if isinstance(one, tuple)]
            shares = [f"{sum(one[0] == end.value for one in ends) / len(ends):.1%}" for end in End]
            whole.append([f"{ratio:g}", f"{len(ends)}", *shares, f"{statistics.median(one[1] for one in ends):,.0f}"])
        table(
            "The canary without a file, to its end",
            ("true ratio", "runs", *(end.value for end in End), "median s"),
            whole,
        )
    print(f"\nfalse rollbacks at the worst share: {worst:.4f}, alpha {ALPHA}; {time.monotonic() - began:.0f} s")
    assert worst <= ALPHA, "the judge rolls harmless candidates back more often than it promises"


def acceptable(null: float) -> int:
    """How many requests without an error show that the rate is below `null`."""
    return next(n for n in range(1, 10**6) if log_e_rate(0, n, null, above=False) >= math.log(2 / ALPHA))


if __name__ == "__main__":
    main()

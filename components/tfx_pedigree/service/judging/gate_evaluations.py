"""The gate on evaluations of TFMA that lie in folders: one of both models, or one of each.

Of two evaluations that were made apart nobody measured how the models vary together. The interval of their difference
is then as wide as it can be for any two: from each one's worse end to the other's better one. It is never too narrow,
and often too wide to decide. What was not measured on the same rows is not compared at all.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.comparison import (
    GateDecision,
    Key,
    MetricRow,
    MetricValue,
    Policy,
    Scores,
    Verdict,
    base_of,
    decide,
)
from tfx_pedigree.comparison.config_reader import from_data
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.service.pipelines import tfx_process

APART = (
    "the two evaluations were made apart: the intervals of the differences are as wide as they could be, and a PASS "
    "needs more than in one evaluation of both models"
)
# What is the same for every model, if the rows are.
_OF_THE_ROWS = ("example_count", "positives", "negatives", "mean_label")
_COUNT = "example_count"

Metrics = Mapping[Key, MetricValue]
Rows = Sequence[MetricRow]


def by_evaluations(policy: Policy, challenger: Path, champion: Path | None) -> GateDecision:
    """Of the folders in which TFMA wrote. Without the second one the first may hold the baseline as well."""
    folders = [challenger] if champion is None else [challenger, champion]
    first, *second = read_evaluations(folders, policy.confidence)
    return judge_apart(policy, first, second[0]) if second else judge_together(policy, first)


def judge_together(policy: Policy, rows: Rows) -> GateDecision:
    champion = {row.key: row.champion for row in rows if row.champion}
    differences = {row.key: row.difference for row in rows if row.difference}
    return decide(policy, Scores(_new(rows)), Scores(champion) if champion else None, differences=differences)


def judge_apart(policy: Policy, challenger: Rows, champion: Rows) -> GateDecision:
    new, old = _new(challenger), _new(champion)
    decision = decide(policy, Scores(new), Scores(old), differences=differences_apart(new, old))
    if problem := other_rows(new, old):
        return GateDecision(Verdict.INSUFFICIENT, f"Not decided: {problem}.", warnings=decision.warnings)
    return replace(decision, warnings=(*decision.warnings, APART)) if policy.confidence is not None else decision


def differences_apart(new: Metrics, old: Metrics) -> dict[Key, MetricValue]:
    """The standard error of a difference is at most the sum of both, however the two vary together."""
    found = {}
    for key in {*new} & {*old}:
        mine, theirs = new[key], old[key]
        ends = None
        if mine.interval is not None and theirs.interval is not None:
            ends = mine.interval[0] - theirs.interval[1], mine.interval[1] - theirs.interval[0]
            ends = ends if all(map(math.isfinite, ends)) else None
        found[key] = MetricValue(mine.value - theirs.value, ends, mine.count)
    return found


def other_rows(new: Metrics, old: Metrics) -> str | None:
    """Why the two are not known to be of the same rows."""
    if Key(_COUNT) not in new or Key(_COUNT) not in old:
        return (
            "an evaluation does not say how many examples it is of (its EvalConfig lacks an unweighted ExampleCount), "
            "so nothing says that both are of the same rows"
        )
    for key in sorted({*new} & {*old}):
        mine, theirs = new[key].value, old[key].value
        if base_of(key.metric) in _OF_THE_ROWS and not math.isclose(mine, theirs, rel_tol=1e-9):
            return f"the evaluations are not of the same rows: {key} is {mine:g} in one and {theirs:g} in the other"
    return None


def _new(rows: Rows) -> Metrics:
    return {row.key: row.challenger for row in rows if row.challenger}


def read_evaluations(folders: Sequence[Path], confidence: float | None) -> list[Rows]:
    """By TFMA, in a process of its own."""
    tfx_process.check_tfx()
    with tempfile.TemporaryDirectory(prefix="pedigree-") as place:
        result, log = Path(place, "rows.json"), Path(place, "log")
        order = {
            "path": place,
            "log": str(log),
            "folders": [str(folder.resolve()) for folder in folders],
            "confidence": confidence,
            "result": str(result),
        }
        done = tfx_process.start(tfx_process.READ_EVALUATIONS, order, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        if done.returncode or not result.exists():
            said = done.stderr.strip().splitlines()[-1:] or [f"The process {tfx_process.how_ended(done.returncode)}."]
            if not said[0].startswith("Error: "):
                raise UnavailableError(f"TFMA could not read the evaluations: {said[0]}")
            raise InvalidInputError(said[0].removeprefix("Error: "))
        rows = from_data(parse_json(result.read_bytes(), "TFMA's numbers"), "TFMA's numbers")
        return [one.each(lambda row: row.record(MetricRow)) for one in rows.items()]

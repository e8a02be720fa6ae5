"""What the registry gets to know of a version at the end of a run: evidence, metrics, tags. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from tfx_pedigree.comparison import OVERALL, Comparison, Direction, Key
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import ROLLOUT, WITHHELD_BY, WITHOUT_THEM, Evidence, Facts, Verdict
from tfx_pedigree.service.versions.tracked_run import TrackedRun
from tfx_pedigree.service.versions.version_record import tags_of
from tfx_pedigree.text import short_digest

EVALUATOR = "The Evaluator"
INFRA = "The infrastructure's validation"
ANOTHER_CANDIDATE = "another candidate of the run"
# Who was heard beside the gate and the Evaluator, and blessed.
BLESSED_BY = "blessed_by"


def judged(record: Mapping[str, Any], compared: Evidence | None, blessings: Mapping[str, bool]) -> Evidence | None:
    """What stands at the end: the comparison's evidence with the blessings, by the name of who gave or withheld them.
    None if nobody judged."""
    if compared is None:
        return _without_comparison(record, blessings) if blessings else None
    if compared.challenger != record["digest"]:
        raise InvalidInputError(
            f"The comparison is about {short_digest(compared.challenger)}, but the version is {record['model']} "
            f"{record['version']} ({short_digest(record['digest'])}). Connect the comparison and the version of the "
            "same run."
        )
    return _with_blessings(compared, blessings)


def _without_comparison(record: Mapping[str, Any], blessings: Mapping[str, bool]) -> Evidence:
    """The word of the blessings alone, where no comparator was in the pipeline."""
    champion = record.get("champion")
    names = " and ".join(blessings)
    baseline = f"{champion['version']} as champion" if champion else "no champion"
    reason = f"{names} blessed the model, with {baseline} at that time; no comparison was made."
    evidence = Evidence(record["digest"], champion["digest"] if champion else None, Verdict.PASS, reason)
    return _with_blessings(evidence, blessings)


def _with_blessings(evidence: Evidence, blessings: Mapping[str, bool]) -> Evidence:
    """A blessing that was withheld outweighs a PASS. It must stand in the registry: the newest evidence is the gate."""
    withheld = [name for name, blessed in blessings.items() if not blessed]
    if blessings.get(INFRA):
        evidence = dataclasses.replace(evidence, details={**evidence.details, BLESSED_BY: [INFRA]})
    if not withheld or evidence.verdict is not Verdict.PASS:
        return evidence
    return _withheld(evidence, withheld, f"{' and '.join(withheld)} did not bless the model.")


def _withheld(evidence: Evidence, by: list[str], reason: str) -> Evidence:
    details = {**evidence.details, WITHHELD_BY: by, WITHOUT_THEM: evidence.reason}
    return dataclasses.replace(evidence, verdict=Verdict.FAIL, reason=reason, details=details)


def best_of_candidates(
    comparison: Comparison, evidence: Evidence, rivals: Iterable[tuple[Comparison, Evidence]]
) -> Evidence:
    """Of several candidates of one run that pass, the best is promoted. The others keep their numbers, and the reason.
    Each of them was a decision, which an error budget counts."""
    own = _score(comparison)
    if evidence.verdict is not Verdict.PASS or own is None:
        return evidence
    for other, judged_other in rivals:
        score = _score(other)
        if other.model != comparison.model or judged_other.verdict is not Verdict.PASS or score is None:
            continue
        ahead = score - own if comparison.policy.better is Direction.HIGHER else own - score
        if ahead > 0 or (ahead == 0 and other.challenger.digest < comparison.challenger.digest):
            metric, version = comparison.policy.metric, other.challenger.version
            how = "better" if ahead else "as good, and comes first"
            reason = f"{version}, {ANOTHER_CANDIDATE}, is {how}: its {metric} is {score:.6g}, this one's {own:.6g}."
            return _withheld(evidence, [ANOTHER_CANDIDATE], reason)
    return evidence


def _score(comparison: Comparison) -> float | None:
    row = next((one for one in comparison.metrics if one.key == Key(comparison.policy.metric)), None)
    return row.challenger.value if row is not None and row.challenger is not None else None


def says_nothing_new(known: Evidence | None, found: Evidence) -> bool:
    """Whether the same question got the same answer. A repeated run measures another latency, and decides the same."""
    if known is None:
        return False
    if known.digest == found.digest:
        return True
    if ROLLOUT in known.details and WITHOUT_THEM in known.details:  # a PASS that a rollout was started on
        known = dataclasses.replace(known, verdict=Verdict.PASS)
    return found.evaluation_data is not None and _answer(known) == _answer(found)


def _answer(evidence: Evidence) -> tuple[Any, ...]:
    asked = (evidence.challenger, evidence.champion, evidence.evaluation_data, evidence.policy)
    return (*asked, evidence.verdict, evidence.recommendation)


def is_made_of(kept: Evidence, found: Evidence) -> bool:
    """Whether what the registry keeps is this evidence, as it came or with a blessing that was withheld."""
    details = {key: value for key, value in kept.details.items() if key not in (WITHHELD_BY, WITHOUT_THEM, BLESSED_BY)}
    as_it_came = dataclasses.replace(
        kept, verdict=found.verdict, reason=kept.details.get(WITHOUT_THEM, kept.reason), details=details
    )
    return as_it_came.digest == found.digest


def facts_of(record: Mapping[str, Any], comparison: Comparison | None) -> Facts:
    measured = Facts(_metrics(comparison) if comparison else {}, tags_of(record))
    run = record.get("tracked_run")
    return TrackedRun.from_json(run).facts(measured) if run else measured


def _metrics(comparison: Comparison) -> dict[str, float]:
    """Over all examples; the slices stay in the evidence and the comparison."""
    found = {row.metric: row.challenger.value for row in comparison.metrics if row.slice == OVERALL and row.challenger}
    latency = comparison.challenger.latency
    if latency is not None:
        found |= {"latency_p50_ms": latency.p50_ms, "latency_p95_ms": latency.p95_ms}
    return found

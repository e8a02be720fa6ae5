"""The second half of an explanation: what a version was compared with, what the gate said, when it served and why."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.graph import EdgeKind
from tfx_pedigree.lineage.neighbours import Neighbours
from tfx_pedigree.lineage.version_context import ExplanationInput
from tfx_pedigree.registry import Event, Evidence, Version
from tfx_pedigree.registry.differences import compare_metrics
from tfx_pedigree.text import format_minute, listed, plain

_MOVES = {"promote": "promoted it to", "rollback": "brought it back to", "restore": "restored it to"}


def judgement(known: ExplanationInput, around: Neighbours) -> Iterator[str]:
    version, evidence = known.version, known.evidence
    measured = around.evaluation_data
    if measured:
        yield f"It was measured on {listed(map(wording.data, measured), 3)}."
    if evidence is None:
        yield (
            f"Nobody judged it: no evidence is attached to {version.name}. A pipeline with VersionComparator attaches "
            f"it, or `pedigree evidence attach {version.model}@{version.version} FILE`."
        )
    else:
        yield from _verdict(evidence, known.baseline)
    yield from _metrics(known)


def _verdict(evidence: Evidence, baseline: Version | None) -> Iterator[str]:
    if evidence.champion is None:
        yield "It was compared with nothing: there was no champion."
    else:
        rival = baseline.name if baseline else wording.short(evidence.champion)
        yield f"It was compared with {rival}, the champion then."
    yield f"The gate said {evidence.verdict.value}: {wording.whole(evidence.reason)}"
    if evidence.policy:
        yield f"The policy that decided has the digest {wording.short(evidence.policy)}."


def _metrics(known: ExplanationInput) -> Iterator[str]:
    version, baseline = known.version, known.baseline
    if baseline is None:
        compared = compare_metrics(version, version, None, None)
    else:
        compared = compare_metrics(baseline, version, known.baseline_evidence, known.evidence)
    said = [
        f"{plain(row.name)} {wording.value(row.new)}"
        + (f" ({baseline.version}: {wording.value(row.old)})" if baseline and row.old is not None else "")
        for row in compared.rows
        if row.new is not None
    ]
    if said:
        yield f"Its metrics are {listed(said, 12)}."
        if compared.note:
            yield compared.note


def use(known: ExplanationInput, around: Neighbours) -> Iterator[str]:
    version = known.version
    moves = [event for event in known.events if event.action in (*_MOVES, "replace", "archive")]
    for event in moves:
        yield _move(event, known.causes.get(event.position))
    if version.state.value == "production":
        yield "It is champion now."
    elif known.reigns:
        yield f"It was champion {wording.times(len(known.reigns))}, and is not now: its state is {version.state}."
    else:
        yield f"It never was champion: its state is {version.state}."
    if version.refusal:
        # Somebody may have overridden it, or brought other evidence afterwards.
        champion = version.state.value == "production"
        said = (
            "The gate is against it, though it is in production" if champion else "The gate keeps it out of production"
        )
        yield f"{said}: {wording.whole(version.refusal)}"
    for node in around.sources(EdgeKind.DEPLOYS):
        destination = node.content.get("destination")
        when = wording.served(node)
        to = f" to {plain(str(destination))}" if destination else ""
        yield f"It was deployed{to}{f': {plain(listed(when, 4))}' if when else ''}."
    later = around.sources(EdgeKind.SUPERSEDES)
    if later:
        yield f"After it came {listed(map(wording.label, later), 3)}."


def _move(event: Event, cause: Event | None) -> str:
    when = f"On {format_minute(event.at)} {plain(event.actor)}"
    if event.action == "replace":
        by = plain(str(event.details.get("by")))
        verb = f"rolled back from it to {by}" if cause and cause.action == "rollback" else f"replaced it by {by}"
        return f"{when} {verb}{_why(cause)}"
    if event.action == "archive":
        return f"{when} archived it{_why(event)}"
    return f"{when} {_MOVES[event.action]} {event.to_state}{_why(event)}"


def _why(event: Event | None) -> str:
    return f": {wording.whole(event.reason)}" if event is not None and event.reason else "."

"""Compare: in what do two versions differ, and which is better? Differences first."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.comparison.report.page import sections
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.html import Markup, join
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.kept import Kept
from tfx_pedigree.lineage.differences import LineageDiff
from tfx_pedigree.registry import LATEST, Evidence, Registry, Row, Version
from tfx_pedigree.server.pages.view import Asked, Moved, View, of_comparison
from tfx_pedigree.service.judging.gate import COMPARISON, kept_comparison

_GROUPS = (
    ("parameters", "Parameters"),
    ("training", "Training"),
    ("interface", "Interface"),
    ("making", "Features"),
    ("code", "Code"),
    ("modules", "Modules"),
    ("environment", "Environment"),
    ("packages", "Packages"),
)

_DRAWN: Kept[Markup] = Kept(64)


@dataclass(frozen=True)
class ComparePage(JsonForm):
    """`verdict` and `reason` are of the evidence that judges one of the two against the other, where there is any."""

    difference: LineageDiff
    verdict: str | None
    reason: str | None
    judged: str | None


def chosen(asked: Asked) -> Moved:
    """Two versions that were chosen in a form, or the champion and the newest: their comparison has its own address."""
    model, registry = asked.path("model"), asked.registry
    new = registry.get(f"{model}@{asked.query('new') or LATEST}")
    selector = asked.query("old") or registry.model(model).champion
    if not asked.query("old") and selector == new.version:
        selector = new.predecessor
    if selector is None:
        raise NotFoundError(f"{new.name} stands alone: {model} has no version to compare it with. Name two of them.")
    return Moved(of_comparison(model, registry.get(f"{model}@{selector}").version, new.version))


def page(asked: Asked) -> View | Moved:
    model = asked.path("model")
    old, dots, new = asked.path("pair").partition("...")
    if not dots or not old or not new:
        raise InvalidInputError(f"{model} is compared at an address such as `/models/{model}/compare/1.0.0...1.1.0`.")
    found = asked.workspace.lineage.diff(f"{model}@{old}", f"{model}@{new}")
    if (found.old.version, found.new.version) != (old, new):
        return Moved(of_comparison(model, found.old.version, found.new.version))
    judged, evidence = _judged(asked.registry, found.old, found.new)
    made = ComparePage(
        found, evidence.verdict.value if evidence else None, evidence.reason if evidence else None, judged
    )
    everything = asked.query("all") == "1"
    extra = {
        "groups": [(title, _shown(getattr(found, name), everything)) for name, title in _GROUPS],
        "metrics": found.metrics,
        "everything": everything,
        "report": _report(evidence) if evidence else None,
        "digest": evidence.digest if evidence else None,
    }
    command = ("diff", f"{model}@{old}", f"{model}@{new}")
    return View("compare.html", f"{model}: {old} and {new}", made, command, extra)


def _shown(rows: tuple[Row, ...], everything: bool) -> list[Row]:
    return [row for row in rows if everything or row.differs]


def _judged(registry: Registry, old: Version, new: Version) -> tuple[str | None, Evidence | None]:
    """The number of the version that the evidence judges: the new one against the old one, else the other way."""
    held = registry.evidence_by_version(old.model, (old.version, new.version)) if old.model == new.model else {}
    for challenger, champion in ((new, old), (old, new)):
        found = held.get(challenger.version)
        if found is not None and found.champion == champion.digest:
            return challenger.version, found
    return None, None


def _report(evidence: Evidence) -> Markup | None:
    """Without its verdict, which stands on top of the page."""
    if COMPARISON not in evidence.details:
        return None
    if (drawn := _DRAWN.get(evidence.digest)) is not None:
        return drawn
    try:
        return _DRAWN.keep(evidence.digest, join(sections(kept_comparison(evidence))[1:]))
    except InvalidInputError:  # made elsewhere, or by a later release: its verdict stands all the same
        return None

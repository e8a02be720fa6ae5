"""Version: why this number, what went in, and may it serve?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.lineage.explain import Section
from tfx_pedigree.registry import Action, Event, PromotionPreview, Role, State, Version
from tfx_pedigree.server.pages.downloads import DOCUMENTS
from tfx_pedigree.server.pages.evidence_parts import checks
from tfx_pedigree.server.pages.view import (
    Asked,
    Moved,
    Offer,
    View,
    of_comparison,
    of_lineage,
    of_version,
    offer,
    with_query,
)
from tfx_pedigree.service.versions.version_sheet import VersionSheet, version_sheet

# Where people write down what a version is: an ordinary tag, in Markdown.
DESCRIPTION = "description"
_EVENTS = 12
# What the page says elsewhere.
_SAID = ("version", "judgement", "use")


@dataclass(frozen=True)
class VersionPage(JsonForm):
    """`preview` says what a promotion to production would find; None for the champion and for a reserved version."""

    sheet: VersionSheet
    preview: PromotionPreview | None
    recorded: bool
    made_from: tuple[Section, ...]
    history: tuple[Event, ...]


def page(asked: Asked) -> View | Moved:
    model, selector = asked.path("model"), asked.path("version")
    registry = asked.registry
    sheet = version_sheet(registry, f"{model}@{selector}")
    version = sheet.version
    if version.version != selector:
        return Moved(with_query(of_version(model, version.version), dict(asked.request.query_params)))
    exact = f"{model}@{version.version}"
    served = version.state in (State.PRODUCTION, State.RESERVED)
    explained = asked.workspace.lineage.explain(exact)
    made = VersionPage(
        sheet,
        None if served else registry.preview_promotion(exact),
        explained.recorded,
        tuple(one for one in explained.sections if one.name not in _SAID),
        registry.history(model, version.version, limit=_EVENTS).items,
    )
    champion = made.preview.champion if made.preview else None
    rival = sheet.baseline or champion or version.predecessor
    protection = registry.protection(model)
    asked_for = registry.approval_requests(model, limit=_EVENTS).items if protection else ()
    extra = {
        "protection": protection,
        "requests": [one for one in asked_for if one.version == version.version],
        "offers": list(_offers(registry.role(model), version, protection is not None)),
        "checks": checks(sheet.evidence) if sheet.evidence else [],
        "compare": of_comparison(model, rival, version.version) if rival and rival != version.version else None,
        "rival": rival,
        "lineage": of_lineage(exact),
        "documents": [(name, one) for name, one in DOCUMENTS.items() if sheet.evidence or not one.judged],
        "pull": f"pedigree pull {exact} FOLDER",
        "description": version.tags.get(DESCRIPTION, ""),
        "tags": {key: text for key, text in sorted(version.tags.items()) if key != DESCRIPTION},
        "done": _done(made.history, asked.query("done")),
    }
    return View("version.html", version.name, made, ("show", exact), extra)


def _done(history: tuple[Event, ...], position: str) -> Event | None:
    """What was just done, from the log: nothing that an address says stands on the page."""
    return next((one for one in history if str(one.position) == position), None)


def _offers(role: Role | None, version: Version, protected: bool) -> Iterator[Offer]:
    at = of_version(version.model, version.version)
    state = version.state
    if state in (State.DEVELOPMENT, State.STAGING):
        kind = "" if version.refusal else "main"
        yield offer(role, Action.PROMOTE_TO_PRODUCTION, "Promote to production", f"{at}/promote", kind)
    if protected and state in (State.DEVELOPMENT, State.STAGING):
        yield offer(role, Action.REQUEST_PROMOTION, "Ask for approvals", f"{at}/request")
    if state is State.DEVELOPMENT:
        yield offer(role, Action.PROMOTE_TO_STAGING, "Move to staging", f"{at}/stage")
    if state is State.PRODUCTION:
        yield offer(role, Action.ROLLBACK, "Roll back", f"/models/{version.model}/actions/rollback", "danger")
    if state is State.ARCHIVED and not version.withdrawn:
        yield offer(role, Action.ROLLBACK, "Bring back into production", f"{at}/bring-back", "danger")
    if state is State.ARCHIVED:
        yield offer(role, Action.RESTORE, "Restore", f"{at}/restore")
    if not version.withdrawn:
        action = Action.ARCHIVE_CHAMPION if state is State.PRODUCTION else Action.ARCHIVE
        yield offer(role, action, "Archive", f"{at}/archive", "danger")
    yield offer(role, Action.SET_ALIAS, "Set an alias", f"{at}/alias")
    yield offer(role, Action.ANNOTATE, "Describe", f"{at}/describe")
    yield offer(role, Action.ANNOTATE, "Tag", f"{at}/tag")

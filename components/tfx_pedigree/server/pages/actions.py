"""Pages that change something: first what will change and a reason, then, once, the change.

Whoever sends a form says what he saw: what concerns the version and happened since then refuses it, and is shown.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Event, PromotionPreview, Registry, RequestKey, State, Version, every
from tfx_pedigree.server.forms import done_once
from tfx_pedigree.server.pages.deeds import DEEDS, Deed, Form, Situation, request_of
from tfx_pedigree.server.pages.reigns import goes_back_to, reigns
from tfx_pedigree.server.pages.view import Asked, Moved, View, of_version, offer, with_query
from tfx_pedigree.wire import problem_of

_PAGE = 100
_MOST = 1000
_LEADS = (State.PRODUCTION.value,)


@dataclass(frozen=True)
class ActionPage(JsonForm):
    """`seen` is the newest event that the page knows; `happened` what came after the one that the form knew."""

    action: str
    version: Version
    champion: str | None
    changes: tuple[str, ...]
    preview: PromotionPreview | None
    seen: int
    happened: tuple[Event, ...] = ()
    refusal: str | None = None


def page(asked: Asked) -> View:
    return _page(asked, _deed(asked), {})


def carry_out(asked: Asked, form: Form) -> View | Moved:
    deed = _deed(asked)
    seen = form.get("seen", "")
    if not seen.isdecimal() or len(seen) > 12:
        raise InvalidInputError(
            "The form lacks what was seen on its page. Load the page again, and send it from there."
        )
    key = RequestKey(form.get("idempotency", ""), digest_of(canonical_json([asked.request.url.path, dict(form)])))

    def work(registry: Registry) -> dict[str, Any]:
        """In one transaction: the change, which takes the model's lock, and then whether what was seen still held: what
        others wrote until then stands before it in the log. If not, nothing was done."""
        now = _situation(registry, asked, deed)
        known = _newest(registry, now.version.model)
        version = deed.do(registry, now, form)
        happened = tuple(
            one for one in _happened(registry, now, int(seen)) if one.position <= known or one.actor != registry.actor
        )
        if happened:
            raise StalePageError(happened)
        newest = registry.history(version.model, version.version, limit=1).items
        return {"version": version.version, "done": newest[0].position if newest else None}

    now = _situation(asked.registry, asked, deed)
    try:
        if deed.before is not None:
            deed.before(asked.workspace, now, form)
        found = done_once(asked.registry, key, work)
    except StalePageError as error:
        return _page(asked, deed, form, happened=error.happened, status=409)
    except (ConflictError, InvalidInputError) as error:
        happened = tuple(_happened(asked.registry, now, int(seen)))
        return _page(asked, deed, form, happened=happened, refusal=error)
    return Moved(with_query(of_version(asked.path("model"), found["version"]), {"done": found["done"]}))


class StalePageError(ConflictError):
    """Something happened since the page was made."""

    def __init__(self, happened: tuple[Event, ...]) -> None:
        super().__init__("Something changed since the page was made.")
        self.happened = happened


def _deed(asked: Asked) -> Deed:
    name = asked.path("action")
    on_model = "version" not in asked.request.path_params
    deed = DEEDS.get(name)
    if deed is None or on_model is not (name == "rollback"):
        raise NotFoundError(f"There is no action {name[:40]!r} here. See what can be done on the version's own page.")
    return deed


def _situation(registry: Registry, asked: Asked, deed: Deed) -> Situation:
    model = asked.path("model")
    champion = registry.model(model).champion
    if deed.name != "rollback":
        version = registry.get(f"{model}@{asked.path('version')}")
        judged = bool(registry.evidence_by_version(model, (version.version,)))
        return Situation(version, champion, judged=judged)
    version = registry.get(f"{model}@champion")
    return Situation(version, champion, goes_back_to(reigns(registry, model)))


def _newest(registry: Registry, model: str) -> int:
    found = registry.history(model, limit=1).items
    return found[0].position if found else 0


def _happened(registry: Registry, now: Situation, seen: int) -> Iterator[Event]:
    """Since the event that was seen: what was done to the version, and who became or was champion."""
    model = now.version.model
    for count, one in enumerate(every(lambda after: registry.history(model, limit=_PAGE, after=after))):
        if one.position <= seen or count > _MOST:
            return
        if one.subject == now.version.version or {one.from_state, one.to_state} & set(_LEADS):
            yield one


def _page(
    asked: Asked,
    deed: Deed,
    form: Mapping[str, str],
    *,
    happened: tuple[Event, ...] = (),
    refusal: PedigreeError | None = None,
    status: int = 200,
) -> View:
    registry = asked.registry
    now = _situation(registry, asked, deed)
    version = now.version
    preview = None
    if deed.name in ("promote", "stage"):
        target = State.PRODUCTION if deed.name == "promote" else State.STAGING
        preview = registry.preview_promotion(now.exact, request_of(target, now, {}))
    failed = [one.name for one in preview.checks if not one.passed] if preview else []
    made = ActionPage(
        deed.name,
        version,
        now.champion,
        tuple(deed.changes(now)),
        preview,
        _newest(registry, version.model),
        happened,
        str(refusal) if refusal else None,
    )
    extra = {
        "deed": deed,
        "form": form,
        "expect": now.expect,
        "back_to": now.back_to,
        "key": secrets.token_hex(16),
        "offer": offer(registry.role(version.model), deed.needs(now), deed.title, ""),
        "role": registry.role(version.model),
        "refused_by": failed if set(failed) <= {"gate", "champion"} else [],
    }
    if refusal is not None:
        status = problem_of(refusal).status
    title = f"{deed.title}: {version.name}"
    return View("action.html", title, made, deed.command(now), extra, status=status)

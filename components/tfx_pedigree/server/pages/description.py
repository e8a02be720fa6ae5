"""What people wrote about a model, and the page on which they write it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import ConflictError, InvalidInputError, PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Action, Registry, RequestKey
from tfx_pedigree.server.forms import done_once
from tfx_pedigree.server.pages.view import Asked, Moved, View, of_model, offer, with_query
from tfx_pedigree.service.versions.describing import LONGEST, Description, describe_model, description_of
from tfx_pedigree.wire import problem_of


@dataclass(frozen=True)
class DescribePage(JsonForm):
    model: str
    description: Description | None
    refusal: str | None = None


def page(asked: Asked) -> View:
    return _page(asked, {})


def carry_out(asked: Asked, form: Mapping[str, str]) -> View | Moved:
    """Of two who write at the same time, the second one sees what the first one wrote."""
    model, seen = asked.path("model"), form.get("seen", "")
    if not seen.isdecimal() or len(seen) > 12:
        raise InvalidInputError("The form lacks what was seen on its page. Load the page again, and send it.")
    key = RequestKey(form.get("idempotency", ""), digest_of(canonical_json([asked.request.url.path, dict(form)])))

    def work(registry: Registry) -> Any:
        reason = form.get("reason", "").strip() or None
        change = describe_model(registry, model, form.get("description", ""), reason=reason, expect=int(seen))
        return {"event": change.description.event if change.changed and change.description else None}

    try:
        found = done_once(asked.registry, key, work)
    except (ConflictError, InvalidInputError) as error:
        return _page(asked, form, error)
    return Moved(with_query(of_model(model), {"done": found["event"]}))


def _page(asked: Asked, form: Mapping[str, str], refusal: PedigreeError | None = None) -> View:
    model = asked.path("model")
    found = description_of(asked.registry, model)
    role = asked.registry.role(model)
    stale = isinstance(refusal, ConflictError)
    extra = {
        "form": form,
        "seen": found.event if found else 0,
        "key": secrets.token_hex(16),
        "offer": offer(role, Action.DESCRIBE, "Describe", ""),
        "role": role,
        "stale": stale,
        "longest": LONGEST,
    }
    made = DescribePage(model, found, str(refusal) if refusal else None)
    status = problem_of(refusal).status if refusal else 200
    return View("describe.html", f"Describe {model}", made, ("describe", model, "--file", "FILE"), extra, status)

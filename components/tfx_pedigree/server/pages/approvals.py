"""Approvals: what waits for whom, and what it is that is to be approved."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Action, ApprovalRequest, Evidence, Registry, RequestKey
from tfx_pedigree.server.forms import done_once
from tfx_pedigree.server.pages.view import (
    PAGE,
    Asked,
    Moved,
    Offer,
    View,
    of_comparison,
    of_request,
    of_version,
    offer,
)
from tfx_pedigree.wire import problem_of

_WORDS = ("approve", "reject")


@dataclass(frozen=True)
class RequestLine(JsonForm):
    """A request with the verdict of the evidence that its version has now."""

    request: ApprovalRequest
    verdict: str | None
    reason: str | None


@dataclass(frozen=True)
class ApprovalsPage(JsonForm):
    requests: tuple[RequestLine, ...]
    only_open: bool
    next: str | None


@dataclass(frozen=True)
class RequestPage(JsonForm):
    line: RequestLine
    refusal: str | None = None


def listing(asked: Asked) -> View:
    only_open = asked.query("all") != "1"
    found = asked.registry.approval_requests(only_open=only_open, limit=PAGE, after=asked.given("after"))
    lines = tuple(_lines(asked.registry, found.items))
    extra = {
        "offers": {_key(one): _offers(asked.registry, one) for one in found.items},
        "compare": {_key(one): _compare(one) for one in found.items},
        "after": asked.given("after"),
    }
    made = ApprovalsPage(lines, only_open, found.next)
    return View("approvals.html", "Approvals", made, ("requests",), extra, section="approvals")


def _key(request: ApprovalRequest) -> str:
    return f"{request.model}/{request.number}"


def _lines(registry: Registry, requests: tuple[ApprovalRequest, ...]) -> list[RequestLine]:
    """Evidence is asked for once for each model."""
    held: dict[tuple[str, str], Evidence] = {}
    for model in dict.fromkeys(one.model for one in requests):
        versions = tuple(dict.fromkeys(one.version for one in requests if one.model == model))
        found = registry.evidence_by_version(model, versions)
        held |= {(model, version): evidence for version, evidence in found.items()}
    return [_line(one, held.get((one.model, one.version))) for one in requests]


def _line(request: ApprovalRequest, evidence: Evidence | None) -> RequestLine:
    if evidence is None:
        return RequestLine(request, None, None)
    return RequestLine(request, evidence.verdict.value, evidence.reason)


def _compare(request: ApprovalRequest) -> str | None:
    return of_comparison(request.model, request.replaces, request.version) if request.replaces else None


def _offers(registry: Registry, request: ApprovalRequest) -> list[Offer]:
    """Nobody approves what he filed, and nobody twice; both are the registry's rules, told here beforehand."""
    if not request.status.is_open:
        return []
    role, at = registry.role(request.model), of_request(request.model, request.number)
    found = []
    if _blocked(registry, request, "approve") is None:
        found.append(offer(role, Action.APPROVE, "Approve", f"{at}/approve", "main"))
    word = "Withdraw" if request.requested_by == registry.actor else "Reject"
    found.append(offer(role, _action(registry, request, "reject"), word, f"{at}/reject", "danger"))
    return found


def _action(registry: Registry, request: ApprovalRequest, word: str) -> Action:
    """Who filed a request may take it back; to reject those of others needs what approving needs."""
    return Action.REJECT if word == "reject" and request.requested_by == registry.actor else Action.APPROVE


def _blocked(registry: Registry, request: ApprovalRequest, word: str) -> str | None:
    """Why nobody could do this, whatever his role; the registry would refuse it with the same."""
    if not request.status.is_open:
        return f"The request is over: {request.detail}."
    if word == "approve" and request.requested_by == registry.actor:
        return "Whoever filed a request cannot approve it. Somebody else must, or you can withdraw it."
    if word == "approve" and registry.actor in [one.by for one in request.approvals]:
        return "You have approved it already. It needs others, too."
    return None


def page(asked: Asked) -> View:
    return _page(asked, "", {})


def word_page(asked: Asked) -> View:
    return _page(asked, _word(asked), {})


def _word(asked: Asked) -> str:
    word = asked.path("word")
    if word not in _WORDS:
        raise NotFoundError(f"There is no {word[:40]!r} for a request. It can be approved, or rejected.")
    return word


def carry_out(asked: Asked, form: Mapping[str, str]) -> View | Moved:
    """What is approved is bound to the request: had anything of it changed, it would be void, and refused."""
    word, model, number = _word(asked), asked.path("model"), int(asked.path("number"))
    comment = form.get("reason", "").strip() or None
    key = RequestKey(form.get("idempotency", ""), digest_of(canonical_json([asked.request.url.path, dict(form)])))

    def work(registry: Registry) -> Any:
        if word == "approve":
            return {"number": registry.approve(model, number, comment=comment).request.number}
        if comment is None:
            raise InvalidInputError("A reason is needed here: who asked for it wants to know.")
        return {"number": registry.reject(model, number, reason=comment).request.number}

    try:
        found = done_once(asked.registry, key, work)
    except (ConflictError, InvalidInputError) as error:
        return _page(asked, word, form, error)
    return Moved(of_request(model, found["number"]))


def _page(asked: Asked, word: str, form: Mapping[str, str], refusal: PedigreeError | None = None) -> View:
    model, number = asked.path("model"), int(asked.path("number"))
    request = asked.registry.approval_request(model, number)
    line = _lines(asked.registry, (request,))[0]
    extra = {
        "word": word,
        "form": form,
        "key": secrets.token_hex(16),
        "offers": [] if word else _offers(asked.registry, request),
        "compare": _compare(request),
        "mine": request.requested_by == asked.registry.actor,
        "back": of_request(model, number),
        "blocked": _blocked(asked.registry, request, word) if word else None,
        "offer": offer(asked.registry.role(model), _action(asked.registry, request, word), word, ""),
        "role": asked.registry.role(model),
        "of": of_version(model, request.version),
    }
    made = RequestPage(line, str(refusal) if refusal else None)
    title = f"Request {number}: {model} {request.version}"
    command = (word, model, str(number)) if word else ("requests", model)
    status = problem_of(refusal).status if refusal else 200
    return View("approval.html", title, made, command, extra, status, "approvals")

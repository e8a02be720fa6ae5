"""Rollout: how far is it, what was counted, and who can stop it? Live while it goes on."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Action, Event, Registry, RequestKey, Role
from tfx_pedigree.rollout.state import Ask, Phase, Rollout
from tfx_pedigree.server.context import Server
from tfx_pedigree.server.forms import done_once
from tfx_pedigree.server.pages.view import Asked, Moved, Offer, View, of_rollout, offer
from tfx_pedigree.service.rollouts.sheet import RolloutSheet, rollout_sheet
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.wire import problem_of

_MOST = 100
_EVENTS = 40
_ACTION = Action.ROLL_OUT.value
_EVERY = 1.0
_LONGEST = 600.0
_BEAT = 15
_WAYS = (Phase.PREPARING, Phase.VALIDATING, Phase.STEPPING, Phase.PROMOTING, Phase.KEEPING, Phase.DONE)


@dataclass(frozen=True)
class RolloutsPage(JsonForm):
    rollouts: tuple[Rollout, ...]


@dataclass(frozen=True)
class RolloutPage(JsonForm):
    sheet: RolloutSheet
    history: tuple[Event, ...]


@dataclass(frozen=True)
class AskPage(JsonForm):
    """What a person may ask of a rollout, and why it was not done."""

    ask: Ask
    rollout: Rollout
    refusal: str | None = None


def listing(asked: Asked) -> View:
    found = asked.workspace.rollouts.rollouts(limit=_MOST)
    open_first = tuple(sorted(found, key=lambda one: one.state.phase.ended))
    return View("rollouts.html", "Rollouts", RolloutsPage(open_first), ("rollout", "list"), section="rollouts")


def page(asked: Asked) -> View:
    model = asked.path("model")
    number = asked.request.path_params.get("number")
    sheet = rollout_sheet(asked.workspace, model, number)
    rollout = sheet.rollout
    told = asked.registry.history(model, action=_ACTION, limit=_EVENTS).items
    history = tuple(one for one in told if one.details.get("rollout") == rollout.number)
    extra = {
        "offers": _offers(asked.registry.role(model), rollout),
        "ways": _ways(rollout),
        "live": None if rollout.state.phase.ended else f"{of_rollout(model)}/events",
        "bake": rollout.current_step.bake if rollout.current_step else None,
    }
    title = f"Rollout of {model} {rollout.candidate.version}"
    return View(
        "rollout.html", title, RolloutPage(sheet, history), ("rollout", "status", model), extra, 200, "rollouts"
    )


def _ways(rollout: Rollout) -> list[tuple[str, str]]:
    """The phases that lie before it, each with past, now or next; what went back shows only where it is."""
    phase = rollout.state.phase
    if phase not in _WAYS:
        return [(phase.value, "now")]
    at = _WAYS.index(phase)
    return [(one.value, "past" if way < at else "now" if way == at else "next") for way, one in enumerate(_WAYS)]


def _offers(role: Role | None, rollout: Rollout) -> list[Offer]:
    """Abort is always there while something goes on."""
    if rollout.state.phase.ended:
        return []
    words = [("Abort", Ask.ABORT, "danger")]
    if not rollout.state.backwards:
        pausing = ("Resume", Ask.RESUME, "") if rollout.state.paused else ("Pause", Ask.PAUSE, "")
        words += [pausing, ("Next step now", Ask.ADVANCE, "")]
    at = of_rollout(rollout.model)
    return [offer(role, Action.ROLL_OUT, label, f"{at}/{ask.value}", kind) for label, ask, kind in words]


# What a person asks


def ask_page(asked: Asked) -> View:
    return _ask_page(asked, _ask(asked), {})


def _ask(asked: Asked) -> Ask:
    word = asked.path("ask")
    if word not in [one.value for one in Ask]:
        raise NotFoundError(f"There is no {word[:40]!r} for a rollout. Ask for {', '.join(one.value for one in Ask)}.")
    return Ask(word)


def carry_out(asked: Asked, form: Mapping[str, str]) -> View | Moved:
    ask, model = _ask(asked), asked.path("model")
    reason = form.get("reason", "").strip()
    seen = form.get("seen", "")
    key = RequestKey(form.get("idempotency", ""), digest_of(canonical_json([asked.request.url.path, dict(form)])))

    def work(registry: Registry) -> Any:
        """An abort is meant for the rollout whatever its step; what leads forward only for the step that was seen."""
        rollout = Workspace(registry).rollouts.ask(model, ask, reason).rollout
        return {"number": rollout.number}

    try:
        if not reason:
            raise InvalidInputError("A reason is needed here: it stands in the audit log.")
        _check_seen(rollout_sheet(asked.workspace, model).rollout, ask, seen)
        found = done_once(asked.registry, key, work)
    except (ConflictError, InvalidInputError, NotFoundError) as error:
        return _ask_page(asked, ask, form, error)
    return Moved(of_rollout(model, found["number"]))


def _check_seen(rollout: Rollout, ask: Ask, seen: str) -> None:
    number, _, revision = seen.partition(":")
    same = number == str(rollout.number)
    if ask in (Ask.ADVANCE, Ask.RESUME):
        same = same and revision == str(rollout.state.revision)
    if not same:
        raise ConflictError(
            f"Something changed since you looked: {rollout.name} is {rollout.state.phase} now, and "
            f"{rollout.candidate.version} has {rollout.share / 100:g} %. Look again, and send it again if it is still "
            "what you want."
        )


def _ask_page(asked: Asked, ask: Ask, form: Mapping[str, str], refusal: PedigreeError | None = None) -> View:
    model = asked.path("model")
    rollout = rollout_sheet(asked.workspace, model).rollout
    role = asked.registry.role(model)
    extra = {
        "form": form,
        "key": secrets.token_hex(16),
        "offer": offer(role, Action.ROLL_OUT, ask.value, ""),
        "role": role,
        "changes": _CHANGES[ask],
        "back": of_rollout(model),
    }
    made = AskPage(ask, rollout, str(refusal) if refusal else None)
    command = ("rollout", ask.value, model, "--reason", "WHY")
    status = problem_of(refusal).status if refusal else 200
    title = f"{ask.value.capitalize()} the rollout of {model} {rollout.candidate.version}"
    return View("rollout_ask.html", title, made, command, extra, status, "rollouts")


_CHANGES = {
    Ask.ABORT: "All traffic goes back to the stable version, and stays there. It cannot be undone; a new rollout can.",
    Ask.PAUSE: "It stays at its step. The judge goes on: harm that is shown still rolls it back.",
    Ask.RESUME: "It goes on from its step.",
    Ask.ADVANCE: "The next step begins now, whatever is still missing of this one's bake. Harm still rolls it back.",
}


# Live


async def events(server: Server, request: Request) -> Response:
    """A line whenever something of the rollout changed, and one at once: the page then asks for itself again. A beat
    now and then tells it that the stream still reaches it. Who asks is looked at each time, so that nobody goes on
    listening who may no longer read."""
    model = request.path_params["model"]

    def look() -> str:
        sheet = rollout_sheet(Workspace(server.acting(request)), model)
        return digest_of(repr((sheet.rollout.state, sheet.evidence, sheet.observed, sheet.controller)).encode())

    try:
        first = await server.ask(look)
    except PedigreeError as error:
        return Response(str(error), problem_of(error).status, media_type="text/plain")

    async def lines() -> AsyncIterator[bytes]:
        last, quiet = first, 0
        yield f"retry: 3000\ndata: {first[7:19]}\n\n".encode()
        for _ in range(int(_LONGEST / _EVERY)):
            if await request.is_disconnected():
                return
            await asyncio.sleep(_EVERY)
            try:
                now = await server.ask(look)
            except PedigreeError:
                return
            quiet += 1
            if now != last or quiet >= _BEAT:
                yield b"event: beat\ndata: 1\n\n" if now == last else f"data: {now[7:19]}\n\n".encode()
                last, quiet = now, 0

    headers = {"cache-control": "no-store", "x-accel-buffering": "no", "x-content-type-options": "nosniff"}
    return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)

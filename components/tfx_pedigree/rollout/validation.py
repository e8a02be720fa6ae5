"""Recorded requests, sent to both versions before the candidate gets any traffic: do their answers agree?

The file has one JSON body a line, as they are sent to the model's server, and lies in the folder that the target's
config names. A few requests a look: a controller has other rollouts to see to, and leases to renew.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import LARGEST_JSON, open_regular, parse_json
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.rollout.answers import agree
from tfx_pedigree.rollout.plan import Validation
from tfx_pedigree.rollout.state import Rollout
from tfx_pedigree.rollout.traffic.api import ArmState, RouteState
from tfx_pedigree.rollout.traffic.asking import ask

MOST_REQUESTS = 2000
_AT_ONCE_SECONDS = 0.3
_TIMEOUT_SECONDS = 5.0


@dataclass
class _Going:
    """The requests of one rollout, and what came of those that were sent."""

    lines: list[bytes]
    sent: int = 0
    answered: int = 0  # by the stable version: only these say anything
    agreed: int = 0
    took: dict[str, list[float]] = field(default_factory=lambda: {"stable": [], "candidate": []})
    wrong: str | None = None  # the first answer that is no answer


class Validator:
    """Keeps, for each rollout, how far it is. After a crash it begins anew: nothing of it moves traffic. `folder_of`
    says where the recorded requests of a rollout's target are."""

    def __init__(self, folder_of: Callable[[Rollout], Path]) -> None:
        self._folder_of = folder_of
        self._going: dict[tuple[str, int], _Going] = {}

    def validate(self, rollout: Rollout, state: RouteState) -> tuple[bool | None, str | None]:
        """True or False when all requests were sent, None until then; and what there is to say. UnavailableError where
        there are no requests to send, which says nothing about the candidate."""
        plan = rollout.order.plan.validation
        stable = state.arm(rollout.stable.digest) if rollout.stable else None
        candidate = state.arm(rollout.candidate.digest)
        if plan is None:
            return True, None
        if stable is None or candidate is None or stable.address is None or candidate.address is None:
            return None, "The target does not tell where each version can be asked by itself."
        key = (rollout.model, rollout.number)
        going = self._going.get(key)
        if going is None:
            going = self._going[key] = _Going(_lines(self._folder_of(rollout) / plan.requests))
        end = time.monotonic() + _AT_ONCE_SECONDS
        while going.sent < len(going.lines) and time.monotonic() < end:
            _send(going, plan, stable, candidate)
        if going.sent < len(going.lines):
            return None, f"{going.sent} of {len(going.lines)} recorded requests were sent."
        del self._going[key]
        return _verdict(going, plan)


def _lines(file: Path) -> list[bytes]:
    try:
        with open_regular(file) as opened:
            lines = [line for line in opened.read(LARGEST_JSON).splitlines() if line.strip()]
    except OSError as error:
        raise UnavailableError(f"The recorded requests {file} cannot be read: {error.strerror}.") from None
    if not lines:
        raise UnavailableError(f"{file} holds no recorded request.")
    return lines[:MOST_REQUESTS]


def _send(going: _Going, plan: Validation, stable: ArmState, candidate: ArmState) -> None:
    body, going.sent = going.lines[going.sent], going.sent + 1
    answers = {}
    for name, arm in (("stable", stable), ("candidate", candidate)):
        began = time.monotonic()
        answers[name] = _ask(f"{arm.address}{plan.path}", body)
        going.took[name].append(time.monotonic() - began)
    if answers["stable"] is None:
        return
    if answers["candidate"] is None:
        going.wrong = going.wrong or f"The candidate did not answer recorded request {going.sent}."
    going.answered += 1
    going.agreed += agree(answers["stable"], answers["candidate"], plan.tolerance)


def _ask(url: str, body: bytes) -> Any:
    """The parsed answer; None where there is none."""
    try:
        answer = ask(url, "POST", body, seconds=_TIMEOUT_SECONDS)
        return parse_json(answer.body, "the answer") if 200 <= answer.status < 300 else None
    except (UnavailableError, InvalidInputError):
        return None


def _verdict(going: _Going, plan: Validation) -> tuple[bool, str]:
    if not going.answered:
        raise UnavailableError(
            f"The stable version answered none of {going.sent} recorded requests at {plan.path}, so nothing can be "
            "compared."
        )
    share = going.agreed / going.answered
    stable, candidate = (statistics.median(going.took[name]) for name in ("stable", "candidate"))
    said = (
        f"{going.agreed} of {going.answered} answers agree; the median took {candidate * 1000:.1f} ms, "
        f"the stable version's {stable * 1000:.1f} ms."
    )
    if going.wrong is not None:
        return False, f"{going.wrong} {said}"
    if share < plan.agreement:
        return False, f"{said} The plan wants {plan.agreement:.0%} of them to agree."
    if plan.slower is not None and candidate > plan.slower * stable:
        return False, f"{said} The plan allows {plan.slower:g} times the stable version's."
    return True, said

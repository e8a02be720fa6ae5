"""Recorded requests, sent to both versions before the candidate gets any traffic: do their answers agree?

The file has one JSON body a line, as they are sent to the model's server. A few requests a look: a controller has other
rollouts to see to, and leases to renew.
"""

from __future__ import annotations

import http.client
import math
import statistics
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json, read_bounded
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.rollout.plan import Validation
from tfx_pedigree.rollout.state import Rollout
from tfx_pedigree.rollout.traffic.api import ArmState, RouteState

MOST_REQUESTS = 2000
_AT_ONCE_SECONDS = 0.3
_TIMEOUT_SECONDS = 5.0
_LARGEST_ANSWER = 4 << 20


@dataclass
class _Going:
    """The requests of one rollout, and what came of those that were sent."""

    lines: list[bytes]
    sent: int = 0
    agreed: int = 0
    took: dict[str, list[float]] = field(default_factory=lambda: {"stable": [], "candidate": []})
    wrong: str | None = None  # the first answer that is no answer


class Validator:
    """Keeps, for each rollout, how far it is. After a crash it begins anew: nothing of it moves traffic."""

    def __init__(self) -> None:
        self._going: dict[tuple[str, int], _Going] = {}

    def validate(self, rollout: Rollout, state: RouteState) -> tuple[bool | None, str | None]:
        """True or False when all requests were sent, None until then; and what there is to say."""
        plan = rollout.order.plan.validation
        stable = state.arm(rollout.stable.digest) if rollout.stable else None
        candidate = state.arm(rollout.candidate.digest)
        if plan is None:
            return True, None
        if stable is None or candidate is None or stable.address is None or candidate.address is None:
            return None, "The target does not tell where each version can be asked by itself."
        key = (rollout.model, rollout.number)
        try:
            going = self._going.get(key) or self._going.setdefault(key, _Going(_lines(Path(plan.requests))))
        except InvalidInputError as error:
            return False, str(error)
        end = time.monotonic() + _AT_ONCE_SECONDS
        while going.sent < len(going.lines) and time.monotonic() < end:
            _send(going, plan, stable, candidate)
        if going.sent < len(going.lines):
            return None, f"{going.sent} of {len(going.lines)} recorded requests were sent."
        del self._going[key]
        return _verdict(going, plan)


def _lines(file: Path) -> list[bytes]:
    try:
        lines = [line for line in read_bounded(file).splitlines() if line.strip()]
    except OSError as error:
        raise InvalidInputError(f"The recorded requests {file} cannot be read: {error.strerror}.") from None
    if not lines:
        raise InvalidInputError(f"{file} holds no recorded request.")
    return lines[:MOST_REQUESTS]


def _send(going: _Going, plan: Validation, stable: ArmState, candidate: ArmState) -> None:
    body, going.sent = going.lines[going.sent], going.sent + 1
    answers = {}
    for name, arm in (("stable", stable), ("candidate", candidate)):
        began = time.monotonic()
        answers[name] = _ask(f"{arm.address}{plan.path}", body)
        going.took[name].append(time.monotonic() - began)
    if answers["candidate"] is None and answers["stable"] is not None:
        going.wrong = going.wrong or f"The candidate did not answer recorded request {going.sent}."
    going.agreed += agree(answers["stable"], answers["candidate"], plan.tolerance)


def _ask(url: str, body: bytes) -> Any:
    """The parsed answer; None where there is none."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  the target's own address
            return parse_json(answer.read(_LARGEST_ANSWER), "the answer")
    except (OSError, urllib.error.URLError, http.client.HTTPException, InvalidInputError):
        return None


def agree(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(agree(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[key], other[key], tolerance) for key in one)
    return type(one) is type(other) and one == other


def _verdict(going: _Going, plan: Validation) -> tuple[bool, str]:
    share = going.agreed / going.sent
    stable, candidate = (statistics.median(going.took[name]) for name in ("stable", "candidate"))
    said = (
        f"{going.agreed} of {going.sent} answers agree; the median took {candidate * 1000:.1f} ms, "
        f"the stable version's {stable * 1000:.1f} ms."
    )
    if going.wrong is not None:
        return False, f"{going.wrong} {said}"
    if share < plan.agreement:
        return False, f"{said} The plan wants {plan.agreement:.0%} of them to agree."
    if plan.slower is not None and candidate > plan.slower * stable:
        return False, f"{said} The plan allows {plan.slower:g} times the stable version's."
    return True, said

"""Whether a version may go where somebody wants it: pure functions over what the registry holds at that moment.

Each returns what to do or raises the refusal, with the next step in its words. Nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tfx_pedigree.errors import ConflictError, InvalidInputError, StaleEvidenceError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.states import State
from tfx_pedigree.verdict import Verdict

NO_CHAMPION = "none"


@dataclass(frozen=True)
class VersionSnapshot:
    """What matters of a version when it is to be moved."""

    model: str
    version: str
    digest: str
    state: State
    withdrawn: bool = False

    @property
    def name(self) -> str:
        return f"{self.model} {self.version}"


@dataclass(frozen=True)
class Champion:
    version: str
    digest: str
    since: datetime


@dataclass(frozen=True)
class GateResult:
    """What the newest evidence says. `baseline` is the number of the champion that it names, if that is registered."""

    verdict: Verdict
    reason: str
    champion_digest: str | None
    baseline: str | None


@dataclass(frozen=True)
class SignatureCheck:
    """How many keys a model trusts, and whether one of them signed the version."""

    trusted: int = 0
    signed: bool = False


@dataclass(frozen=True)
class PromotionRequest:
    """`expect` names the champion that the caller saw (`none`: that there is none); it outranks the evidence's."""

    target: State = State.PRODUCTION
    expect: str | None = None
    override: bool = False
    reason: str | None = None

    @property
    def action(self) -> Action:
        """What the actor's role must allow."""
        return Action.PROMOTE_TO_PRODUCTION if self.target is State.PRODUCTION else Action.PROMOTE_TO_STAGING

    def __post_init__(self) -> None:
        if self.target not in (State.STAGING, State.PRODUCTION):
            raise InvalidInputError(f"A version is promoted to staging or production, not to {self.target}.")
        if self.override and not (self.reason or "").strip():
            raise InvalidInputError("Overriding the gate needs a reason, which stands in the audit log. Give --reason.")


@dataclass(frozen=True)
class PromotionCheck(JsonForm):
    """One thing that a promotion depends on: whether it stands in the way, and what there is to say of it."""

    name: str
    passed: bool
    detail: str


def decide_promotion(
    subject: VersionSnapshot,
    champion: Champion | None,
    gate: GateResult | None,
    signature: SignatureCheck,
    request: PromotionRequest,
) -> bool:
    """True: promote. False: it is there already, nothing to do. Else the refusal is raised."""
    if subject.state is request.target:
        return False
    _check_promotable(subject, request.target)
    if request.target is State.STAGING:
        return True
    _check_champion(subject, champion, gate, request)
    _check_gate(subject, gate, request)
    _check_signature(subject, signature)
    return True


def check_promotion(
    subject: VersionSnapshot,
    champion: Champion | None,
    gate: GateResult | None,
    signature: SignatureCheck,
    request: PromotionRequest,
) -> tuple[PromotionCheck, ...]:
    """All that `decide_promotion` asks, each with its answer: nothing is raised, and one refusal hides no other."""
    if subject.state is request.target:
        return (PromotionCheck("state", True, f"{subject.name} is in {subject.state} already."),)
    checks = [_checked("state", f"{subject.name} is in {subject.state}.", _check_promotable, subject, request.target)]
    if request.target is State.PRODUCTION:
        checks += [
            _checked("champion", _compared(champion, gate, request), _check_champion, subject, champion, gate, request),
            _checked("gate", _verdict(gate, request), _check_gate, subject, gate, request),
        ]
        if signature.trusted:
            signed = f"A key that {subject.model} trusts signed it."
            checks.append(_checked("signature", signed, _check_signature, subject, signature))
    return tuple(checks)


def _checked(name: str, otherwise: str, check: Callable[..., None], *arguments: Any) -> PromotionCheck:
    try:
        check(*arguments)
    except ConflictError as refusal:
        return PromotionCheck(name, False, str(refusal))
    return PromotionCheck(name, True, otherwise)


def _compared(champion: Champion | None, gate: GateResult | None, request: PromotionRequest) -> str:
    if request.expect is not None:
        how = "as --expect says"
    else:
        how = "as its evidence says" if gate else "and no evidence names another"
    now = _is(champion)
    return f"{now[0].upper()}{now[1:]}, {how}."


def _verdict(gate: GateResult | None, request: PromotionRequest) -> str:
    if gate is None:
        return "It has no evidence, so the gate has no verdict."
    overridden = "" if gate.verdict is Verdict.PASS else "; this is overridden"
    return f"The verdict is {gate.verdict.value} ({gate.reason}){overridden}."


def _check_promotable(subject: VersionSnapshot, target: State) -> None:
    name = subject.name
    if subject.state is State.RESERVED:
        raise ConflictError(
            f"{name} cannot be promoted: it is only reserved. Register it first with "
            f"`pedigree register {subject.model} FOLDER`, or let its run finish."
        )
    if subject.state is State.ARCHIVED and subject.withdrawn:
        raise ConflictError(
            f"{name} cannot be promoted: it was archived on purpose. Restore it with "
            f"`pedigree restore {subject.model}@{subject.version}` and promote it then."
        )
    if subject.state is State.ARCHIVED:
        raise ConflictError(
            f"{name} cannot be promoted: it was champion once and was replaced. Bring it back with "
            f"`pedigree rollback {subject.model} --to {subject.version} --reason WHY`."
        )
    if subject.state is State.PRODUCTION and target is State.STAGING:
        raise ConflictError(
            f"{name} is in production and cannot go back to staging. Roll back with "
            f"`pedigree rollback {subject.model} --reason WHY`, or archive it."
        )


def _check_champion(
    subject: VersionSnapshot, champion: Champion | None, gate: GateResult | None, request: PromotionRequest
) -> None:
    now = champion.version if champion else NO_CHAMPION
    if request.expect is not None:
        if request.expect != now:
            raise StaleEvidenceError(
                f"{subject.name} cannot be promoted: {_expected(request.expect)}, but {_is(champion)}. "
                f"Look at what changed with `pedigree history {subject.model}`, then promote with `--expect {now}`."
            )
        return
    if gate is not None and gate.champion_digest != (champion.digest if champion else None):
        compared = f"compares it with {_baseline(gate)}" if gate.champion_digest else "found no champion"
        again = f"against {now}" if champion else "again without a baseline"
        raise StaleEvidenceError(
            f"{subject.name} cannot be promoted: its evidence {compared}, but {_is(champion)}. "
            f"Run the evaluation {again}, or pass `--expect {now}`."
        )


def _check_gate(subject: VersionSnapshot, gate: GateResult | None, request: PromotionRequest) -> None:
    if gate is None or gate.verdict is Verdict.PASS or request.override:
        return
    raise ConflictError(
        f"{subject.name} cannot be promoted: the gate's verdict is {gate.verdict.value} ({gate.reason}). "
        "Train a better version, or override the gate with "
        f"`pedigree promote {subject.model}@{subject.version} --override --reason WHY`."
    )


def _check_signature(subject: VersionSnapshot, signature: SignatureCheck) -> None:
    """No override: whoever may do without a signature may also take the keys away, and that stands in the log."""
    if not signature.trusted or signature.signed:
        return
    raise ConflictError(
        f"{subject.name} cannot be promoted: {subject.model} takes only versions that one of its {signature.trusted} "
        "trusted keys signed, and none did. Sign it with "
        f"`pedigree sign {subject.model}@{subject.version} --key FILE`; `pedigree trust list {subject.model}` shows "
        "whose signature counts."
    )


def decide_rollback(
    model: str,
    champion: Champion | None,
    target: VersionSnapshot | None,
    *,
    named: bool,
    served: bool,
    expect: str | None,
) -> bool:
    """`target` is the version that would serve; `named` if the caller chose it; `served` if it was ever champion."""
    now = champion.version if champion else NO_CHAMPION
    if expect is not None and expect != now:
        raise StaleEvidenceError(
            f"{model} cannot be rolled back: {_expected(expect)}, but {_is(champion)}. "
            f"Look at what changed with `pedigree history {model}`, then roll back with `--expect {now}`."
        )
    if target is None:
        raise ConflictError(
            f"{model} cannot be rolled back: {now} is its first champion. To take it out of production, archive it: "
            f"`pedigree archive {model}@champion --reason WHY`."
            if champion
            else f"{model} cannot be rolled back: it has no champion to go back to. Choose a version with "
            f"`pedigree versions {model}`, and promote it."
        )
    if target.state is State.PRODUCTION:
        if named:
            return False
        raise ConflictError(f"{model} cannot be rolled back to {target.version}: it is champion now.")
    if not served:
        raise ConflictError(
            f"{model} cannot be rolled back to {target.version}: it was never in production. "
            f"Promote it with `pedigree promote {model}@{target.version}`."
        )
    if target.state is not State.ARCHIVED or target.withdrawn:
        how = "archived on purpose" if target.withdrawn else f"restored and is in {target.state}"
        step = (
            f"Restore it first with `pedigree restore {model}@{target.version}`"
            if target.withdrawn
            else f"Promote it with `pedigree promote {model}@{target.version}`"
        )
        raise ConflictError(
            f"{model} cannot be rolled back to {target.version}: it was {how}. "
            f"{step}, or name another version with --to."
        )
    return True


def decide_archive(subject: VersionSnapshot) -> bool:
    return not subject.withdrawn


def decide_restore(subject: VersionSnapshot) -> bool:
    if subject.state is State.ARCHIVED:
        return True
    if subject.state is State.DEVELOPMENT:
        return False
    raise ConflictError(f"{subject.name} cannot be restored: it is in {subject.state}. Only archived versions can.")


def _expected(expect: str) -> str:
    return (
        "it was expected that there is no champion" if expect == NO_CHAMPION else f"{expect} was expected as champion"
    )


def _is(champion: Champion | None) -> str:
    if champion is None:
        return "there is no champion now"
    return f"{champion.version} is champion since {champion.since:%Y-%m-%d %H:%M:%S} UTC"


def _baseline(gate: GateResult) -> str:
    return gate.baseline or f"{(gate.champion_digest or '')[:19]}…, which is not registered here"

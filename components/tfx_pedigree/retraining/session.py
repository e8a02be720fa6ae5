"""One model's retraining against a registry: what is known, and the notes of what was done.

To begin is a compare-and-swap on the notes before: of two callers who decided upon the same history, on whichever
machines, one begins and the other is refused. How a run went is noted in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.registry import Event, RegistryApi, Version
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.retraining import ledger, spans
from tfx_pedigree.retraining.decision import Champion, Decision, Planned, Situation
from tfx_pedigree.retraining.ledger import SPAN_TAG, Attempt, AttemptOutcome, Ledger, spans_of
from tfx_pedigree.retraining.performance import watch
from tfx_pedigree.retraining.rules import Rules
from tfx_pedigree.retraining.spans import SpanPattern

RETRAIN, BACKFILL = "retrain", "backfill"
Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Begun:
    """A run that was noted and is going on. `key` is the same for one that is begun again since its first beginning
    came to no end: a service that has been asked for it already is not asked for another."""

    planned: Planned
    position: int
    key: int


def _champion(found: Version) -> Champion:
    return Champion(found.version, spans_of(found.tags.get(SPAN_TAG)), found.created_at, found.digest)


class Session:
    def __init__(self, registry: RegistryApi, model: str, by: str = RETRAIN, clock: Clock | None = None) -> None:
        self.registry, self.model, self._by, self._clock = registry, model, by, clock or _utc_now

    def look(self, pattern: SpanPattern, after: int | None = None, rules: Rules | None = None) -> Situation:
        """Whether spans are whole is asked only of those `after` that one; left out, the newest that was trained. Of
        the champion's performance it is asked what the rules name."""
        now, known = self._clock(), ledger.read(self.registry, self.model)
        after = known.newest_done if after is None else after
        version = self._serving()
        watched = watch(self.registry, version, rules.performance, now) if version and rules else {}
        champion = None if version is None else _champion(version)
        return Situation(now, spans.look(pattern, now, after), known, champion, watched)

    def _serving(self) -> Version | None:
        try:
            return self.registry.get(f"{self.model}@champion")
        except NotFoundError:
            return None

    def begin(self, planned: Planned, known: Ledger) -> Begun:
        """Before anything is started. ConflictError if somebody else noted something since `known` was read."""
        reasons = [reason.kind.value for reason in planned.reasons]
        noted = self._note(
            AttemptOutcome.STARTED, planned.span, planned.text, {"reasons": reasons}, expect=known.position
        )
        return Begun(planned, noted.position, known.open_since(planned.span) or noted.position)

    def submitted(self, begun: Begun, run: str, pipeline: str) -> None:
        """Notes that the run was submitted to a service, under the name `run`."""
        planned = begun.planned
        self._note(AttemptOutcome.SUBMITTED, planned.span, planned.text, {"run": run, "pipeline": pipeline})

    def end(self, begun: Begun, version: Version | None = None, failure: str | None = None) -> None:
        """How it went; the version that came of it, if one did, has the reason in its own history then."""
        outcome = AttemptOutcome.FAILED if failure else AttemptOutcome.FINISHED
        subject, text = version.version if version else None, failure or begun.planned.text
        self._note(outcome, begun.planned.span, text, {"began": begun.position}, subject=subject)

    def settle(self, attempt: Attempt, well: bool, text: str) -> None:
        """Notes how a run ended that was submitted before."""
        outcome = AttemptOutcome.FINISHED if well else AttemptOutcome.FAILED
        self._note(outcome, attempt.span, text, {"run": attempt.run})

    def nothing(self, decision: Decision, situation: Situation) -> None:
        """Notes that there was no reason. While nothing changes, further calls add no note."""
        more: dict[str, Any] = {"champion": situation.champion.version if situation.champion else None}
        if decision.steady is not None:
            more["drift"] = decision.steady
        attempts, outcome = situation.ledger.attempts, AttemptOutcome.NO_REASON
        if not attempts or dict(attempts[0].details) != self._details(outcome, situation.newest, more):
            self._note(outcome, situation.newest, "; ".join(decision.quiet) or "there is no span", more)

    def _details(self, outcome: AttemptOutcome, span: int | None, more: dict[str, Any]) -> dict[str, Any]:
        return {"outcome": outcome.value, "span": span, **more, "by": self._by}

    def _note(
        self, outcome: AttemptOutcome, span: int | None, reason: str, more: dict[str, Any], **options: Any
    ) -> Event:
        details = self._details(outcome, span, more)
        return self.registry.note(self.model, Action.RETRAIN, reason=reason, details=details, **options)

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
from tfx_pedigree.registry import Event, Registry, Version
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.retraining import ledger, spans
from tfx_pedigree.retraining.decision import Champion, Decision, Planned, Situation
from tfx_pedigree.retraining.ledger import SPAN_TAG, Attempt, AttemptOutcome, Ledger, spans_of
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


class Session:
    def __init__(self, registry: Registry, model: str, by: str = RETRAIN, clock: Clock | None = None) -> None:
        self.registry, self.model, self._by, self._clock = registry, model, by, clock or _utc_now

    def look(self, pattern: SpanPattern, after: int | None = None) -> Situation:
        """Whether spans are whole is asked only of those `after` that one; left out, the newest that was trained."""
        now, known = self._clock(), ledger.read(self.registry, self.model)
        after = known.newest_done if after is None else after
        return Situation(now, spans.look(pattern, now, after), known, self.champion())

    def champion(self) -> Champion | None:
        try:
            found = self.registry.get(f"{self.model}@champion")
        except NotFoundError:
            return None
        return Champion(found.version, spans_of(found.tags.get(SPAN_TAG)), found.created_at, found.digest)

    def begin(self, planned: Planned, known: Ledger) -> Begun:
        """Before anything is started. ConflictError if somebody else noted something since `known` was read."""
        details = {
            "outcome": AttemptOutcome.STARTED.value,
            "span": planned.span,
            "reasons": [reason.kind.value for reason in planned.reasons],
            "by": self._by,
        }
        position = self._note(planned.text, details, known.position).position
        return Begun(planned, position, known.open_since(planned.span) or position)

    def submitted(self, begun: Begun, run: str, pipeline: str) -> None:
        """The run goes on elsewhere, under the name `run`."""
        names = {"run": run, "pipeline": pipeline}
        details = {"outcome": AttemptOutcome.SUBMITTED.value, "span": begun.planned.span, **names, "by": self._by}
        self._note(begun.planned.text, details)

    def end(self, begun: Begun, version: Version | None = None, failure: str | None = None) -> None:
        """How it went; the version that came of it, if one did, has the reason in its own history then."""
        outcome = AttemptOutcome.FAILED if failure else AttemptOutcome.FINISHED
        details = {"outcome": outcome.value, "span": begun.planned.span, "began": begun.position, "by": self._by}
        self._note(failure or begun.planned.text, details, subject=version.version if version else None)

    def settle(self, attempt: Attempt, well: bool, text: str) -> None:
        """What became of a run that was submitted before."""
        outcome = AttemptOutcome.FINISHED if well else AttemptOutcome.FAILED
        details = {"outcome": outcome.value, "span": attempt.span, "run": attempt.run, "by": self._by}
        self._note(text, details)

    def nothing(self, decision: Decision, situation: Situation) -> None:
        """Noted once: as long as nothing is new, asking again adds no line."""
        champion = situation.champion.version if situation.champion else None
        details = {
            "outcome": AttemptOutcome.NO_REASON.value,
            "span": situation.newest,
            "champion": champion,
            "by": self._by,
        }
        if decision.steady is not None:
            details["drift"] = decision.steady
        attempts = situation.ledger.attempts
        if not attempts or dict(attempts[0].details) != details:
            self._note("; ".join(decision.quiet) or "there is no span", details)

    def _note(
        self, reason: str, details: dict[str, Any], expect: int | None = None, subject: str | None = None
    ) -> Event:
        return self.registry.note(
            self.model, Action.RETRAIN, reason=reason, details=details, subject=subject, expect=expect
        )

"""Ledgers and situations, written in few words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from tfx_pedigree.retraining.decision import Champion, Situation
from tfx_pedigree.retraining.ledger import Attempt, AttemptOutcome, Ledger, Trained
from tfx_pedigree.retraining.spans import Spans

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def trained(*spans: int, ago: timedelta = DAY) -> dict[int, Trained]:
    return {span: Trained(f"1.0.{span}", NOW - ago, NOW - ago) for span in spans}


def attempts(*told: tuple[str, int], ago: timedelta = timedelta(hours=1)) -> tuple[Attempt, ...]:
    """Told oldest first, a second after one another; kept newest first."""
    begin = NOW - ago
    made = [
        Attempt(
            AttemptOutcome(outcome),
            span,
            begin + timedelta(seconds=n),
            n,
            f"run-{n}" if outcome == "submitted" else None,
        )
        for n, (outcome, span) in enumerate(told, start=1)
    ]
    return tuple(reversed(made))


def situation(
    *spans: int,
    ledger: Ledger | None = None,
    unfinished: str | None = None,
    champion: int | None = None,
    age: timedelta = DAY,
) -> Situation:
    """`champion` is the span that it was trained on."""
    held = Champion(f"1.0.{champion}", (champion,), NOW - age, "sha256:c") if champion is not None else None
    return Situation(NOW, Spans(tuple(spans), unfinished), ledger or Ledger(), held)

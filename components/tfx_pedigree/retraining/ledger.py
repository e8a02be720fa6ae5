"""Which spans were trained, and how each attempt ended. There is no other record of it than the registry:

- a version carries the spans that it was trained on in its tag `span`;
- an event `retrain` of the model's audit log tells of each attempt: begun, finished, failed, submitted, or without a
  reason. It is also what tells a run that was killed from one that ended.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.registry import LARGEST_PAGE, Event, Version, VersionQuestions, every
from tfx_pedigree.registry.roles import Action

# The tag under which the RegistryPusher keeps what ExampleGen counted; several are joined by commas.
SPAN_TAG = "span"


class AttemptOutcome(str, Enum):
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    SUBMITTED = "submitted"
    NO_REASON = "no-reason"


@dataclass(frozen=True)
class Attempt:
    """An event, as far as the decision needs it. `run` names a run on a service."""

    outcome: AttemptOutcome
    span: int | None
    at: datetime
    position: int
    run: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """The newest version that carries a span, and when it got its tag and was made."""

    version: str
    registered_at: datetime
    created_at: datetime


@dataclass(frozen=True)
class Ledger:
    """`trained` by span; `attempts` newest first."""

    trained: Mapping[int, Trained] = field(default_factory=dict)
    attempts: Sequence[Attempt] = ()

    @property
    def position(self) -> int:
        """Of the newest attempt; 0 before the first."""
        return self.attempts[0].position if self.attempts else 0

    @functools.cached_property
    def _by_span(self) -> dict[int, list[Attempt]]:
        """Made once: to ask each span of some years would read all notes as often as there are spans."""
        found: dict[int, list[Attempt]] = {}
        for one in self.attempts:
            if one.span is not None and one.outcome is not AttemptOutcome.NO_REASON:
                found.setdefault(one.span, []).append(one)
        return found

    def of(self, span: int) -> Sequence[Attempt]:
        """What was done about a span, newest first."""
        return self._by_span.get(span, ())

    def last(self, span: int) -> Attempt | None:
        return next(iter(self.of(span)), None)

    def open_since(self, span: int) -> int | None:
        """The position of the first beginning of a run that came to no end since: it goes on when it is begun again."""
        begun = list(itertools.takewhile(lambda one: one.outcome is AttemptOutcome.STARTED, self.of(span)))
        return begun[-1].position if begun else None

    def is_done(self, span: int) -> bool:
        """Trained, and not in the middle of a run. A run that was begun and never ended is to be repeated, even if its
        version is registered: it may have been killed before the promotion. A repeated run reuses what is there."""
        last, trained = self.last(span), self.trained.get(span)
        if last is None:
            return trained is not None
        if last.outcome in (AttemptOutcome.FINISHED, AttemptOutcome.STARTED):
            return last.outcome is AttemptOutcome.FINISHED
        return trained is not None and trained.registered_at > last.at

    @functools.cached_property
    def done(self) -> tuple[int, ...]:
        """Rising."""
        return tuple(sorted(span for span in {*self.trained, *self._by_span} if self.is_done(span)))

    @property
    def newest_done(self) -> int | None:
        return self.done[-1] if self.done else None

    @property
    def last_trained(self) -> datetime | None:
        """When data were last made into a model, whatever became of it."""
        versions = [one.created_at for one in self.trained.values()]
        runs = [one.at for one in self.attempts if one.outcome is AttemptOutcome.FINISHED]
        return max(versions + runs, default=None)

    def tries(self, span: int) -> int:
        """Runs of the span that were begun since one of it ended well. A run that failed was begun as well."""
        since = itertools.takewhile(lambda one: one.outcome is not AttemptOutcome.FINISHED, self.of(span))
        return sum(one.outcome is AttemptOutcome.STARTED for one in since)

    def steady_since(self, span: int, champion: str, rule: str) -> datetime | None:
        """When it was found that the span has not drifted from this champion's data, by this rule."""
        told = {"span": span, "champion": champion, "drift": rule}
        return next((one.at for one in self.attempts if told.items() <= dict(one.details).items()), None)

    @property
    def submitted(self) -> Attempt | None:
        """A run on a service of which nothing has been heard since."""
        for span in dict.fromkeys(one.span for one in self.attempts if one.span is not None):
            last = self.last(span)
            if last and last.outcome is AttemptOutcome.SUBMITTED and not self.is_done(span):
                return last
        return None


def read(registry: VersionQuestions, model: str) -> Ledger:
    try:
        tagged = registry.newest_by_tag(model, SPAN_TAG)
    except NotFoundError:  # its first run makes it
        return Ledger()
    events = every(lambda after: registry.notes(model, Action.RETRAIN, limit=LARGEST_PAGE, after=after))
    return Ledger(_trained(tagged), tuple(map(attempt_of, events)))


def attempt_of(event: Event) -> Attempt:
    details = event.details
    return Attempt(
        AttemptOutcome(details["outcome"]),
        details.get("span"),
        event.at,
        event.position,
        details.get("run"),
        details,
    )


def spans_of(tag: str | None) -> tuple[int, ...]:
    """`7`, or `6,7` where a model was trained on several; what is no number is none."""
    return tuple(sorted(int(one) for one in (tag or "").split(",") if one.strip().isdecimal()))


def _trained(tagged: Mapping[str, Version]) -> dict[int, Trained]:
    found: dict[int, Trained] = {}
    for tag, version in tagged.items():
        one = Trained(version.version, version.registered_at or version.created_at, version.created_at)
        for span in spans_of(tag):
            if span not in found or found[span].registered_at < one.registered_at:
                found[span] = one
    return found

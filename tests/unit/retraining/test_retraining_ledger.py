"""What counts as trained: by what the versions carry and what the log tells, and by what a real registry gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from retraining_testing import attempts, trained

from pedigree_testing import Clock, candidate
from tfx_pedigree.errors import ConflictError, ForbiddenError
from tfx_pedigree.registry import Facts, Registry
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.retraining import ledger
from tfx_pedigree.retraining.decision import Decision, Planned, Reason, ReasonKind, Situation
from tfx_pedigree.retraining.ledger import Attempt, AttemptOutcome, Ledger
from tfx_pedigree.retraining.session import Session
from tfx_pedigree.retraining.spans import Spans

MODEL = "flight-delay"
EARLIER, LATER = timedelta(hours=2), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("told", "tagged", "done"),
    [
        ((), None, False),
        ((), EARLIER, True),
        ((("started", 5), ("finished", 5)), None, True),
        # Killed: the version may be registered and not be promoted, so it is run again.
        ((("started", 5),), LATER, False),
        ((("started", 5), ("failed", 5)), None, False),
        ((("started", 5), ("failed", 5)), EARLIER, False),
        # Somebody ran it by hand afterwards.
        ((("started", 5), ("failed", 5)), LATER, True),
        ((("started", 5), ("failed", 5), ("started", 5), ("finished", 5)), None, True),
        ((("started", 5), ("submitted", 5)), None, False),
        ((("started", 5), ("submitted", 5)), LATER, True),
        ((("started", 4), ("finished", 4)), None, False),
        ((("started", 5), ("finished", 5), ("no-reason", 5)), None, True),
        ((("no-reason", 5),), EARLIER, True),
    ],
)
def test_span_is_done_when_nothing_of_it_is_open(
    told: tuple[tuple[str, int], ...], tagged: timedelta | None, done: bool
) -> None:
    versions = trained(5, ago=tagged) if tagged else {}
    assert Ledger(versions, attempts(*told)).is_done(5) is done


def test_newest_done_looks_at_all_versions_and_at_runs_without_one() -> None:
    told = attempts(("started", 6), ("finished", 6), ("started", 8))
    assert Ledger(trained(3, 4), told).newest_done == 6
    assert Ledger(trained(3, 9), told).newest_done == 9
    assert Ledger().newest_done is None


def test_notes_of_years_are_read_once_and_not_once_for_each_span() -> None:
    reads = 0

    class Counted(tuple):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[Attempt]:
            nonlocal reads
            reads += 1
            return super().__iter__()

    told = [(outcome, span) for span in range(500) for outcome in ("started", "finished")]
    known = Ledger({}, Counted(attempts(*told)))
    assert known.newest_done == 499
    assert all(known.is_done(span) for span in range(500))
    assert known.submitted is None
    assert reads <= 3


def test_tries_count_since_the_last_good_end() -> None:
    told = [("started", 5), ("finished", 5), ("started", 5), ("failed", 5), ("started", 6), ("started", 5)]
    known = Ledger({}, attempts(*told))
    assert (known.tries(5), known.tries(6), known.tries(7)) == (2, 1, 0)


@pytest.mark.parametrize(
    ("tag", "spans"), [("7", (7,)), ("8,7", (7, 8)), ("", ()), (None, ()), ("latest", ()), ("7, 8", (7, 8))]
)
def test_tag_is_read_as_the_spans_that_it_names(tag: str | None, spans: tuple[int, ...]) -> None:
    assert ledger.spans_of(tag) == spans


# Against a registry, on both databases


def planned(span: int) -> Planned:
    return Planned(span, (Reason(ReasonKind.NEW_SPAN, f"span {span} is new"),))


def test_registry_alone_tells_what_was_trained_and_tried(registry: Registry, clock: Clock) -> None:
    assert ledger.read(registry, MODEL) == Ledger()
    for seed, tags in (("a", {"span": "3"}), ("b", {"span": "4,5"}), ("c", {}), ("d", {"span": "3"})):
        registry.add(MODEL, candidate(seed), facts=Facts(tags=tags))
        clock.advance(hours=1)
    session = Session(registry, MODEL, clock=clock)
    begun = session.begin(planned(6), ledger.read(registry, MODEL))
    session.end(begun, failure="the disk was full")
    known = ledger.read(registry, MODEL)
    assert {span: one.version for span, one in known.trained.items()} == {3: "1.0.3", 4: "1.0.1", 5: "1.0.1"}
    assert [(one.outcome, one.span) for one in known.attempts] == [
        (AttemptOutcome.FAILED, 6),
        (AttemptOutcome.STARTED, 6),
    ]
    assert (known.newest_done, known.tries(6)) == (5, 1)


def test_reason_stands_in_the_history_of_the_version_and_the_audit_agrees(registry: Registry) -> None:
    session = Session(registry, MODEL)
    begun = session.begin(planned(1), Ledger())
    version = registry.add(MODEL, candidate("a"), facts=Facts(tags={"span": "1"})).version
    session.end(begun, version)
    event = registry.history(MODEL, "1.0.0", limit=1).items[0]
    assert (event.action, event.reason, event.details["span"]) == ("retrain", "span 1 is new", 1)
    assert event.details["outcome"] == "finished"
    assert registry.verify_audit().problems == ()


def test_of_two_who_decided_upon_the_same_history_one_is_refused(registry: Registry) -> None:
    seen = ledger.read(registry, MODEL)
    Session(registry, MODEL).begin(planned(1), seen)
    with pytest.raises(ConflictError, match="somebody else noted `retrain` since this was decided"):
        Session(registry, MODEL).begin(planned(1), seen)
    assert len(registry.notes(MODEL, Action.RETRAIN).items) == 1


def test_asking_again_without_a_reason_writes_nothing_again(registry: Registry, clock: Clock) -> None:
    session = Session(registry, MODEL, clock=clock)
    decision = Decision(quiet=("no span is newer than 3",))

    def ask(span: int) -> int:
        known = Situation(clock.advance(hours=1), Spans((span,)), ledger.read(registry, MODEL))
        session.nothing(decision, known)
        return len(registry.notes(MODEL, Action.RETRAIN).items)

    assert [ask(3), ask(3), ask(3), ask(4), ask(4)] == [1, 1, 1, 2, 2]


def test_notes_are_read_page_by_page(registry: Registry) -> None:
    for number in range(5):
        registry.note(MODEL, Action.RETRAIN, reason="r", details={"outcome": "started", "span": number})
        registry.add(MODEL, candidate(number))
    first = registry.notes(MODEL, Action.RETRAIN, limit=3)
    rest = registry.notes(MODEL, Action.RETRAIN, limit=3, after=first.next)
    assert [event.details["span"] for event in first.items + rest.items] == [4, 3, 2, 1, 0]
    assert rest.next is None


def test_viewer_cannot_note_a_run(registry: Registry, open_as: Callable[[str], Registry]) -> None:
    registry.add(MODEL, candidate("a"))
    with pytest.raises(ForbiddenError, match="may not retrain on flight-delay"):
        open_as("bob").note(MODEL, Action.RETRAIN, reason="r", details={})

"""What holds for whoever changes a schedule, whatever step the process dies after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduler_testing import EVERY, KUBEFLOW, START, VERTEX, Scheduler

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.orchestration.services.plan import (
    Action,
    Schedule,
    ScheduleStep,
    Traits,
    Wanted,
    differences,
    next_delete,
    next_pause,
    next_resume,
    next_step,
    overtaken,
    plan,
)
from tfx_pedigree.orchestration.services.service import Change, Service, Towards
from tfx_pedigree.retry_policy import RetryPolicy

DAILY = Wanted("nightly", {"pipeline": "a", "cron": "0 3 * * *"})
CHANGED = Wanted("nightly", {"pipeline": "b", "cron": "0 3 * * *"})
LATER = Wanted("nightly", {"pipeline": "b", "cron": "0 5 * * *"})
WANTED = (DAILY, CHANGED, LATER)
BOTH = pytest.mark.parametrize("traits", [KUBEFLOW, VERTEX], ids=["kubeflow", "vertex"])


def converge(scheduler: Scheduler, wanted: Wanted, most: int = 50) -> list[ScheduleStep]:
    """Up to `most` steps: fewer than needed is a process that dies."""
    steps: list[ScheduleStep] = []
    while len(steps) < most:
        step = next_step(wanted, scheduler.look(), scheduler.traits, scheduler.now)
        if step is None:
            break
        scheduler.apply(step)
        steps.append(step)
    assert len(steps) < 50, "the plan never ends"
    return steps


def pause(scheduler: Scheduler) -> None:
    for _ in range(10):
        step = next_pause(scheduler.look(), scheduler.traits)
        if step is None:
            return
        scheduler.apply(step)
    raise AssertionError("pausing never ends")


def resume(scheduler: Scheduler) -> None:
    while (step := next_resume(scheduler.look())) is not None:
        scheduler.apply(step)


def enabled(scheduler: Scheduler) -> list[str]:
    return [one.id for one in scheduler.look() if one.enabled]


def started(traits: Traits, wanted: Wanted = DAILY) -> Scheduler:
    scheduler = Scheduler(traits)
    converge(scheduler, wanted)
    return scheduler


@BOTH
def test_first_schedule_is_one_step(traits: Traits) -> None:
    scheduler = Scheduler(traits)

    assert [step.action for step in plan(DAILY, (), traits, scheduler.now)] == [Action.CREATE]
    converge(scheduler, DAILY)
    assert len(enabled(scheduler)) == 1


@BOTH
def test_same_schedule_again_changes_nothing(traits: Traits) -> None:
    assert converge(started(traits), DAILY) == []


def test_kubeflow_is_asked_for_the_new_one_before_the_old_one_is_touched() -> None:
    scheduler = started(KUBEFLOW)

    steps = plan(CHANGED, scheduler.look(), KUBEFLOW, scheduler.now)

    assert [step.action for step in steps] == [Action.CREATE, Action.DISABLE, Action.ENABLE, Action.DELETE]
    assert steps[0].paused


def test_vertex_pauses_the_old_one_before_the_new_one_can_run() -> None:
    scheduler = started(VERTEX)

    actions = [step.action for step in plan(CHANGED, scheduler.look(), VERTEX, scheduler.now)]

    assert actions == [Action.RETIRE, Action.DISABLE, Action.CREATE, Action.DELETE]


def test_vertex_changes_a_time_in_the_schedule_that_is_there() -> None:
    scheduler = started(VERTEX, CHANGED)

    steps = converge(scheduler, LATER)

    assert [(step.action, step.fields) for step in steps] == [(Action.UPDATE, {"cron": "0 5 * * *"})]
    assert len(scheduler.schedules) == 1


def test_vertex_replaces_nothing_close_to_an_occurrence() -> None:
    scheduler = started(VERTEX)
    scheduler.advance(EVERY - timedelta(minutes=1, seconds=10))

    steps = converge(scheduler, CHANGED)

    assert steps[0].action is Action.WAIT
    assert [occurrence for occurrence, _ in scheduler.ran] == [scheduler.ran[0][0]]


@pytest.mark.parametrize("seconds", [-15, -5, 0, 5, 29, 31, 55])
def test_vertex_replaces_what_runs_each_minute_after_one_wait_at_the_most(seconds: int) -> None:
    now = START + timedelta(minutes=3)
    old = Schedule("old", "nightly", DAILY.fields, True, START, START, next_run=now + timedelta(seconds=seconds))

    step = next_step(CHANGED, [old], VERTEX, now)
    if step is not None and step.action is Action.WAIT:
        assert step.until is not None and old.next_run is not None
        now = step.until + timedelta(seconds=1)
        step = next_step(CHANGED, [replace(old, next_run=old.next_run + timedelta(minutes=1))], VERTEX, now)

    assert step is not None
    assert step.action is Action.RETIRE


def test_occurrence_that_the_old_one_ran_meanwhile_is_not_run_again() -> None:
    scheduler = started(KUBEFLOW)
    converge(scheduler, CHANGED, most=1)
    scheduler.advance(EVERY)
    scheduler.finish_runs()

    converge(scheduler, CHANGED)

    assert len(scheduler.ran) == 1
    assert len(enabled(scheduler)) == 1


def test_occurrence_while_nothing_was_enabled_is_run_by_the_new_one_on_kubeflow() -> None:
    scheduler = started(KUBEFLOW)
    converge(scheduler, CHANGED, most=2)
    assert enabled(scheduler) == []
    scheduler.advance(EVERY)

    converge(scheduler, CHANGED)

    assert [schedule for _, schedule in scheduler.ran] == enabled(scheduler)


def test_old_schedule_is_kept_until_its_run_has_ended() -> None:
    scheduler = started(KUBEFLOW)
    scheduler.advance(EVERY)
    converge(scheduler, CHANGED)
    assert len(scheduler.schedules) == 2
    assert scheduler.stopped == []

    scheduler.finish_runs()
    assert [step.action for step in converge(scheduler, CHANGED)] == [Action.DELETE]
    assert len(scheduler.schedules) == 1


@BOTH
def test_paused_schedule_stays_paused_when_it_is_applied_again_or_replaced(traits: Traits) -> None:
    scheduler = started(traits)
    pause(scheduler)

    for wanted in (DAILY, CHANGED, LATER):
        converge(scheduler, wanted)
        assert enabled(scheduler) == []
        assert len(scheduler.schedules) == 1

    resume(scheduler)
    assert len(enabled(scheduler)) == 1


@BOTH
def test_pause_while_a_replaced_schedule_still_runs_is_not_taken_for_a_broken_replacement(traits: Traits) -> None:
    scheduler = started(traits)
    scheduler.advance(EVERY)
    converge(scheduler, CHANGED)

    pause(scheduler)
    converge(scheduler, CHANGED)
    scheduler.finish_runs()
    converge(scheduler, CHANGED)

    assert enabled(scheduler) == []
    assert len(scheduler.schedules) == 1
    resume(scheduler)
    assert converge(scheduler, CHANGED) == []
    assert len(enabled(scheduler)) == 1


@BOTH
def test_delete_leaves_a_run_in_progress_alone_unless_told_otherwise(traits: Traits) -> None:
    scheduler = started(traits)
    scheduler.advance(EVERY)

    while (step := next_delete(scheduler.look(), traits)) is not None:
        scheduler.apply(step)
    assert enabled(scheduler) == []
    assert scheduler.stopped == []
    assert len(scheduler.schedules) == (1 if traits.deleting_stops_runs else 0)

    while (step := next_delete(scheduler.look(), traits, stop_runs=True)) is not None:
        scheduler.apply(step)
    assert scheduler.schedules == {}


def test_difference_names_what_changes() -> None:
    assert differences(DAILY.fields, {**LATER.fields, "root": "gs://b"}) == {
        "cron": ("0 3 * * *", "0 5 * * *"),
        "pipeline": ("a", "b"),
        "root": ("", "gs://b"),
    }


def _happenings() -> st.SearchStrategy[list[tuple[str, int]]]:
    one = st.one_of(
        st.tuples(st.just("apply 0"), st.integers(0, 8)),
        st.tuples(st.just("apply 1"), st.integers(0, 8)),
        st.tuples(st.just("apply 2"), st.integers(0, 8)),
        st.tuples(st.just("minutes"), st.integers(1, 25)),
        st.tuples(st.just("runs end"), st.just(0)),
    )
    return st.lists(one, max_size=12)


def _happen(scheduler: Scheduler, what: str, many: int) -> None:
    if what == "minutes":
        scheduler.advance(timedelta(minutes=many))
    elif what == "runs end":
        scheduler.finish_runs()
    else:
        converge(scheduler, WANTED[int(what[-1])], most=many)


@BOTH
@settings(max_examples=150, deadline=None)
@given(happenings=_happenings(), last=st.sampled_from(WANTED))
def test_whatever_a_process_died_after_the_next_one_ends_with_exactly_one(
    traits: Traits, happenings: list[tuple[str, int]], last: Wanted
) -> None:
    scheduler = started(traits)
    for what, many in happenings:
        _happen(scheduler, what, many)
        assert scheduler.schedules, "the last schedule was deleted"
        assert scheduler.most_enabled == 1, "two were enabled at once"
        assert scheduler.stopped == [], "a run in progress was stopped"
        occurrences = [occurrence for occurrence, _ in scheduler.ran]
        assert len(occurrences) == len(set(occurrences)), "an occurrence was run twice"

    converge(scheduler, last)
    scheduler.finish_runs()
    converge(scheduler, last)

    (only,) = scheduler.look()
    assert only.enabled
    assert not only.retired
    assert differences(only.fields, last.fields) == {}
    assert next_step(last, scheduler.look(), traits, scheduler.now) is None


@BOTH
@settings(max_examples=100, deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(WANTED), st.integers(0, 9)), min_size=1, max_size=6))
def test_changes_without_a_crash_lose_no_occurrence(traits: Traits, changes: list[tuple[Wanted, int]]) -> None:
    scheduler = started(traits)
    for wanted, minutes in changes:
        converge(scheduler, wanted)
        scheduler.finish_runs()
        scheduler.advance(timedelta(minutes=minutes))
        scheduler.finish_runs()

    ran = sorted(occurrence for occurrence, _ in scheduler.ran)

    assert ran == [START + EVERY * count for count in range(1, (scheduler.now - START) // EVERY + 1)]


@BOTH
@settings(max_examples=150, deadline=None)
@given(happenings=_happenings(), broken_at=st.integers(0, 8), wanted=st.sampled_from(WANTED))
def test_pause_holds_whatever_came_before_it(
    traits: Traits, happenings: list[tuple[str, int]], broken_at: int, wanted: Wanted
) -> None:
    scheduler = started(traits)
    for what, many in happenings:
        _happen(scheduler, what, many)

    pause(scheduler)
    converge(scheduler, wanted, most=broken_at)
    converge(scheduler, wanted)
    scheduler.finish_runs()
    converge(scheduler, wanted)

    assert enabled(scheduler) == []
    assert len(scheduler.schedules) == 1


@dataclass
class Applier:
    """Somebody who applies a schedule: looks, then does what that look told, however much has happened in between."""

    scheduler: Scheduler
    wanted: Wanted
    known: set[str] | None = None
    step: ScheduleStep | None = None
    ended: bool = False
    gave_way: bool = False

    def __post_init__(self) -> None:
        self.towards = Towards(self.wanted, self.scheduler.traits, lambda: self.scheduler.now)

    def move(self) -> None:
        if self.step is not None:
            if self.step.id is None or self.step.id in self.scheduler.schedules:
                self.scheduler.apply(self.step)
            self.step = None
            return
        found = self.scheduler.look()
        if self.known is None:
            self.known = {one.id for one in found}
        self.gave_way = overtaken(self.wanted, self.known, found)
        self.step = None if self.gave_way else self.towards(found)
        self.ended = self.step is None


@BOTH
@settings(max_examples=300, deadline=None)
@given(wishes=st.tuples(st.sampled_from(WANTED), st.sampled_from(WANTED)), turns=st.lists(st.booleans(), max_size=40))
def test_of_two_who_apply_at_the_same_moment_one_gets_what_it_wants_and_that_runs(
    traits: Traits, wishes: tuple[Wanted, Wanted], turns: list[bool]
) -> None:
    scheduler = started(traits)
    both = [Applier(scheduler, wanted) for wanted in wishes]
    for turn in turns:
        if not both[turn].ended:
            both[turn].move()
    for one in both:
        for _ in range(60):
            if not one.ended:
                one.move()
        assert one.ended, "they undo what the other does for ever"

    (left,) = scheduler.look()
    assert left.enabled
    assert not left.retired
    assert any(differences(left.fields, one.wanted.fields) == {} for one in both)
    assert not all(one.gave_way for one in both)


@dataclass
class Contended:
    """A service at which somebody else is at work as well: `meanwhile` happens after the first change."""

    scheduler: Scheduler
    meanwhile: Callable[[ScheduleStep], None]
    where: str = "here"

    @property
    def traits(self) -> Traits:
        return self.scheduler.traits

    def schedules(self, name: str | None = None) -> tuple[Schedule, ...]:
        return self.scheduler.look()

    def apply(self, step: ScheduleStep, name: str, template: None) -> None:
        self.scheduler.apply(step)
        self.meanwhile(step)

    def change(self, wanted: Wanted) -> Sequence[ScheduleStep]:
        towards = Towards(wanted, self.traits, lambda: self.scheduler.now)
        service = cast("Service", self)
        return Change(service, wanted.name, towards, RetryPolicy(0), wanted=wanted).carry_out()


@BOTH
def test_who_came_first_gives_way_to_who_came_later_and_something_runs(traits: Traits) -> None:
    scheduler = started(traits)

    def somebody_else(step: ScheduleStep) -> None:
        if step.action is Action.CREATE:
            scheduler.apply(ScheduleStep(Action.CREATE, fields=LATER.fields, paused=traits.creates_paused))

    with pytest.raises(ConflictError, match="somebody else"):
        Contended(scheduler, somebody_else).change(CHANGED)

    assert enabled(scheduler)
    converge(scheduler, LATER)
    assert [one.fields for one in scheduler.look()] == [LATER.fields]


@BOTH
def test_step_that_somebody_else_was_quicker_to_take_is_no_trouble_and_one_that_is_refused_twice_is(
    traits: Traits,
) -> None:
    scheduler = started(traits)
    refused: list[ScheduleStep] = []

    def refuse(step: ScheduleStep) -> None:
        if step.action is Action.DISABLE and not refused:
            refused.append(step)
            raise ConflictError("the schedule is paused already")

    Contended(scheduler, refuse).change(CHANGED)
    assert len(refused) == 1
    assert [(one.fields, one.enabled) for one in scheduler.look()] == [(CHANGED.fields, True)]

    def undo(step: ScheduleStep) -> None:
        if step.action is Action.DISABLE and step.id is not None:
            scheduler.apply(ScheduleStep(Action.ENABLE, step.id))
            raise ConflictError("no schedule may be paused today")

    with pytest.raises(ConflictError, match="today"):
        Contended(scheduler, undo).change(DAILY)
    assert enabled(scheduler)

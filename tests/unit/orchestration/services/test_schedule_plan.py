"""What holds for whoever changes a schedule, whatever step the process dies after."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduler_testing import EVERY, KUBEFLOW, START, VERTEX, Scheduler

from tfx_pedigree.orchestration.services.plan import (
    Action,
    Step,
    Traits,
    Wanted,
    differences,
    next_delete,
    next_pause,
    next_resume,
    next_step,
    plan,
)

DAILY = Wanted("nightly", {"pipeline": "a", "cron": "0 3 * * *"})
CHANGED = Wanted("nightly", {"pipeline": "b", "cron": "0 3 * * *"})
LATER = Wanted("nightly", {"pipeline": "b", "cron": "0 5 * * *"})
WANTED = (DAILY, CHANGED, LATER)
BOTH = pytest.mark.parametrize("traits", [KUBEFLOW, VERTEX], ids=["kubeflow", "vertex"])


def converge(scheduler: Scheduler, wanted: Wanted, most: int = 50) -> list[Step]:
    """Up to `most` steps: fewer than needed is a process that dies."""
    steps: list[Step] = []
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

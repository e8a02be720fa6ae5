"""Which steps lead from the schedules that a service has to the one that is wanted.

Pure: data in, steps out. The laws, which hold whatever step the process dies after, and are tested as properties:

- planning again and going on ends with one schedule, as wanted; it runs unless somebody had paused it;
- two are never enabled at once, and the last one is never deleted before another stands;
- an occurrence that one schedule has run is not run by the next one;
- a schedule with a run in progress is not deleted where that would stop the run;
- of two who want different things at the same moment, one gets what it wants, and that runs.

Nothing is remembered between calls but what the service itself keeps: each schedule carries what it was made of, and
whether it was to run or to stay paused when it was made.

Why these orders. Where a schedule can be created paused (Kubeflow), the new one is created first, so that a service
that refuses it has touched nothing; then the old one is disabled, the new one enabled, the old one deleted. Kubeflow's
controller runs the latest occurrence since the last one it ran, or since the creation, when a schedule is enabled: so
nothing is lost in between. For the same reason a new schedule that is older than an occurrence which the old one ran
would run that again; it is made anew, beginning after it. Where a schedule is enabled as soon as it is created
(Vertex), the old one is marked as retired and paused, away from its next occurrence, then the new one is created, then
the old one deleted. The mark tells a replacement that broke off from a pause that somebody wants.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from tfx_pedigree.json_form import to_json

# A schedule is not replaced when an occurrence is nearer than this, nor until one is so long past. Together they are
# less than the shortest time between two occurrences, a minute: else one would wait for ever.
MARGIN = timedelta(seconds=30)
PAST = timedelta(seconds=10)
# The id that a schedule has in a plan while it has yet to be created.
NEW = "new"


@dataclass(frozen=True)
class Traits:
    """What a service can do. `updatable` are the fields that it changes in a schedule that exists."""

    creates_paused: bool
    deleting_stops_runs: bool
    updatable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Schedule:
    """A schedule of ours as the service has it. `fields` say all that it does, as texts that can be compared.

    `to_pause` says that it was made in order to stay paused. `retired` says that it is being replaced. It runs the
    occurrences after `begins`, and has run that of `last_run`. `busy` means that a run of it is in progress.
    """

    id: str
    name: str
    fields: Mapping[str, str]
    enabled: bool
    created: datetime
    begins: datetime
    to_pause: bool = False
    retired: bool = False
    busy: bool = False
    last_run: datetime | None = None
    next_run: datetime | None = None

    @property
    def reached(self) -> datetime:
        """Enabled now, it would run occurrences after this moment."""
        return max(self.begins, self.last_run) if self.last_run else self.begins

    def to_json(self) -> dict[str, Any]:
        """The fields for people and JSON, without the ones with which Pedigree marks its own schedules."""
        shown = ("name", "id", "enabled", "fields", "last_run", "next_run", "busy")
        return {"created_at": to_json(self.created), **{key: to_json(getattr(self, key)) for key in shown}}


@dataclass(frozen=True)
class Wanted:
    name: str
    fields: Mapping[str, str]


class Action(str, Enum):
    CREATE = "create"
    UPDATE = "update"
    WAIT = "wait"
    RETIRE = "retire"
    RESTORE = "restore"
    DISABLE = "disable"
    ENABLE = "enable"
    DELETE = "delete"


@dataclass(frozen=True)
class ScheduleStep:
    """`id` is the schedule that it is done to, or None for one that is created. `fields` are those of the new one, or
    those that change. A created one runs what comes `after` that moment, or after its creation."""

    action: Action
    id: str | None = None
    fields: Mapping[str, str] | None = None
    paused: bool = False
    to_pause: bool = False
    after: datetime | None = None
    until: datetime | None = None


Next = Callable[[Sequence[Schedule]], ScheduleStep | None]


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The fields that differ, as (old, new); an absent field is an empty text."""
    names = sorted({*old, *new})
    found = {name: (old.get(name, ""), new.get(name, "")) for name in names}
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}


def plan(wanted: Wanted, existing: Sequence[Schedule], traits: Traits, now: datetime) -> tuple[ScheduleStep, ...]:
    return unrolled(lambda found: next_step(wanted, found, traits, now), existing, wanted.name, now)


def unrolled(following: Next, existing: Sequence[Schedule], name: str, now: datetime) -> tuple[ScheduleStep, ...]:
    """All steps up to the end, as they will be if nobody else does anything meanwhile."""
    steps: list[ScheduleStep] = []
    found = tuple(existing)
    while (step := following(found)) is not None:
        steps.append(step)
        found = after(found, step, name, now)
    return tuple(steps)


def next_step(
    wanted: Wanted, existing: Sequence[Schedule], traits: Traits, now: datetime, stopped: bool = False
) -> ScheduleStep | None:
    """The first step of what is still to do; None when all is as it should be, or will be when a run has ended.

    `stopped` says that this change itself has disabled what was meant to run: if somebody else changes the rest at that
    moment, what is left would look as if somebody had paused it.
    """
    runs = should_run(existing, traits) or (stopped and not any(one.to_pause for one in existing))
    kept = _kept(wanted, existing, traits, runs)
    if kept is None:
        return _make(wanted, existing, traits, runs, now)
    others = [one for one in existing if one is not kept]
    change = differences(kept.fields, wanted.fields)
    if change:
        return ScheduleStep(Action.UPDATE, kept.id, {name: new for name, (_, new) in change.items()})
    if runs:
        for one in others:
            if one.enabled:
                return ScheduleStep(Action.DISABLE, one.id)
        if not kept.enabled:
            return ScheduleStep(Action.ENABLE, kept.id)
    elif (enabled := next((one for one in existing if one.enabled), None)) is not None:
        return ScheduleStep(Action.DISABLE, enabled.id)
    return _clean(kept, others, traits)


def overtaken(wanted: Wanted, known: Collection[str], existing: Sequence[Schedule]) -> bool:
    """Whether somebody has made another schedule since this change began, when there were those `known`, and after
    this one made its own. Of two who want different things one gives way then, and never both: or each would undo what
    the other does."""
    others = [one for one in existing if one.id not in known and differences(one.fields, wanted.fields)]
    own = [one for one in existing if not differences(one.fields, wanted.fields)]
    return bool(others) and (not own or max(map(_age, others)) > max(map(_age, own)))


def next_pause(existing: Sequence[Schedule], traits: Traits) -> ScheduleStep | None:
    """Towards no enabled schedule, such that `should_run` says no from then on."""
    for one in existing:
        if one.enabled:
            return ScheduleStep(Action.DISABLE, one.id)
    if not should_run(existing, traits):
        return None
    oldest, latest = min(existing, key=_age), max(existing, key=_age)
    if traits.creates_paused:
        # What is left of a replacement cannot be deleted yet, and would be taken for one that broke off.
        return ScheduleStep(Action.CREATE, fields=latest.fields, paused=True, to_pause=True)
    return ScheduleStep(Action.DELETE if len(existing) > 1 else Action.RESTORE, oldest.id)


def next_resume(existing: Sequence[Schedule]) -> ScheduleStep | None:
    if not existing:
        return None
    latest = max(existing, key=_age)
    if not any(one.enabled for one in existing):
        return ScheduleStep(Action.ENABLE, latest.id)
    return ScheduleStep(Action.RESTORE, latest.id) if latest.retired and len(existing) == 1 else None


def next_delete(existing: Sequence[Schedule], traits: Traits, stop_runs: bool = False) -> ScheduleStep | None:
    """Everything is disabled before anything is deleted; what has a run in progress stays, unless it may be stopped."""
    for one in existing:
        if one.enabled:
            return ScheduleStep(Action.DISABLE, one.id)
    return next((ScheduleStep(Action.DELETE, one.id) for one in existing if stop_runs or _deletable(one, traits)), None)


def should_run(existing: Sequence[Schedule], traits: Traits) -> bool:
    """Whether what is there is meant to run: then so is what replaces it."""
    if len(existing) < 2:
        return all(one.enabled or one.retired for one in existing)
    if traits.creates_paused and any(one.enabled for one in existing):
        return True
    return not max(existing, key=_age).to_pause


def after(existing: Sequence[Schedule], step: ScheduleStep, name: str, now: datetime) -> tuple[Schedule, ...]:
    """What a service has when the step is done."""
    if step.action is Action.CREATE:
        # The service's clock may go before ours; what is created now is the youngest all the same.
        created = max([now, *(one.created + timedelta.resolution for one in existing)])
        new = Schedule(NEW, name, step.fields or {}, not step.paused, created, step.after or created, step.to_pause)
        return (*existing, new)
    return tuple(
        changed for one in existing if (changed := one if one.id != step.id else _changed(one, step)) is not None
    )


def _changed(one: Schedule, step: ScheduleStep) -> Schedule | None:
    if step.action is Action.DELETE:
        return None
    if step.action is Action.UPDATE:
        return replace(one, fields={**one.fields, **(step.fields or {})})
    if step.action is Action.WAIT:
        return replace(one, next_run=None)
    if step.action in (Action.RETIRE, Action.RESTORE):
        return replace(one, retired=step.action is Action.RETIRE)
    return replace(one, enabled=step.action is Action.ENABLE)


def _kept(wanted: Wanted, existing: Sequence[Schedule], traits: Traits, runs: bool) -> Schedule | None:
    """The schedule that stays, or can be changed into what is wanted."""
    fitting = [one for one in existing if not differences(one.fields, wanted.fields)]
    if not fitting:
        fitting = [one for one in existing if set(differences(one.fields, wanted.fields)) <= traits.updatable]
    if not runs:
        # Only the youngest says that all this is to stay paused; without it, what is left would look broken off.
        youngest = max(existing, key=_age)
        return youngest if youngest in fitting else None
    fitting = [one for one in fitting if one.enabled or not _stale(one, existing, traits)]
    return min(fitting, key=lambda one: (not one.enabled, *_age(one)), default=None)


def _stale(one: Schedule, existing: Sequence[Schedule], traits: Traits) -> bool:
    """Whether, if it were enabled, it would run again what another one has run already."""
    return traits.creates_paused and any(
        other.last_run is not None and other.last_run > one.reached for other in existing if other is not one
    )


def _make(wanted: Wanted, existing: Sequence[Schedule], traits: Traits, runs: bool, now: datetime) -> ScheduleStep:
    if not existing:
        return ScheduleStep(Action.CREATE, fields=wanted.fields)
    if traits.creates_paused:
        others_rest = not any(one.enabled for one in existing)
        follows = max(one.reached for one in existing) if runs and others_rest else None
        return ScheduleStep(Action.CREATE, fields=wanted.fields, paused=True, to_pause=not runs, after=follows)
    if not runs:
        return ScheduleStep(Action.CREATE, fields=wanted.fields, to_pause=True)
    for one in existing:
        if one.enabled:
            return _stop(one, now)
    return ScheduleStep(Action.CREATE, fields=wanted.fields)


def _stop(one: Schedule, now: datetime) -> ScheduleStep:
    if one.next_run is not None and now - PAST < one.next_run < now + MARGIN:
        return ScheduleStep(Action.WAIT, one.id, until=one.next_run + PAST)
    return ScheduleStep(Action.DISABLE, one.id) if one.retired else ScheduleStep(Action.RETIRE, one.id)


def _clean(kept: Schedule, others: Sequence[Schedule], traits: Traits) -> ScheduleStep | None:
    # The one that is furthest behind goes first: what others have run tells that it must not be enabled again.
    last = min(others, key=lambda one: (one.reached, *_age(one)), default=None)
    if last is not None and _deletable(last, traits):
        return ScheduleStep(Action.DELETE, last.id)
    return ScheduleStep(Action.RESTORE, kept.id) if kept.retired else None


def _deletable(one: Schedule, traits: Traits) -> bool:
    return not (one.busy and traits.deleting_stops_runs)


def _age(one: Schedule) -> tuple[datetime, str]:
    return (one.created, one.id)

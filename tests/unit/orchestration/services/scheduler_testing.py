"""A service's scheduler in memory, with the rules of Kubeflow's and of Vertex's, for tests of plans.

Kubeflow runs, for each enabled recurring run, the latest occurrence since the last one that it ran, or since its start
time, or since its creation. Vertex runs an occurrence when its time comes, and forgets those of a pause.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from tfx_pedigree.orchestration.services.plan import Action, Schedule, ScheduleStep, Traits

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
EVERY = timedelta(minutes=10)
KUBEFLOW = Traits(creates_paused=True, deleting_stops_runs=True)
VERTEX = Traits(creates_paused=False, deleting_stops_runs=False, updatable=frozenset({"cron"}))


@dataclass
class Scheduler:
    """Occurrences are every ten minutes, whatever the fields say. `ran` holds each with the schedule that ran it."""

    traits: Traits
    name: str = "nightly"
    now: datetime = START + timedelta(minutes=1)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    ran: list[tuple[datetime, str]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    most_enabled: int = 0
    made: int = 0

    def look(self) -> tuple[Schedule, ...]:
        if self.traits.creates_paused:
            return tuple(self.schedules.values())
        return tuple(replace(one, next_run=self._next() if one.enabled else None) for one in self.schedules.values())

    def apply(self, step: ScheduleStep) -> None:
        self.now += timedelta(seconds=1)
        if step.action is Action.CREATE:
            self._create(step)
        elif step.action is Action.WAIT:
            assert step.until is not None
            self.advance(step.until - self.now)
        else:
            self._change(step)
        self.most_enabled = max(self.most_enabled, sum(one.enabled for one in self.schedules.values()))

    def advance(self, by: timedelta) -> None:
        """Time goes by, and what is due is run."""
        end = self.now + by
        while self._next() <= end:
            self.now = self._next()
            self._run_due()
        self.now = end

    def finish_runs(self) -> None:
        self.schedules = {key: replace(one, busy=False) for key, one in self.schedules.items()}

    def _create(self, step: ScheduleStep) -> None:
        assert self.traits.creates_paused or not step.paused, "this service creates no paused schedule"
        self.made += 1
        new = Schedule(
            f"s{self.made:03}",
            self.name,
            dict(step.fields or {}),
            not step.paused,
            self.now,
            step.after or self.now,
            step.to_pause,
        )
        self.schedules[new.id] = new
        self._catch_up(new.id)

    def _change(self, step: ScheduleStep) -> None:
        one = self.schedules[step.id or ""]
        if step.action is Action.DELETE:
            if one.busy and self.traits.deleting_stops_runs:
                self.stopped.append(one.id)
            del self.schedules[one.id]
        elif step.action is Action.UPDATE:
            assert set(step.fields or {}) <= self.traits.updatable
            self.schedules[one.id] = replace(one, fields={**one.fields, **(step.fields or {})})
        elif step.action in (Action.RETIRE, Action.RESTORE):
            assert not self.traits.creates_paused, "this service renames no schedule"
            self.schedules[one.id] = replace(one, retired=step.action is Action.RETIRE)
        else:
            self.schedules[one.id] = replace(one, enabled=step.action is Action.ENABLE)
            self._catch_up(one.id)

    def _catch_up(self, key: str) -> None:
        """Kubeflow's controller notices an enabled one at once; Vertex waits for the next occurrence."""
        one = self.schedules[key]
        latest = START + (self.now - START) // EVERY * EVERY
        if self.traits.creates_paused and one.enabled and not one.busy and latest > one.reached:
            self._run(one, latest)

    def _run_due(self) -> None:
        for one in list(self.schedules.values()):
            if one.enabled and not (one.busy and self.traits.creates_paused):
                self._run(one, self.now)

    def _run(self, one: Schedule, occurrence: datetime) -> None:
        self.ran.append((occurrence, one.id))
        self.schedules[one.id] = replace(one, last_run=occurrence, busy=True)

    def _next(self) -> datetime:
        return START + ((self.now - START) // EVERY + 1) * EVERY

"""What a service can do, whichever it is, and the loop that changes its schedules.

The loop looks, plans, takes one step, and looks again. So a step of which nobody knows whether it was done (the
connection broke while the answer was awaited) is never taken blindly a second time, and whoever dies in between has
left nothing behind but what the next one sees.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import ConflictError, NotFoundError, PedigreeError, UnavailableError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.orchestration.ir import CompiledPipeline
from tfx_pedigree.orchestration.services.plan import (
    NEW,
    Action,
    Next,
    Schedule,
    ScheduleStep,
    Traits,
    Wanted,
    next_step,
    overtaken,
    should_run,
)
from tfx_pedigree.retry_policy import RetryPolicy

# A replacement takes four steps; more than this means that somebody else is at it too.
MOST_STEPS = 40


class UnansweredError(UnavailableError):
    """The service did not answer, or said that it cannot now. What was asked for may have been done all the same."""


@dataclass(frozen=True)
class ServiceRun(JsonForm):
    """`state` is the service's own word. `failed` are the tasks that failed, each with what the service says of it."""

    id: str
    name: str
    state: str
    ended: bool
    well: bool
    url: str | None = None
    failed: tuple[str, ...] = ()

    JSON = Layout(names={"name": "run", "well": "succeeded"})


@dataclass(frozen=True)
class Template:
    """What a run is made from."""

    compiled: CompiledPipeline
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Service(Protocol):
    """Every method may raise UnansweredError, and what the service refuses as the error that fits."""

    where: str
    traits: Traits

    def submit(self, template: Template, run: str) -> tuple[ServiceRun, bool]:
        """Starts the run; False beside it if a run of that name was there already, which is then the answer."""
        ...

    def find_run(self, name: str, pipeline: str) -> ServiceRun | None: ...

    def has_version(self, compiled: CompiledPipeline) -> bool:
        """Whether the service keeps this version of the pipeline already."""
        ...

    def wanted(self, name: str, cron: str, timezone: str, template: Template) -> Wanted: ...

    def schedules(self, name: str | None = None) -> tuple[Schedule, ...]:
        """Those that Pedigree made, under one name or all."""
        ...

    def apply(self, step: ScheduleStep, name: str, template: Template | None) -> None:
        """Without a template, a schedule can only be made of what the service has."""
        ...


def version_name(digest: str) -> str:
    """A digest as it may stand in names of Kubernetes and in labels: `sha256-…`."""
    return digest.replace(":", "-")


def fields_digest(fields: Mapping[str, str]) -> str:
    return digest_of("\n".join(f"{name}={fields[name]}" for name in sorted(fields)).encode())


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def look(service: Service, name: str | None, patience: RetryPolicy) -> tuple[Schedule, ...]:
    return patience.calls(lambda: service.schedules(name), UnansweredError)


@dataclass
class Towards:
    """`next_step` for one change, from its first look to its last: it remembers what it has stopped itself."""

    wanted: Wanted
    traits: Traits
    now: Callable[[], datetime] = utc_now
    _stopped: bool = False

    def __call__(self, found: Sequence[Schedule]) -> ScheduleStep | None:
        step = next_step(self.wanted, found, self.traits, self.now(), self._stopped)
        if step is not None and step.action is Action.DISABLE and should_run(found, self.traits):
            self._stopped = True
        return step


@dataclass(frozen=True)
class Change:
    """One change of a service's schedules under one name, towards what `following` says. One that makes what is
    `wanted` gives way to somebody who wants something else and came later."""

    service: Service
    name: str
    following: Next
    patience: RetryPolicy
    template: Template | None = None
    told: Callable[[ScheduleStep], None] = lambda step: None
    wanted: Wanted | None = None

    def carry_out(self) -> tuple[ScheduleStep, ...]:
        done: list[ScheduleStep] = []
        waits = self.patience.waits()
        known: frozenset[str] | None = None
        refused: ScheduleStep | None = None
        while True:
            found = look(self.service, self.name, self.patience)
            known = frozenset(one.id for one in found) if known is None else known
            if self.wanted is not None and overtaken(self.wanted, known, found):
                raise self._contended()
            step = self.following(found)
            if step is None:
                return tuple(done)
            if len(done) >= MOST_STEPS:
                raise self._contended()
            try:
                self._apply(step)
            except UnansweredError as error:
                pause = next(waits, None)
                if pause is None:
                    self._take_back()
                    raise UnansweredError(f"{error} The same command goes on from where this one ended.") from error
                time.sleep(pause)
                continue
            except (NotFoundError, ConflictError):
                # Somebody else was quicker: what there is now is seen on the next look.
                if step.id is None or step == refused:
                    self._take_back()
                    raise
                refused = step
            except PedigreeError:
                self._take_back()
                raise
            else:
                self.told(step)
                waits = self.patience.waits()
            done.append(step)

    def _apply(self, step: ScheduleStep) -> None:
        if step.action is Action.WAIT and step.until is not None:
            time.sleep(max(0.0, (step.until - utc_now()).total_seconds()))
            return
        self.service.apply(step, self.name, self.template)

    def _take_back(self) -> None:
        """Where the old one had to be paused first and there will be no new one now, the old one goes on."""
        if self.service.traits.creates_paused:
            return
        try:
            found = self.service.schedules(self.name)
            retired = [one for one in found if one.retired and not one.enabled]
            if retired and not any(one.enabled for one in found):
                latest = max(retired, key=lambda one: one.created)
                self.service.apply(ScheduleStep(Action.ENABLE, latest.id), self.name, None)
                self.service.apply(ScheduleStep(Action.RESTORE, latest.id), self.name, None)
        except PedigreeError:
            return  # the first trouble is the one to tell; the next call finds the mark and goes on

    def _contended(self) -> ConflictError:
        return ConflictError(
            f"The schedule {self.name} at {self.service.where} changes while it is being changed: somebody else, or "
            "another job, works on it too. Run the command again when that is over."
        )


def in_words(step: ScheduleStep) -> str:
    """A step as it is told to a person."""
    known = step.id not in (None, NEW)
    which = f"the schedule {str(step.id).rpartition('/')[2]}" if known else "the new schedule"
    if step.action is Action.CREATE:
        follows = f", for what comes after {step.after:%Y-%m-%d %H:%M:%S} UTC" if step.after else ""
        return f"create a schedule{', paused' if step.paused else ''}{follows}"
    words = {
        Action.UPDATE: f"change {', '.join(step.fields or {})} of {which}",
        Action.WAIT: f"wait until the next occurrence of {which} has passed",
        Action.RETIRE: f"mark {which} as being replaced",
        Action.RESTORE: f"take the mark of being replaced from {which}",
        Action.DISABLE: f"pause {which}",
        Action.ENABLE: f"enable {which}",
        Action.DELETE: f"delete {which}",
    }
    return words[step.action]

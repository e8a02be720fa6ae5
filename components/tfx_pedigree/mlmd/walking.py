"""Upstream from some artifacts, level by level, by events alone: one question for many nodes, on every MLMD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.mlmd import vocabulary
from tfx_pedigree.mlmd.history import Artifact, Event, Execution, History, RecordedRun
from tfx_pedigree.mlmd.reading import Reader


class InterruptedWalkError(UnavailableError):
    """The store went away in the middle. `partial` is what had been read, and makes sense by itself."""

    def __init__(self, message: str, partial: History) -> None:
        super().__init__(message)
        self.partial = partial


def walk_upstream(reader: Reader, artifacts: Iterable[int]) -> History:
    """All that the artifacts (ids) came from. Unknown ids are left out; a cycle is walked once.

    What a model was only compared with is in the answer, but its own past is not: that was told by
    the run that made it, and would make each run's answer longer than the one before.
    """
    walk = _Walk(reader)
    try:
        walk.up_from(set(artifacts))
        walk.join_versions()
        walk.name_runs()
    except UnavailableError as error:
        raise InterruptedWalkError(str(error), walk.history()) from None
    return walk.history()


class _Walk:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._artifacts: dict[int, Artifact] = {}
        self._executions: dict[int, Execution] = {}
        self._events: set[Event] = set()
        self._runs: dict[int, RecordedRun] = {}
        self._told: set[int] = set()

    def up_from(self, ids: set[int]) -> None:
        seen = set(ids)
        self._read(ids)
        while ids:
            new = _makers(self._reader.events_of_artifacts(ids)) - self._executions.keys()
            self._executions |= {one.id: one for one in self._reader.executions(new)}
            events = self._reader.events_of_executions(new)
            inputs = {one.artifact for one in events if not one.is_output}
            self._read(inputs)
            # Outputs that nobody asked for are not upstream of anything.
            self._events |= {one for one in events if one.artifact in self._artifacts}
            self._told |= new
            ids = {one.artifact for one in events if self._goes_on(one)} - seen
            seen |= ids

    def join_versions(self) -> None:
        """Which version a model became stands downstream of it."""
        models = [one.id for one in self._artifacts.values() if one.type == vocabulary.MODEL]
        used = {one.execution for one in self._reader.events_of_artifacts(models) if not one.is_output}
        self._add_versioners(self._reader.executions(used))

    def name_runs(self) -> None:
        """With the Versioners of the runs: a run is known by the version that it made."""
        self._runs, members = runs_of(self._reader, self._executions)
        self._add_versioners(one for one in members.values() if one.id not in self._executions)

    def _add_versioners(self, executions: Iterable[Execution]) -> None:
        versioners = {one.id: one for one in executions if vocabulary.is_versioner(one.component)}
        events = self._reader.events_of_executions(versioners)
        self._read({event.artifact for event in events})
        self._executions |= versioners
        self._events |= set(events)

    def _read(self, artifacts: set[int]) -> None:
        self._artifacts |= {one.id: one for one in self._reader.artifacts(artifacts - self._artifacts.keys())}

    def history(self) -> History:
        there = self._artifacts.keys(), self._executions.keys()
        events = sorted(e for e in self._events if e.artifact in there[0] and e.execution in there[1])
        return History(self._artifacts, self._executions, tuple(events), self._runs, frozenset(self._told))

    def _goes_on(self, event: Event) -> bool:
        return not event.is_output and event.key not in vocabulary.RIVALS


def _makers(events: Iterable[Event]) -> set[int]:
    """The first execution that left an artifact is the one that made it: those that follow found it in the cache."""
    first: dict[int, int] = {}
    for event in events:
        if event.is_output:
            first[event.artifact] = min(event.execution, first.get(event.artifact, event.execution))
    return set(first.values())


def runs_of(reader: Reader, executions: Iterable[int]) -> tuple[dict[int, RecordedRun], dict[int, Execution]]:
    """The runs of executions, and all members of these runs. Two questions a run: MLMD tells contexts one execution at
    a time, but all executions of a context at once."""
    found: dict[int, RecordedRun] = {}
    every: dict[int, Execution] = {}
    left = sorted(executions, reverse=True)
    while left:
        execution = left.pop()
        if execution in found:
            continue
        contexts = reader.contexts_of_execution(execution)
        run = next((one for one in contexts if one.type in vocabulary.RUN_CONTEXTS), None)
        if run is None:
            continue
        named = RecordedRun(run.name, _pipeline(contexts), run.create_time_since_epoch)
        members = {one.id: one for one in reader.executions_of_context(run.id)}
        found |= {number: named for number in (*members, execution) if number not in found}
        every |= members
    return found, every


def _pipeline(contexts: Iterable[Any]) -> str | None:
    return next((str(one.name) for one in contexts if one.type in vocabulary.PIPELINE_CONTEXTS), None)

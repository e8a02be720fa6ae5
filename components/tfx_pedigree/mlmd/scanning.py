"""All of a store, piece by piece: run after run, then what belongs to no run, by ids.

A run is never in two pieces, so that each can be told and written by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tfx_pedigree.mlmd import vocabulary
from tfx_pedigree.mlmd.history import Execution, History, RecordedRun
from tfx_pedigree.mlmd.reading import BATCH, Reader
from tfx_pedigree.mlmd.walking import runs_of
from tfx_pedigree.progress import Progress, silent

# Executions of a piece, about.
_PIECE = 400


@dataclass(frozen=True)
class Selection:
    """Of which runs is told: those of one pipeline, and those that began at a moment or after it."""

    pipeline: str | None = None
    since: datetime | None = None

    @property
    def is_all(self) -> bool:
        return self.pipeline is None and self.since is None

    def has(self, created: int) -> bool:
        return self.since is None or created >= self.since.timestamp() * 1000


def versions(reader: Reader) -> History:
    """What Pedigree's Versioner ever did in the store, whatever is selected."""
    made = reader.artifacts_of_type(vocabulary.MODEL_VERSION)
    makers = {event.execution for event in reader.events_of_artifacts(one.id for one in made) if event.is_output}
    executions = {one.id: one for one in reader.executions(makers)}
    events = reader.events_of_executions(makers)
    artifacts = {one.id: one for one in reader.artifacts(event.artifact for event in events)}
    return History(artifacts, executions, tuple(sorted(events)))


def scan(reader: Reader, selection: Selection | None = None, progress: Progress = silent) -> Iterator[History]:
    """Pieces of the store. `progress` counts executions and artifacts."""
    chosen = selection or Selection()
    scanned = _Scan(reader, chosen, progress)
    yield from scanned.runs()
    if chosen.pipeline is None:
        yield from scanned.strays()
    if chosen.is_all:
        yield from scanned.orphans()
    scanned.finish()


class _Scan:
    def __init__(self, reader: Reader, selection: Selection, progress: Progress) -> None:
        self._reader = reader
        self._selection = selection
        self._progress = progress
        self._executions: set[int] = set()
        self._artifacts: set[int] = set()
        self._last = reader.last_execution(), reader.last_artifact()
        self._pipelines = _pipelines(reader)

    def runs(self) -> Iterator[History]:
        members: dict[int, Execution] = {}
        named: dict[int, RecordedRun] = {}
        for context in self._contexts():
            executions = self._reader.executions_of_context(context.id)
            run = self._run(context, executions)
            if run is None:
                continue
            # Kubeflow's and Vertex's own context of a run may stand beside TFX's: the first one counts.
            new = [one for one in executions if one.id not in self._executions]
            self._executions |= {one.id for one in new}
            members |= {one.id: one for one in new}
            named |= {one.id: run for one in new}
            if len(members) >= _PIECE:
                yield self._piece(members, named)
                members, named = {}, {}
        if members:
            yield self._piece(members, named)

    def strays(self) -> Iterator[History]:
        """Executions that belong to no run."""
        for ids in _ranges(self._last[0], self._executions):
            found = [one for one in self._reader.executions(ids) if self._selection.has(one.created)]
            if not self._selection.is_all:
                others, _ = runs_of(self._reader, [one.id for one in found])
                found = [one for one in found if one.id not in others]
            if found:
                self._executions |= {one.id for one in found}
                yield self._piece({one.id: one for one in found}, {})

    def orphans(self) -> Iterator[History]:
        """Artifacts that no execution ever touched."""
        for ids in _ranges(self._last[1], self._artifacts):
            if found := self._reader.artifacts(ids):
                self._artifacts |= {one.id for one in found}
                yield History({one.id: one for one in found})

    def finish(self) -> None:
        total = sum(self._last)
        self._progress(total, total, self._reader.shown)

    def _contexts(self) -> list[Any]:
        found = [one for name in vocabulary.RUN_CONTEXTS for one in self._reader.contexts_of_type(name)]
        return sorted(
            (one for one in found if self._selection.has(one.create_time_since_epoch)), key=lambda one: one.id
        )

    def _run(self, context: Any, executions: list[Execution]) -> RecordedRun | None:
        pipeline = self._pipelines(executions[0].id) if executions else None
        if self._selection.pipeline not in (None, pipeline):
            return None
        return RecordedRun(context.name, pipeline, context.create_time_since_epoch)

    def _piece(self, executions: dict[int, Execution], runs: dict[int, RecordedRun]) -> History:
        events = set(self._reader.events_of_executions(executions))
        artifacts = {one.id: one for one in self._reader.artifacts({event.artifact for event in events})}
        told = frozenset(executions)
        # What is known by what made it, and was made elsewhere.
        made = {event.artifact for event in events if event.is_output}
        foreign = [one.id for one in artifacts.values() if one.type in vocabulary.DERIVED and one.id not in made]
        makers = {event.execution for event in self._reader.events_of_artifacts(foreign) if event.is_output} - told
        if makers:
            executions = {**executions, **{one.id: one for one in self._reader.executions(makers)}}
            more = self._reader.events_of_executions(makers)
            events |= set(more)
            artifacts |= {
                one.id: one for one in self._reader.artifacts({event.artifact for event in more} - artifacts.keys())
            }
        self._artifacts |= artifacts.keys()
        done = len(self._executions) + len(self._artifacts)
        self._progress(min(done, sum(self._last)), sum(self._last), self._reader.shown)
        return History(artifacts, executions, tuple(sorted(events)), runs, told)


def _pipelines(reader: Reader) -> Callable[[int], str | None]:
    """The name of an execution's pipeline. MLMD has no index from an execution to its contexts: asking for each run
    would take time with the square of the store's size."""
    contexts = [one for name in vocabulary.PIPELINE_CONTEXTS for one in reader.contexts_of_type(name)]
    if len(contexts) <= 1:
        only: str | None = contexts[0].name if contexts else None
        return lambda execution: only
    names: dict[int, str] = {}
    for context in contexts:
        for number in reader.members_of_context(context.id):
            names.setdefault(number, context.name)
    return names.get


def _ranges(last: int, seen: Iterable[int]) -> Iterator[list[int]]:
    """The ids up to the last one that were not seen, in batches. An id that does not exist is left out by the store."""
    known = seen if isinstance(seen, set) else set(seen)
    batch: list[int] = []
    for number in range(1, last + 1):
        if number not in known:
            batch.append(number)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch

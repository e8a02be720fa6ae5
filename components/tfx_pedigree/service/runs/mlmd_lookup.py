"""What ML Metadata knows of a run, where a connection is given. What cannot be read is said, and stops nothing here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.lineage.graph import Fragment, Node
from tfx_pedigree.lineage.run_graph import PipelineRun
from tfx_pedigree.secrets import clean_text

# Where a password may stand, which it may not in a parameter.
MLMD_VARIABLE = "PEDIGREE_MLMD"


@dataclass(frozen=True)
class MlmdLookup:
    """`problem` says why something is missing; `asked` is False where there is no connection to ask."""

    fragment: Fragment
    problem: PedigreeError | None = None
    pipeline: str | None = None
    asked: bool = True

    def marked(self, run: PipelineRun) -> PipelineRun:
        """The run with the word whether all was read, and with its pipeline's name, if only the store has it."""
        run = replace(run, pipeline=run.pipeline or self.pipeline)
        if self.problem is not None:
            return replace(run, incomplete=f"ML Metadata: {clean_text(str(self.problem))}")
        return replace(run, complete=self.asked)


class ArtifactPlace(NamedTuple):
    """An artifact as ML Metadata may find it."""

    type_name: str
    uri: str
    id: int


def look_up(address: str, artifacts: Iterable[ArtifactPlace], run: Node) -> MlmdLookup:
    """Walks upstream from the run's artifacts. Raises nothing: that a store is gone is the answer's problem.

    `run` is the run that is going on, which the store knows by the name that its runner gives it.
    """
    address = address or os.environ.get(MLMD_VARIABLE, "")
    if not address:
        return MlmdLookup(Fragment(()), asked=False)
    from tfx_pedigree.mlmd import InterruptedWalkError, Mapper, connect, walk_upstream  # noqa: PLC0415  if needed

    found = list(artifacts)
    try:
        with connect(address) as reader:
            mapper = Mapper(reader.identity, runs=dict.fromkeys(run.facts.get("id", ()), run))
            problem = None
            try:
                history = walk_upstream(reader, _ids(reader, found))
            except InterruptedWalkError as error:
                history, problem = error.partial, error
            pipelines = (one.pipeline for one in history.runs.values() if one.name == run.fact("id"))
            return MlmdLookup(mapper.fragment(history), problem, next(pipelines, None))
    except PedigreeError as error:
        return MlmdLookup(Fragment(()), error)


def _ids(reader: Any, found: Sequence[ArtifactPlace]) -> set[int]:
    """The store's numbers of artifacts that lie at these places. A runner without MLMD numbers them its own way."""
    numbered = {one.id: one.uri for one in reader.artifacts({number for _, _, number in found})}
    ids = {number for _, uri, number in found if numbered.get(number) == uri}
    for type_name, uri, number in found:
        if number not in ids:
            ids |= {one.id for one in reader.artifacts_of_type(type_name) if one.uri == uri}
    return ids

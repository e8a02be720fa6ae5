"""A store's history into the graph of a registry: in pieces, each written when it has been read.

What an interrupted import has written stays, and importing again adds only the rest: nodes are known by content.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.lineage.cycles import find_cycles
from tfx_pedigree.lineage.graph import Edge, Fragment
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.recording import Importer, Recorded
from tfx_pedigree.mlmd.artifact_files import ArtifactFiles
from tfx_pedigree.mlmd.mapping import Mapper
from tfx_pedigree.mlmd.reading import Reader
from tfx_pedigree.mlmd.scanning import Selection, scan, versions
from tfx_pedigree.progress import Progress, silent


@dataclass(frozen=True)
class Imported:
    """`nodes` and `edges` are what the selection has in the terms of the graph; `recorded` is what of it was new, or
    None where nothing was to be written. `cycles` are ways that lead back to where they began, some of them; `loops`
    counts the artifacts that came out of an execution that had them as input, which is no edge of the graph."""

    store: str
    runs: int
    executions: int
    artifacts: int
    nodes: int
    edges: int
    recorded: Recorded | None
    cycles: tuple[tuple[str, ...], ...] = ()
    loops: int = 0

    def to_json(self) -> dict[str, Any]:
        new = self.recorded
        return {
            "store": self.store,
            "read": {"runs": self.runs, "executions": self.executions, "artifacts": self.artifacts},
            "nodes": self.nodes,
            "edges": self.edges,
            "added": None if new is None else new.to_json(),
            "cycles": [list(cycle) for cycle in self.cycles],
            "loops": self.loops,
        }


def import_store(
    reader: Reader,
    lineage: Lineage,
    selection: Selection | None = None,
    *,
    files: ArtifactFiles | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> Imported:
    """Needs an admin, unless it is a dry run. When the store goes away in the middle, UnavailableError is raised, and
    what was written until then stays."""
    mapper = Mapper(reader.identity, files=files)
    mapper.learn(versions(reader))
    seen = _Seen()
    with _writing(lineage, reader.shown, dry_run) as importer:
        for piece in scan(reader, selection, progress):
            fragment = mapper.fragment(piece)
            seen.add(fragment)
            seen.runs |= {(run.pipeline, run.name) for run in piece.runs.values()}
            seen.executions += len(piece.told)
            seen.artifacts |= piece.artifacts.keys()
            if importer is not None:
                importer.add(fragment)
    return Imported(
        store=reader.identity,
        runs=len(seen.runs),
        executions=seen.executions,
        artifacts=len(seen.artifacts),
        nodes=len(seen.nodes),
        edges=len(seen.edges),
        recorded=importer.recorded if importer is not None else None,
        cycles=tuple(find_cycles(seen.nodes, seen.edges)),
        loops=len(mapper.loops),
    )


@contextlib.contextmanager
def _writing(lineage: Lineage, source: str, dry_run: bool) -> Iterator[Importer | None]:
    if dry_run:
        yield None
        return
    with lineage.importing(source) as importer:
        yield importer


class _Seen:
    """Keys and edges of all pieces: cycles are only seen in the whole."""

    def __init__(self) -> None:
        self.nodes: set[str] = set()
        self.edges: set[Edge] = set()
        self.runs: set[tuple[str | None, str]] = set()
        self.executions = 0
        self.artifacts: set[int] = set()

    def add(self, fragment: Fragment) -> None:
        self.nodes |= {node.key for node in fragment.nodes}
        self.edges |= set(fragment.edges)

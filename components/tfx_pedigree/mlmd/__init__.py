"""ML Metadata as a source: what TFX's pipelines did before Pedigree was there, or beside it.

In: the address of a store (or TFX's metadata_connection_config). Out: fragments of the lineage graph.
Never: writes to ML Metadata, makes a store where there is none, or loads TensorFlow.

`connect` opens a store, `walk_upstream` reads what some artifacts came from, `scan` reads all of it, and a `Mapper`
says it in the terms of the graph. A store that goes away in the middle raises `InterruptedWalkError`, which holds
what was read until then.
"""

from __future__ import annotations

from tfx_pedigree.mlmd.artifact_files import ArtifactFiles
from tfx_pedigree.mlmd.history import Artifact, Event, Execution, History, RecordedRun
from tfx_pedigree.mlmd.importing import Imported, import_store
from tfx_pedigree.mlmd.mapping import Mapper
from tfx_pedigree.mlmd.reading import Reader, connect
from tfx_pedigree.mlmd.scanning import Selection, scan
from tfx_pedigree.mlmd.source import Source, source_of
from tfx_pedigree.mlmd.walking import InterruptedWalkError, walk_upstream

__all__ = [
    "Artifact",
    "ArtifactFiles",
    "Event",
    "Execution",
    "History",
    "Imported",
    "InterruptedWalkError",
    "Mapper",
    "Reader",
    "RecordedRun",
    "Selection",
    "Source",
    "connect",
    "import_store",
    "scan",
    "source_of",
    "walk_upstream",
]

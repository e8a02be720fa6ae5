"""One model with its whole history, its lineage and its bytes as one stream, and back again.

In come a registry and a stream; out go the stream, or rows and bytes that were found true before the first of them was
written. It never takes anything in an archive on trust, and never changes what is here already. docs/registry.md
describes the format and its limits.
"""

from __future__ import annotations

from tfx_pedigree.service.archive.exporting import ExportReport, export_model, export_to_file
from tfx_pedigree.service.archive.importing import ImportReport, import_from_file, import_model

__all__ = [
    "ExportReport",
    "ImportReport",
    "export_model",
    "export_to_file",
    "import_from_file",
    "import_model",
]

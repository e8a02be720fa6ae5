"""A model on its way out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.lineage import transfer as lineage
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import Registry, transfer
from tfx_pedigree.service.archive import limits
from tfx_pedigree.service.archive.limits import EVENTS, FORMAT, HEADER, LINEAGE, ROWS
from tfx_pedigree.service.archive.new_file import appearing
from tfx_pedigree.service.archive.tar_stream import TarWriter
from tfx_pedigree.store import Store
from tfx_pedigree.store.manifest import FileEntry
from tfx_pedigree.store.parallel import Meter


@dataclass(frozen=True)
class ExportReport(JsonForm):
    model: str
    path: str
    versions: int
    events: int
    objects: int
    size: int


def export_to_file(registry: Registry, model: str, path: Path, progress: Progress = silent) -> ExportReport:
    """The file appears whole or not at all; an existing one is not overwritten."""
    with appearing(path) as file:
        return export_model(registry, model, file, progress, path=str(path))


def export_model(
    registry: Registry, model: str, out: BinaryIO, progress: Progress = silent, *, path: str = "-"
) -> ExportReport:
    """Writes the archive from where `out` stands. If it raises, what was written is no archive."""
    # All may be read: what a model came from is also that of others.
    with registry.transactions.reading(None) as connection:
        events, rows = transfer.read(connection, model)
        nodes_and_edges = _table(LINEAGE, lineage.read(connection, model), limits.MOST_LINEAGE)
    digests = [row["digest"] for row in rows if row["table"] == "model_versions"]
    header = {
        "format": FORMAT,
        "model": model,
        "versions": len(digests),
        "events": len(events),
        "head": events[-1].hash,
        "attachments": {"lineage": digest_of(nodes_and_edges)},
    }
    tar = TarWriter(out)
    tar.add(HEADER, json.dumps(header, indent=2).encode())
    tar.add(EVENTS, _table(EVENTS, (event.to_json() for event in events), limits.MOST_EVENTS))
    tar.add(ROWS, _table(ROWS, rows, limits.MOST_ROWS))
    tar.add(LINEAGE, nodes_and_edges)
    objects = _add_bytes(tar, registry.store, digests, progress)
    tar.finish()
    return ExportReport(model, path, len(digests), len(events), objects, tar.done)


def _add_bytes(tar: TarWriter, store: Store, digests: list[str], progress: Progress) -> int:
    objects: dict[str, FileEntry] = {}
    for digest in digests:
        manifest = store.manifest(digest)
        tar.add(f"manifests/{digest.removeprefix('sha256:')}", manifest.to_json())
        objects.update({entry.sha256: entry for entry in manifest.files})
    meter = Meter(progress, sum(entry.size for entry in objects.values()))
    for sha256, entry in objects.items():
        tar.begin(f"objects/{sha256}", entry.size)
        store.copy_object(sha256, cast("BinaryIO", _Told(tar, meter.step(entry.path))))
        tar.end()
    meter.finish("")
    return len(objects)


class _Told:
    """An object on its way out, which tells how far it is."""

    def __init__(self, tar: TarWriter, step: Callable[[int], None]) -> None:
        self._tar, self._step = tar, step

    def write(self, data: memoryview) -> None:
        self._tar.write(data)
        self._step(len(data))


def _table(name: str, items: Iterable[Mapping[str, Any]], most: int) -> bytes:
    """One line each. What `import` would refuse for its size is not written."""
    lines = [json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for item in items]
    size, longest = sum(map(len, lines)), max(map(len, lines), default=0)
    if size > most or longest > limits.MOST_LINE:
        raise InvalidInputError(
            f"{name} would have {size} bytes and a line of {longest}; {most} and {limits.MOST_LINE} are the most that "
            "an archive holds. Copy the registry's database and its store as they are instead."
        )
    return b"".join(lines)

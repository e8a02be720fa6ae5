"""What still lies where a store says it lies: on this machine's disks only, since thousands of artifacts are asked for.

What is gone, unreadable or not what it should be counts as not there; the store's own words are used instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.comparison import Comparison
from tfx_pedigree.db import schema
from tfx_pedigree.digest import is_digest
from tfx_pedigree.errors import InvalidInputError, PedigreeError
from tfx_pedigree.registry import Registry
from tfx_pedigree.store import manifest_of

# Of Pedigree's own components; docs/components.md describes them.
_VERSION_FILE, _VERSION_FORMAT = "version.json", "pedigree.model-version/1"
_COMPARISON_FILE = "comparison.json"
# As TFX's Tuner writes it.
_TUNED_FILE = "best_hyperparameters.txt"
_LARGEST = 64 << 20
# Where TFX's Trainer has put the model to serve, by the age of TFX.
_SERVING = ("Format-Serving", "serving_model_dir")

# Model and digest of versions that the registry knows with these bytes.
Finder = Callable[[str], Iterable[tuple[str, str | None]]]


def _none(digest: str) -> Iterable[tuple[str, str | None]]:
    return ()


@dataclass(frozen=True)
class ArtifactFiles:
    """`digests` says whether models, schemas and transform graphs are read to know them by content. `versions` tells
    model and number of the versions that have a digest."""

    digests: bool = False
    versions: Finder = _none

    def version_record(self, uri: str, model: str, digest: str) -> Mapping[str, Any] | None:
        """version.json, if it is about this version."""
        record = _json(uri, _VERSION_FILE)
        if not isinstance(record, dict) or record.get("format") != _VERSION_FORMAT:
            return None
        return record if record.get("model") == model and record.get("digest") == digest else None

    def comparison(self, uri: str) -> Comparison | None:
        text = _text(uri, _COMPARISON_FILE)
        try:
            return Comparison.from_text(text) if text is not None else None
        except PedigreeError:
            return None

    def hyperparameters(self, uri: str) -> Mapping[str, Any] | None:
        """The values that a Tuner found best. KerasTuner writes them beside the space that it searched."""
        found = _json(uri, _TUNED_FILE)
        values = found.get("values") if isinstance(found, dict) and "space" in found else found
        return values if isinstance(values, dict) and values else None

    def digest_of(self, uri: str) -> str | None:
        """Of a folder, as the store counts it."""
        return self._digest(_local(uri)) if self.digests else None

    def digest_of_model(self, uri: str) -> str | None:
        """Of the model to serve, which is what a version is."""
        folder = _local(uri)
        if not self.digests or folder is None:
            return None
        return self._digest(next((folder / name for name in _SERVING if (folder / name).is_dir()), folder))

    def version_of(self, digest: str) -> tuple[str, str | None] | None:
        """The one version that has these bytes; None if there is none, or models of several names have them."""
        found = list(self.versions(digest))
        return found[0] if len(found) == 1 else None

    def _digest(self, folder: Path | None) -> str | None:
        if folder is None or not folder.is_dir():
            return None
        try:
            digest = manifest_of(folder).digest
        except (OSError, PedigreeError):
            return None
        return digest if is_digest(digest) else None


def _local(uri: str) -> Path | None:
    path = uri.removeprefix("file://")
    return Path(path) if path.startswith("/") else None


def _text(uri: str, name: str) -> str | None:
    folder = _local(uri)
    if folder is None:
        return None
    try:
        file = folder / name
        return file.read_text("utf-8") if file.stat().st_size <= _LARGEST else None
    except (OSError, UnicodeDecodeError):
        return None


def _json(uri: str, name: str) -> Any:
    text = _text(uri, name)
    try:
        return parse_json(text, name, canonical=True) if text is not None else None
    except InvalidInputError:
        return None


def versions_in(registry: Registry) -> Finder:
    """Model and number of each version with a digest."""
    v, m = schema.model_versions.c, schema.models.c

    def find(digest: str) -> Iterable[tuple[str, str | None]]:
        query = sa.select(m.name, v.version).join_from(schema.model_versions, schema.models).where(v.digest == digest)
        with registry.transactions.reading(None) as connection:
            return [(row.name, row.version) for row in connection.execute(query)]

    return find

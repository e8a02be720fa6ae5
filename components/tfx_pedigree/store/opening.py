"""Finding a store at a path or URL, and refusing all that is not one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.store.backend import MARKER, TEMPORARY, Backend
from tfx_pedigree.store.failures import shown, using_store
from tfx_pedigree.store.local import TEMPORARY_NAME, LocalBackend

FORMAT = "pedigree-store"
FORMAT_VERSION = 1


def open_backend(url: str | Path, create: bool, options: Mapping[str, Any] | None) -> Backend:
    text = os.fspath(url)
    protocol, separator, rest = text.partition("://")
    if not text or "\x00" in text:
        raise InvalidInputError("The path or URL of the store is empty or holds a NUL character.")
    if not separator or protocol in ("file", "local"):
        return _open_local(Path(rest if separator else text), create)
    from tfx_pedigree.store.remote import RemoteBackend  # noqa: PLC0415  fsspec takes longer to import than all of us

    remote = RemoteBackend(text, options or {})
    _check_marker(remote, create, remote.names)
    return remote


def _open_local(folder: Path, create: bool) -> LocalBackend:
    backend = LocalBackend(folder)
    with using_store(backend.url):
        if folder.exists() and not folder.is_dir():
            raise InvalidInputError(f"{shown(backend.url)} is a file. A store is a folder: give another path.")
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        _check_marker(backend, create, lambda: _names(folder))
    return backend


def _names(folder: Path) -> list[str]:
    """What lies there, without what an interrupted creation has left."""
    names = sorted(os.listdir(folder)) if folder.exists() else []
    if names == [TEMPORARY] and all(map(TEMPORARY_NAME.fullmatch, os.listdir(folder / TEMPORARY))):
        return []
    return names


def _check_marker(backend: Backend, create: bool, names: Callable[[], list[str]]) -> None:
    where = shown(backend.url)
    marker = backend.read(MARKER, 4096)
    # What lies there without a marker may be a store that another process has just made: so look again.
    found = names() if marker is None else []
    if found:
        marker = backend.read(MARKER, 4096)
    if marker is not None:
        _check_format(where, marker)
        return
    if found:
        raise InvalidInputError(
            f"{where} is not a Pedigree store: it holds '{shown(found[0])}' but no {MARKER}. "
            "Give the folder of a store, or an empty one to create a store in."
        )
    if not create:
        raise NotFoundError(
            f"There is no store at {where}. Check the path, or create one there with "
            f"`pedigree init --store {shlex.quote(where)}`."
        )
    backend.write(MARKER, canonical_json({"format": FORMAT, "version": FORMAT_VERSION}))


def _check_format(where: str, marker: bytes) -> None:
    try:
        value = parse_json(marker, MARKER)
        known, version = value["format"] == FORMAT, value["version"]
    except (InvalidInputError, LookupError, TypeError):
        known, version = False, None
    if not known or type(version) is not int or version < 1:
        raise InvalidInputError(
            f"{where} is not a Pedigree store: its {MARKER} cannot be understood. Restore that file, or "
            "give another folder."
        )
    if version > FORMAT_VERSION:
        raise ConflictError(
            f"The store {where} has format {version}, and this tfx-pedigree knows formats up to "
            f"{FORMAT_VERSION}. "
            "Nothing was changed. Install a newer tfx-pedigree to use it."
        )

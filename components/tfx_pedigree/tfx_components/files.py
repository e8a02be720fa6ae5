"""Files of artifacts, wherever a pipeline keeps them: on a disk or, through TFX's file systems, in a bucket.

The store works with local folders. A folder in a bucket is copied from or to a temporary one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tfx.dsl.io import fileio
from tfx.utils import path_utils

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import PREFIX
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.store import Manifest, Store, manifest_of
from tfx_pedigree.tfx_components.artifacts import DIGEST

# Who polls a folder for models takes one to be there when this file is.
_LAST = "saved_model.pb"
_BLOCK = 1 << 20


def serving_folder(model: Any) -> str:
    """Where the model to serve lies in a Model artifact. These files, and no others, are the version."""
    return str(path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model)))


def champion_folder(uri: str) -> str:
    """Where a Model artifact of ours keeps the model to serve, so that `serving_folder` finds it."""
    return str(path_utils.serving_model_dir(uri))


def digest_of_model(model: Any) -> str:
    """One that no ChampionProvider gave is known by its content, as every version is."""
    digest: str = model.get_string_custom_property(DIGEST)
    if digest:
        return digest
    with local_folder(serving_folder(model)) as local:
        return manifest_of(local).digest


def is_remote(uri: str) -> bool:
    return "://" in uri


@contextlib.contextmanager
def local_folder(uri: str) -> Iterator[Path]:
    """The folder itself, or a copy of a remote one that is gone afterwards."""
    if not is_remote(uri):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="pedigree-") as temporary:
        for path in list_files(uri):
            target = Path(temporary, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(posixpath.join(uri, path), str(target))
        yield Path(temporary)


def _copy(source: str, target: str) -> None:
    """In blocks: between two file systems, TFX would hold the whole file in memory."""
    with fileio.open(source, "rb") as opened, fileio.open(target, "wb") as written:
        while block := opened.read(_BLOCK):
            written.write(block)


def list_files(uri: str) -> list[str]:
    """Relative paths of all files below a folder, sorted; none if there is no such folder."""
    base = uri.rstrip("/") + "/"
    found = []
    for folder, _, names in fileio.walk(uri):
        beneath = (str(folder).rstrip("/") + "/").removeprefix(base)
        found += [beneath + name for name in names]
    return sorted(found)


def size_of(uri: str) -> int:
    found = fileio.stat(uri)
    size: int = found.st_size if hasattr(found, "st_size") else found.length  # TensorFlow's file systems
    return size


def open_binary(uri: str) -> BinaryIO:
    opened: BinaryIO = fileio.open(uri, "rb")
    return opened


def lay_out(store: Store, digest: str, uri: str) -> None:
    """The version's files in the folder `uri`, verified. On a disk they appear at once; in a bucket saved_model.pb
    comes last. Changes nothing if they are there already; ConflictError if something else is."""
    if not is_remote(uri):
        store.materialise(digest, uri)
        return
    manifest = store.manifest(digest)
    if _is_there(manifest, uri):
        return
    with tempfile.TemporaryDirectory(prefix="pedigree-") as temporary:
        folder = store.materialise(digest, Path(temporary, "model"))
        for entry in sorted(manifest.files, key=lambda one: one.path == _LAST):
            target = posixpath.join(uri, entry.path)
            fileio.makedirs(posixpath.dirname(target))
            _copy(str(folder / entry.path), target)


def _is_there(manifest: Manifest, uri: str) -> bool:
    """False also for what an interrupted copy has left, which lacks its last file and is completed."""
    found = set(list_files(uri)) if fileio.exists(uri) else set()
    wanted = {entry.path: entry.sha256 for entry in manifest.files}
    same = found == set(wanted) and all(_sha256(posixpath.join(uri, path)) == wanted[path] for path in sorted(found))
    if not same and (_LAST in found or not found <= set(wanted)):
        raise ConflictError(
            f"{uri} exists and is not version {manifest.digest}. It was left as it is. "
            "Remove it or choose another folder."
        )
    return same


def digest_of_file(uri: str) -> str:
    return PREFIX + _sha256(uri)


def _sha256(uri: str) -> str:
    digest = hashlib.sha256()
    with open_binary(uri) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_json(uri: str, name: str, value: Any) -> None:
    """The same bytes for the same value, written to be read by people as well."""
    fileio.makedirs(uri)
    with fileio.open(posixpath.join(uri, name), "w") as file:
        file.write(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(uri: str, name: str) -> str:
    path = posixpath.join(uri, name)
    if not fileio.exists(path):
        raise NotFoundError(f"The artifact {uri} holds no {name}. Run the component that writes it again.")
    with open_binary(path) as file:
        try:
            return file.read().decode()
        except UnicodeDecodeError:
            raise InvalidInputError(f"{path} is not UTF-8 text. Run the component that writes it again.") from None


def read_json(uri: str, name: str) -> Any:
    return parse_json(read_text(uri, name), posixpath.join(uri, name))

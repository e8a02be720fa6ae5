"""The store: models in, versions out."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tfx_pedigree.digest import check_digest
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.store.backend import Backend, manifest_key, object_key
from tfx_pedigree.store.failures import shown
from tfx_pedigree.store.garbage_collection import GcReport, collect_garbage
from tfx_pedigree.store.hashing_copy import Step, hash_all
from tfx_pedigree.store.hints import check_hint
from tfx_pedigree.store.manifest import FileEntry, Manifest, check_sha256
from tfx_pedigree.store.materialise import materialise
from tfx_pedigree.store.opening import open_backend
from tfx_pedigree.store.parallel import Meter, spread
from tfx_pedigree.store.reading import copy_out, object_pieces, read_manifest, verified_file
from tfx_pedigree.store.source import SourceFile, SourceTree, changed, source_tree
from tfx_pedigree.store.users import StoreUser, mark_user, users_of
from tfx_pedigree.store.verify import VerifyReport, verify


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One object of a version: its name and how many bytes it has."""

    sha256: str
    size: int


class Store:
    """Use `Store.open`. One store may be used by many threads, processes and hosts at once."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.url = backend.url
        """Where the store lies, without credentials."""

    @classmethod
    def open(cls, url: str | Path, *, create: bool = False, storage_options: Mapping[str, Any] | None = None) -> Store:
        """Opens the store at a folder or fsspec URL; `create` makes one where nothing lies yet."""
        return cls(open_backend(url, create, storage_options))

    def put(self, source: str | Path, *, progress: Progress = silent, heal: bool = False) -> Manifest:
        """Stores a model: a folder or one file. To store it again changes nothing.

        When it returns, all of it is durable. When it raises, no version refers to what was written.
        An object that is there is trusted by its size; `heal` reads it too, and replaces it if it is damaged.
        """
        with source_tree(source) as tree:
            self._check_apart(tree)
            meter = Meter(progress, tree.total_size)
            manifest = _ingest(tree, meter, lambda file, step: self._backend.add_file(tree, file, step, heal))
            files = {file.path: file for file in tree.files}

            def store_again(entry: FileEntry) -> None:
                sha256 = self._backend.add_file(tree, files[entry.path], lambda count: None, heal)
                if sha256 != entry.sha256:
                    changed(shown(f"{tree.root}/{entry.path}"))

            self._publish(manifest, store_again)
            meter.finish(manifest.digest)
        return manifest

    def manifest(self, digest: str) -> Manifest:
        """Verified when it is read. NotFoundError: no such version. DamagedError: its bytes have changed."""
        return read_manifest(self._backend, digest)

    def has(self, digest: str) -> bool:
        """Whether the version is stored. Its bytes are not read."""
        return self._backend.stat(manifest_key(check_digest(digest))) is not None

    def materialise(
        self,
        digest: str,
        target: str | Path,
        *,
        link: Literal["copy", "hardlink", "reflink"] = "copy",
        progress: Progress = silent,
    ) -> Path:
        """Lays the version out as the folder `target`, verified; whole, or not at all.

        Changes nothing if `target` is this version already. ConflictError if something else lies there.
        """
        return materialise(self._backend, self.manifest(digest), target, link, progress)

    def open_file(self, digest: str, path: str) -> BinaryIO:
        """One file of a version, all of it verified before the first byte is handed out."""
        return verified_file(self._backend, self.manifest(digest), path)

    def verify(
        self, digests: Iterable[str] | None = None, *, progress: Progress = silent, set_aside: bool = True
    ) -> VerifyReport:
        """Reads and hashes everything, or all that the given versions refer to, and names what is wrong.

        What is damaged is moved to `damaged/`, so that storing the same model again heals it.
        """
        return verify(self._backend, digests, progress, set_aside)

    def mark_user(self, user: StoreUser) -> None:
        """Notes that a registry uses this store. Again changes nothing."""
        mark_user(self._backend, user)

    def users(self) -> tuple[StoreUser, ...]:
        """The registries that have added bytes."""
        return users_of(self._backend)

    def gc(
        self,
        keep: Iterable[str],
        *,
        dry_run: bool = True,
        grace: timedelta = timedelta(hours=24),
        force: bool = False,
    ) -> GcReport:
        """Deletes versions not in `keep`, and objects to which no version refers, if older than `grace`.

        A `keep` that is empty, or names a version that is not here, is refused unless `force`: it may belong
        to another store.
        """
        return collect_garbage(self._backend, keep, dry_run=dry_run, grace=grace, force=force)

    def objects_of(self, digest: str) -> tuple[ObjectRef, ...]:
        """The objects that a version consists of, each once: what an archive of it must hold."""
        return tuple(dict.fromkeys(ObjectRef(entry.sha256, entry.size) for entry in self.manifest(digest).files))

    def object_size(self, sha256: str) -> int | None:
        """How many bytes are stored under this name; None if there are none."""
        stored = self._backend.stat(object_key(check_sha256(sha256)))
        return None if stored is None else stored.size

    def object_pieces(self, sha256: str, start: int = 0) -> Generator[bytes, None, None]:
        """An object's bytes from `start` on, piece by piece, for who checks them."""
        return object_pieces(self._backend, check_sha256(sha256), start)

    def address_of(self, sha256: str, seconds: int) -> str | None:
        """From where anybody may read an object for so long, if the store lies where that can be. It is a secret."""
        return self._backend.address(object_key(check_sha256(sha256)), seconds)

    def copy_object(self, sha256: str, out: BinaryIO) -> int:
        """Writes an object's bytes to `out`, and returns how many. If it raises, discard what was written."""
        return copy_out(self._backend, check_sha256(sha256), None, out.write)

    def put_object(self, stream: BinaryIO, sha256: str | None, size: int, *, progress: Progress = silent) -> str:
        """Stores bytes from an untrusted stream. DamagedError unless they are `sha256`: nothing is stored then. Returns
        under which SHA-256 they are stored: None claims none."""
        what, meter = "an object" if sha256 is None else check_sha256(sha256), Meter(progress, size)
        if type(size) is not int or size < 0:
            raise InvalidInputError(f"{size!r} is not the size of an object.")
        found = self._backend.add_stream(stream, sha256, size, meter.step(what))
        meter.finish(found)
        return found

    def resembles(self, hint: str) -> bool:
        """Whether something may be stored that looks like a file of this hint (see `hints`)."""
        return self._backend.resembles(check_hint(hint))

    def put_manifest(self, manifest: Manifest | bytes) -> Manifest:
        """Makes a version of objects that are all here already. Bytes are checked as if they were hostile."""
        checked = manifest if isinstance(manifest, Manifest) else Manifest.from_json(manifest)

        def refuse(entry: FileEntry) -> None:
            raise NotFoundError(
                f"Version {checked.digest} was not stored: its object {entry.sha256} ({shown(entry.path)}) is not in "
                f"{self.url}. Store all of its objects first."
            )

        self._publish(checked, refuse)
        return checked

    def _publish(self, manifest: Manifest, supply: Callable[[FileEntry], None]) -> None:
        """Writes the manifest once all its objects are there. `supply` brings, or refuses, one that is not.

        All of it happens while no gc can delete, so a manifest never refers to an object that is gone.
        """
        backend, key, data = self._backend, manifest_key(manifest.digest), manifest.to_json()
        with backend.publishing() as still_held:
            for entry in self._missing(manifest):
                supply(entry)
            backend.settle(object_key(entry.sha256) for entry in manifest.files)
            still_held()
            if backend.read(key, len(data) + 1) == data:
                backend.touch(key, data)  # the grace period of a gc starts again
            else:
                backend.write(key, data)

    def _missing(self, manifest: Manifest) -> list[FileEntry]:
        entries = {entry.sha256: entry for entry in manifest.files}

        def is_there(entry: FileEntry) -> bool:
            stored = self._backend.stat(object_key(entry.sha256))
            return stored is not None and stored.size == entry.size

        if self._backend.folder is not None:
            return [entry for entry in entries.values() if not is_there(entry)]
        looked_at = spread(is_there, entries.values(), Meter(silent, 0), workers=8)
        return [entry for entry, there in looked_at if not there]

    def _check_apart(self, tree: SourceTree) -> None:
        if self._backend.folder is None:
            return
        store, model = os.path.realpath(self._backend.folder) + "/", tree.whole + "/"
        if store.startswith(model) or model.startswith(store):
            raise InvalidInputError(
                f"The model {shown(tree.whole)} and the store {self.url} lie inside each other. Move one of them."
            )


def manifest_of(source: str | Path, *, progress: Progress = silent) -> Manifest:
    """The manifest that `put` would return, without a store. Writes nothing."""
    with source_tree(source) as tree:
        return _ingest(tree, Meter(progress, tree.total_size), lambda file, step: _hash_file(tree, file, step))


def _hash_file(tree: SourceTree, file: SourceFile, step: Step) -> str:
    with tree.open(file) as opened:
        sha256, size = hash_all(opened.read, step)
        opened.check(size)
    return sha256


def _ingest(tree: SourceTree, meter: Meter, add: Callable[[SourceFile, Step], str]) -> Manifest:
    """Largest files first, so that the small ones fill the time that those take."""
    files = sorted(tree.files, key=lambda file: -file.size)
    hashes = spread(lambda file: add(file, meter.step(file.path)), files, meter)
    manifest = Manifest.of(FileEntry(file.path, file.size, sha256) for file, sha256 in hashes)
    tree.check_unchanged()
    return manifest

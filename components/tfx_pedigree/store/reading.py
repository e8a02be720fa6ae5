"""Objects out of the store, checked against their names on the way."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from tfx_pedigree.digest import check_digest, digest_of
from tfx_pedigree.errors import DamagedError, InvalidInputError, NotFoundError
from tfx_pedigree.store.backend import Backend, manifest_key, object_key
from tfx_pedigree.store.failures import store_refusal
from tfx_pedigree.store.hashing_copy import Reader, hash_all
from tfx_pedigree.store.manifest import MAX_MANIFEST_BYTES, Manifest

_IN_MEMORY = 32 << 20


def read_manifest(backend: Backend, digest: str) -> Manifest:
    data = backend.read(manifest_key(check_digest(digest)), MAX_MANIFEST_BYTES + 1)
    if data is None:
        raise NotFoundError(
            f"The store {backend.url} holds no version {digest}. Check the digest, and whether this is the right store."
        )
    try:
        if digest_of(data) == digest:
            return Manifest.from_json(data)
    except InvalidInputError as error:
        raise DamagedError(f"Version {digest} in the store {backend.url} cannot be used. {error}") from error
    raise DamagedError(
        f"The manifest of version {digest} in the store {backend.url} is damaged: its bytes have "
        "another digest. "
        "Store the same model again, or restore the file from a backup."
    )


@contextmanager
def open_object(backend: Backend, sha256: str, version: str | None) -> Iterator[tuple[Reader, BinaryIO]]:
    """A reader over the object's bytes, not yet verified, that raises our errors only."""
    stream = backend.open(object_key(sha256))
    if stream is None:
        raise DamagedError(lost(backend, sha256, version, "is missing"))

    def read(view: memoryview) -> int:
        try:
            return stream.readinto(view)  # type: ignore[attr-defined,no-any-return]
        except OSError as error:
            raise store_refusal(error, backend.url) from error

    with stream:
        yield read, stream


def check_object(backend: Backend, found: str, sha256: str, version: str | None) -> None:
    if found != sha256:
        raise DamagedError(lost(backend, sha256, version, f"is damaged: its bytes have the SHA-256 {found}"))


def lost(backend: Backend, sha256: str, version: str | None, state: str) -> str:
    owner = f" of version {version}" if version else ""
    return (
        f"Object {sha256}{owner} in the store {backend.url} {state}. Nothing of it was handed out. "
        "See all of the damage with `pedigree verify`, then register the same model again: that repairs it."
    )


def copy_out(backend: Backend, sha256: str, version: str | None, write: Callable[[memoryview], object]) -> int:
    """Hands the bytes to `write`. They are good only if this returns."""
    sha = hashlib.sha256()

    def step_write(view: memoryview, read: Reader) -> int:
        count = read(view)
        sha.update(view[:count])
        write(view[:count])
        return count

    size = 0
    with open_object(backend, sha256, version) as (read, _):
        view = memoryview(bytearray(1 << 20))
        while count := step_write(view, read):
            size += count
    check_object(backend, sha.hexdigest(), sha256, version)
    return size


def object_pieces(backend: Backend, sha256: str, start: int) -> Generator[bytes, None, None]:
    """The bytes from there on. Those who get them check them: a damaged object is noticed there."""
    with open_object(backend, sha256, None) as (read, stream):
        if start:
            stream.seek(start)
        view = memoryview(bytearray(1 << 20))
        while count := read(view):
            yield bytes(view[:count])


def verified_file(backend: Backend, manifest: Manifest, path: str) -> BinaryIO:
    """The file's bytes, all verified, so in memory or in a file that nobody else can open."""
    entry = manifest.file(path)
    if entry is None:
        some = ", ".join(file.path for file in manifest.files[:5])
        raise NotFoundError(
            f"Version {manifest.digest} has no file {path!r}. It has {len(manifest.files)} files: {some} …"
        )
    held: BinaryIO = io.BytesIO() if entry.size <= _IN_MEMORY else tempfile.TemporaryFile()  # noqa: SIM115
    try:
        copy_out(backend, entry.sha256, manifest.digest, held.write)
    except BaseException:
        held.close()
        raise
    held.seek(0)
    return held


def hash_object(backend: Backend, key: str, step: Callable[[int], None]) -> str | None:
    """The SHA-256 that the bytes under `key` have now; None if there are none."""
    stream = backend.open(key)
    if stream is None:
        return None
    with stream:
        try:
            return hash_all(stream.readinto, step)[0]  # type: ignore[attr-defined]
        except OSError as error:
            raise store_refusal(error, backend.url) from error

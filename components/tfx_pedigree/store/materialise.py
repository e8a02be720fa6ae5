"""A version as a folder, whole or not at all: staged beside its target, verified, then renamed."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tfx_pedigree.errors import ConflictError, InvalidInputError, PedigreeError
from tfx_pedigree.progress import Progress
from tfx_pedigree.store.backend import Backend, object_key
from tfx_pedigree.store.durable import sync_folder
from tfx_pedigree.store.failures import reason, shown, target_refusal
from tfx_pedigree.store.hashing_copy import copy_all, hash_all
from tfx_pedigree.store.manifest import FileEntry, Manifest
from tfx_pedigree.store.parallel import Meter, spread
from tfx_pedigree.store.reading import check_object, open_object
from tfx_pedigree.store.source import source_tree

STAGING = ".pedigree-staging-"
_FICLONE = 0x40049409
_CANNOT_CLONE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.ETXTBSY}


def materialise(backend: Backend, manifest: Manifest, target: str | Path, link: str, progress: Progress) -> Path:
    if link not in ("copy", "hardlink", "reflink"):
        raise InvalidInputError(f"{link!r} is not a way to lay out files. Use 'copy', 'hardlink' or 'reflink'.")
    path = os.path.abspath(target)
    _check_outside(backend, path)
    if link != "copy" and backend.folder is None:
        raise InvalidInputError(
            f"A {link} is possible only from a store on the same disk, and {backend.url} is not on a "
            "disk. Use link='copy'."
        )
    meter = Meter(progress, manifest.total_size)
    try:
        if not _is_there(manifest, path, meter):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with _staging(os.path.dirname(path)) as stage:
                _Layout(backend, manifest, stage, link, meter).fill()
                _rename(stage, path)
    except OSError as error:
        raise target_refusal(error, shown(path)) from error
    meter.finish(manifest.digest)
    return Path(path)


def _check_outside(backend: Backend, path: str) -> None:
    if backend.folder and f"{os.path.realpath(path)}/".startswith(os.path.realpath(backend.folder) + "/"):
        raise InvalidInputError(f"{shown(path)} lies inside the store {backend.url}. Choose a folder outside of it.")


def _is_there(manifest: Manifest, path: str, meter: Meter) -> bool:
    """True if `path` is this version; False if it may be created; else refuses."""
    if not os.path.lexists(path):
        return False
    if not os.path.isdir(path):
        _occupied(path, manifest)
    if not os.path.islink(path) and not os.listdir(path):
        return False
    if not _is_version(manifest, path, meter):
        _occupied(path, manifest)
    return True


def _is_version(manifest: Manifest, path: str, meter: Meter) -> bool:
    try:
        with source_tree(path) as tree:
            if [(file.path, file.size) for file in tree.files] != [(e.path, e.size) for e in manifest.files]:
                return False
            for file, entry in zip(tree.files, manifest.files, strict=True):
                with tree.open(file) as opened:
                    if hash_all(opened.read, meter.step(file.path))[0] != entry.sha256:
                        return False
    except PedigreeError:  # a folder that cannot be a version is not this one
        return False
    return True


def _occupied(path: str, manifest: Manifest) -> NoReturn:
    raise ConflictError(
        f"{shown(path)} exists and is not version {manifest.digest}. It was left as it is. "
        "Remove it or choose another folder."
    )


@dataclass(frozen=True)
class _Layout:
    """One version on its way into the folder `stage`."""

    backend: Backend
    manifest: Manifest
    stage: str
    link: str
    meter: Meter

    def fill(self) -> None:
        folders = {self.stage}
        for entry in self.manifest.files:
            folder = os.path.dirname(f"{self.stage}/{entry.path}")
            os.makedirs(folder, exist_ok=True)
            while folder != self.stage:
                folders.add(folder)
                folder = os.path.dirname(folder)
        place = self._hardlink if self.link == "hardlink" else self._copy
        for _ in spread(place, sorted(self.manifest.files, key=lambda entry: -entry.size), self.meter):
            pass
        for folder in folders:
            sync_folder(folder)

    def _copy(self, entry: FileEntry) -> None:
        where, step = f"{self.stage}/{entry.path}", self.meter.step(entry.path)
        fd = os.open(where, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            with open_object(self.backend, entry.sha256, self.manifest.digest) as (read, stream):
                if self.link == "reflink":
                    _clone(fd, stream.fileno(), where)
                    found, _ = hash_all(lambda view: os.readv(fd, [view]), step)
                else:
                    found, _ = copy_all(read, fd, step, entry.size)
            check_object(self.backend, found, entry.sha256, self.manifest.digest)
            os.fsync(fd)
        finally:
            os.close(fd)

    def _hardlink(self, entry: FileEntry) -> None:
        where, step = f"{self.stage}/{entry.path}", self.meter.step(entry.path)
        with open_object(self.backend, entry.sha256, self.manifest.digest) as (read, stream):
            found, _ = hash_all(read, step)
            check_object(self.backend, found, entry.sha256, self.manifest.digest)
            _link(f"{self.backend.folder}/{object_key(entry.sha256)}", where)
            if not os.path.samestat(os.lstat(where), os.fstat(stream.fileno())):
                raise ConflictError(f"Object {entry.sha256} was replaced while it was linked. Try again.")


def _link(source: str, where: str) -> None:
    try:
        os.link(source, where, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
            raise
        raise InvalidInputError(
            f"{shown(os.path.dirname(where))} cannot hold hard links to the store ({reason(error)}): both must lie "
            "on one disk, and belong to you. Use link='copy'."
        ) from error


def _clone(target: int, source: int, where: str) -> None:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
        raise InvalidInputError(
            f"The disk of {shown(os.path.dirname(where))} cannot clone files of the store "
            f"({reason(error)}): that needs "
            "Btrfs, XFS or the like, and both on one disk. Use link='copy'."
        ) from error


def _rename(stage: str, path: str) -> None:
    try:
        os.rename(stage, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise ConflictError(
            f"{shown(path)} was created by somebody else meanwhile. It was left as it is. Look at it and try again."
        ) from error
    sync_folder(os.path.dirname(path))


@contextmanager
def _staging(parent: str) -> Iterator[str]:
    """A fresh folder, locked while its owner lives. Those whose owner was killed are removed on the way."""
    _remove_abandoned(parent)
    while (made := _make_stage(parent)) is None:
        pass
    path, fd = made
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)  # after a success there is nothing under this name
        os.close(fd)


def _make_stage(parent: str) -> tuple[str, int] | None:
    path = f"{parent}/{STAGING}{secrets.token_hex(8)}"
    os.mkdir(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if _lock(fd) and os.path.exists(path):
        return path, fd
    os.close(fd)  # another process took it for abandoned before the lock was there
    return None


def _remove_abandoned(parent: str) -> None:
    for name in os.listdir(parent):
        if not name.startswith(STAGING):
            continue
        with suppress(OSError):
            fd = os.open(f"{parent}/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if _lock(fd):
                    shutil.rmtree(f"{parent}/{name}", ignore_errors=True)
            finally:
                os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

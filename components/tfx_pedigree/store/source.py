"""A model on the local disk, read so that nothing outside it is followed and no change goes unnoticed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tfx_pedigree.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PedigreeError,
    UnavailableError,
)
from tfx_pedigree.store.failures import reason, shown
from tfx_pedigree.store.manifest import MAX_FILES
from tfx_pedigree.store.paths import check_path, check_tree

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a named pipe that took the place of a file must not make us wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Identity:
    """What changes when somebody writes to a file or puts another in its place."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class SourceFile:
    path: str
    """As the manifest names it."""
    place: str
    """Where its bytes are, below the root: another path than `path` if that is a symbolic link."""
    identity: Identity

    @property
    def size(self) -> int:
        return self.identity.size


class Opened:
    """One source file, open for reading. `check` must be called when all has been read."""

    def __init__(self, file: SourceFile, fd: int, shown_as: str) -> None:
        self.file, self._fd, self.shown = file, fd, shown_as

    def read(self, view: memoryview) -> int:
        try:
            return os.readv(self._fd, [view])
        except OSError as error:
            raise UnavailableError(
                f"{self.shown} cannot be read to its end ({reason(error)}), so the model was not stored. "
                "Check the disk it lies on and store it again."
            ) from error

    def read_whole(self) -> bytes:
        """The file's bytes, checked. Only for files that fit into memory."""
        view = memoryview(bytearray(self.file.size + 1))
        size = 0
        while size < len(view) and (count := self.read(view[size:])):
            size += count
        self.check(size)
        return bytes(view[:size])

    def rewind(self) -> None:
        os.lseek(self._fd, 0, os.SEEK_SET)

    def sample(self, offset: int, length: int) -> bytes:
        with _translated(self.shown):
            return os.pread(self._fd, length, offset)

    def check(self, count: int) -> None:
        """Refuses a file that was written to since the folder was listed."""
        if count != self.file.size or Identity.of(os.fstat(self._fd)) != self.file.identity:
            changed(self.shown)


class SourceTree:
    """The files of one model, listed once. Symbolic links to files inside the model count as these files."""

    def __init__(self, root: str, root_fd: int, files: tuple[SourceFile, ...], only: tuple[str, str] | None) -> None:
        self.root, self.files = root, files
        self.whole = root if only is None else f"{root}/{only[1]}"
        self._fd, self._only = root_fd, only

    @property
    def total_size(self) -> int:
        return sum(file.size for file in self.files)

    @contextmanager
    def open(self, file: SourceFile) -> Iterator[Opened]:
        shown_as = shown(f"{self.root}/{file.path}")
        with _translated(shown_as):
            fd = _open_beneath(self._fd, file.place, _FILE)
        try:
            if Identity.of(os.fstat(fd)) != file.identity:
                changed(shown_as)
            yield Opened(file, fd, shown_as)
        finally:
            os.close(fd)

    def check_unchanged(self) -> None:
        """Refuses when files were added, removed or written to since the listing."""
        now = dict.fromkeys(_list(self.root, self._fd, self._only))
        before = dict.fromkeys(self.files)
        for file in (*(f for f in before if f not in now), *(f for f in now if f not in before)):
            changed(shown(f"{self.root}/{file.path}"))


@contextmanager
def source_tree(source: str | Path) -> Iterator[SourceTree]:
    """The model at `source`, a folder or one file. Empty folders do not count as content."""
    text = os.fspath(source)
    if "://" in text and not Path(text).exists():
        raise InvalidInputError(
            f"{text.split('://')[0]}:// addresses are not read as models. Download the model to a local "
            "folder, "
            "or mount the bucket, and store it from there."
        )
    if not text or "\x00" in text:
        raise InvalidInputError("The name of the model's folder is empty or holds a NUL character.")
    with _translated(shown(text), missing=NotFoundError):
        root = os.path.realpath(text, strict=True)
        status = os.stat(root)
    if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
        _refuse_kind(shown(text), status.st_mode)
    only = None
    folder = root
    if stat.S_ISREG(status.st_mode):
        folder, _, place = root.rpartition("/")
        only = (os.path.basename(os.path.abspath(text)), place)
    with _translated(shown(folder)):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        files = tuple(sorted(_list(folder, fd, only), key=lambda file: file.path))
        if not files:
            raise InvalidInputError(f"{shown(text)} holds no file, so there is no model to store. Check the path.")
        check_tree(file.path for file in files)
        yield SourceTree(folder, fd, files, only)
    finally:
        os.close(fd)


def changed(path: str) -> NoReturn:
    raise ConflictError(
        f"{path} changed while the model was being read, so nothing was stored. "
        "Wait until whatever writes there has finished, then store the model again."
    )


def _list(root: str, root_fd: int, only: tuple[str, str] | None) -> Iterator[SourceFile]:
    if only is not None:
        name, place = only
        with _translated(shown(f"{root}/{place}")):
            status = os.stat(place, dir_fd=root_fd, follow_symlinks=False)
        yield SourceFile(check_path(name), place, Identity.of(status))
        return
    folders, count = [""], 0
    while folders:
        folder = folders.pop()
        for name, status in _entries(root, root_fd, folder):
            path = f"{folder}/{name}" if folder else name
            if stat.S_ISDIR(status.st_mode):
                folders.append(check_path(path))
                continue
            count += 1
            if count > MAX_FILES:
                raise InvalidInputError(f"{shown(root)} holds more than {MAX_FILES} files. A model must hold fewer.")
            yield _file(root, check_path(path), status)


def _entries(root: str, root_fd: int, folder: str) -> list[tuple[str, os.stat_result]]:
    with _translated(shown(f"{root}/{folder}".rstrip("/"))):
        fd = _open_beneath(root_fd, folder or ".", _FOLDER)
        try:
            with os.scandir(fd) as listing:
                return [(entry.name, entry.stat(follow_symlinks=False)) for entry in listing]
        finally:
            os.close(fd)


def _file(root: str, path: str, status: os.stat_result) -> SourceFile:
    if stat.S_ISREG(status.st_mode):
        return SourceFile(path, path, Identity.of(status))
    where = shown(f"{root}/{path}")
    if not stat.S_ISLNK(status.st_mode):
        _refuse_kind(where, status.st_mode)
    try:
        real = os.path.realpath(f"{root}/{path}", strict=True)
        status = os.stat(real, follow_symlinks=False)
    except OSError as error:
        raise InvalidInputError(
            f"The symbolic link {where} leads nowhere ({reason(error)}). Replace it by the file it should name."
        ) from error
    if not real.startswith(root.rstrip("/") + "/"):
        raise InvalidInputError(
            f"The symbolic link {where} leads out of the model. Replace it by the file itself, then store the model."
        )
    if stat.S_ISDIR(status.st_mode):
        raise InvalidInputError(
            f"The symbolic link {where} leads to a folder. Replace it by the folder itself, then store the model."
        )
    if not stat.S_ISREG(status.st_mode):
        _refuse_kind(where, status.st_mode)
    return SourceFile(path, real[len(root.rstrip("/")) + 1 :], Identity.of(status))


def _open_beneath(root_fd: int, path: str, flags: int) -> int:
    """Opens `path` below `root_fd` without following a symbolic link in any of its parts."""
    *folders, name = path.split("/")
    held = root_fd
    try:
        for folder in folders:
            step = os.open(folder, _FOLDER, dir_fd=held)
            if held != root_fd:
                os.close(held)
            held = step
        return os.open(name, flags, dir_fd=held)
    finally:
        if held != root_fd:
            os.close(held)


def _refuse_kind(where: str, mode: int) -> NoReturn:
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    raise InvalidInputError(
        f"{where} is {kinds.get(stat.S_IFMT(mode), 'neither a file nor a folder')}, which a model "
        "cannot hold. "
        "Remove it and store the model again."
    )


@contextmanager
def _translated(where: str, missing: type[PedigreeError] = ConflictError) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        text = (
            "does not exist. Check the path" if missing is NotFoundError else "disappeared while it was read. Try again"
        )
        raise missing(f"{where} {text}.") from error
    except PermissionError as error:
        raise InvalidInputError(
            f"{where} cannot be read ({reason(error)}), so the model was not stored. Give yourself read permission."
        ) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidInputError(f"The name {where} is too long for the disk. Shorten it.") from error
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and missing is ConflictError:
            changed(where)
        raise InvalidInputError(f"{where} cannot be read ({reason(error)}). Check the path and the disk.") from error

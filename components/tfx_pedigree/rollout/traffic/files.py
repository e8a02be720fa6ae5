"""Files that a load balancer or a server reads while they are changed: whole or not at all, by one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.store.durable import sync_folder


def write_whole(path: Path, data: bytes) -> None:
    """Durable before it is seen: after a power cut there is the old content or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), 0o644)  # a server reads it as another user
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise UnavailableError(f"{path} cannot be written: {error.strerror}. Nothing was changed.") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for whoever holds it: each holds it for a moment. The kernel frees it when its holder dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UnavailableError(f"The lock {path} cannot be made: {error.strerror}. Nothing was changed.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

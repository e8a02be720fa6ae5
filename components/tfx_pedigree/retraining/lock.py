"""One run of a model's pipeline at a time on this machine, also when somebody is killed.

The lock is the kernel's (flock) on an open file, and whoever inherits the descriptor holds it as well: a pipeline that
outlives the command that started it still keeps others out, and when the last of them is gone, however it went, the
lock is free. The file stays: removing it would let two processes lock two files of one name. What it says of the holder
is for people and decides nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import ConflictError, InvalidInputError, UnavailableError
from tfx_pedigree.registry.location import Location
from tfx_pedigree.settings import is_server

FOLDER = "runs"


class BusyError(ConflictError):
    """Somebody else holds the lock."""


def lock_file(model: str, registry: str, log: str) -> Path:
    """Beside the registry, if that lies in files; else beside the pipeline's log, which is always on this machine."""
    beside = None if is_server(registry) else Location.of(registry).beside
    base = Path(beside).parent if beside is not None else Path(log).parent
    # A pipeline that is only run, and never retrained, may have a name that no model can have.
    return base / FOLDER / f"{quote(model, safe='')}.lock"


@contextlib.contextmanager
def held(path: Path, what: str, now: Callable[[], datetime] | None = None) -> Iterator[int]:
    """Takes the lock and returns its descriptor, which the pipeline inherits. Never waits: if another process has the
    lock, BusyError says who and since when."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UnavailableError(
            f"The lock {path} cannot be made: {error.strerror}. Nothing was run. Give the user who "
            "runs the pipeline write access, and call again."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(_busy(descriptor, path)) from None
        except OSError as error:
            raise UnavailableError(
                f"The lock {path} cannot be taken: {error.strerror}. Put it on a local disk. Nothing was run."
            ) from error
        _write(descriptor, what, (now or (lambda: datetime.now(timezone.utc)))())
        yield descriptor
    finally:
        # Closing frees the lock only when the processes that inherited the descriptor have ended too.
        os.close(descriptor)


def _write(descriptor: int, what: str, now: datetime) -> None:
    text = json.dumps(
        {"what": what, "pid": os.getpid(), "host": socket.gethostname(), "since": f"{now:%Y-%m-%d %H:%M}"}
    )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _busy(descriptor: int, path: Path) -> str:
    try:
        found = parse_json(os.pread(descriptor, 4096, 0), "The lock")
        what, pid, since = found["what"], int(found["pid"]), found["since"]
        host = str(found.get("host", socket.gethostname()))
    except (InvalidInputError, ValueError, KeyError, TypeError):  # it has just been taken, and not been signed yet
        return f"Somebody else has just taken the lock {path}. Nothing was run. Call again when that run has ended."
    if host != socket.gethostname():  # a shared disk, or another container: the number says nothing here
        by, step = f"process {pid} on {host}", "or stop it there"
    elif _lives(pid):
        by, step = f"process {pid}", f"or stop it with `kill {pid}`"
    else:
        by = f"the pipeline that process {pid} started and that outlived it"
        step = f"or stop it: `fuser {path}` tells its number"
    who = f"{what} is running since {since} UTC: {by} holds {path}"
    return f"{who}. Nothing was run. Call again when it has ended, {step}."


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

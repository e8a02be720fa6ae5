"""Files of tests lie in memory where there is room: thousands of registries wait for each commit to reach the disk.

Tests kill processes and never the machine, so that memory keeps all that a disk would. Each run has a folder of its
own, which goes with it if it passed, and else when the next one starts. TMPDIR, if set, is obeyed.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TextIO

MEMORY = Path("/dev/shm")
PREFIX = "pedigree-tests-"
# Several times what a whole run needs. Where a container has less, the disk will do.
ROOM = 4 * 1024**3

_locks: list[TextIO] = []
_done: list[bool] = []


def lay_files_there() -> None:
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK):
        return
    _sweep()
    found = os.statvfs(MEMORY)
    if found.f_bavail * found.f_frsize < ROOM or found.f_flag & os.ST_NOEXEC:
        return
    # Under its name the folder is locked from the start: another run would sweep it away.
    draft = Path(tempfile.mkdtemp(dir=MEMORY))
    _locks.append((draft / "lock").open("w"))
    fcntl.flock(_locks[0], fcntl.LOCK_EX)
    folder = draft.rename(MEMORY / f"{PREFIX}{draft.name}")
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    # Early: what is registered first is called last, after all that still writes when the process ends.
    atexit.register(_remove, folder, os.getpid())


def leave_nothing() -> None:
    """Once the process has ended."""
    _done.append(True)


def _remove(folder: Path, process: int) -> None:
    if _done and process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """What runs have left that failed, or were killed. A run that goes on holds its lock."""
    for folder in MEMORY.glob(f"{PREFIX}*"):
        try:
            with (folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue

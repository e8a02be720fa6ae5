"""Run by test_store_crash: kills a child at its n-th file operation, for every n, and looks at what is left.

A process of its own, since a child is forked for every n and must not inherit threads.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from store_testing import tree_of, write_files

from tfx_pedigree.store import Store, hashing_copy, local, manifest_of

OPERATIONS = ("open", "write", "fsync", "fchmod", "replace", "rename", "link", "unlink", "mkdir", "utime", "close")


def die_at(number: int) -> None:
    """From now on, the process is killed when it begins its `number`-th operation."""
    lock, count = threading.Lock(), 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            with lock:
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in OPERATIONS:
        setattr(os, name, counted(getattr(os, name)))


def killed(number: int, action: Callable[[], Any]) -> bool:
    child = os.fork()
    if child == 0:
        die_at(number)
        action()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        return False
    return True


def every_step_of_a_put(work: Path, source: Path) -> int:
    expected = manifest_of(source).digest
    number = 0
    alive = True
    while alive:
        number += 1
        store = Store.open(work / "store", create=True)
        kept = store.put(write_files(work / "kept", {"graph": b"graph", "other": b"old"})).digest
        alive = killed(number, lambda store=store: store.put(source))
        report = store.verify()
        assert report.ok, (number, report)
        assert report.versions == 1 + store.has(expected), number
        assert store.put(source).digest == expected
        store.gc([kept, expected], grace=timedelta(0), dry_run=False)
        assert list((work / "store" / "tmp").iterdir()) == [], number
        assert store.verify([kept, expected]).ok
        assert tree_of(store.materialise(expected, work / "out")) == tree_of(source)
        shutil.rmtree(work / "out")
        shutil.rmtree(work / "store")
    return number


def every_step_of_a_creation(work: Path, source: Path) -> int:
    number = 0
    alive = True
    while alive:
        number += 1
        alive = killed(number, lambda: Store.open(work / "new", create=True))
        assert Store.open(work / "new", create=True).put(source)
        shutil.rmtree(work / "new")
    return number


def every_step_of_a_materialisation(work: Path, source: Path, link: str) -> int:
    store = Store.open(work / "store", create=True)
    digest = store.put(source).digest
    number = 0
    alive = True
    while alive:
        number += 1
        out = work / "serving" / "7"
        alive = killed(number, lambda: store.materialise(digest, work / "serving" / "7", link=link))  # type: ignore[arg-type]
        assert not out.exists() or tree_of(out) == tree_of(source), number
        shutil.rmtree(out, ignore_errors=True)
        store.materialise(digest, out)
        assert [path.name for path in out.parent.iterdir()] == ["7"], number
        assert store.verify().ok
        shutil.rmtree(work / "serving")
    shutil.rmtree(work / "store")
    return number


def every_step_of_a_gc(work: Path, source: Path) -> int:
    number = 0
    alive = True
    while alive:
        number += 1
        store = Store.open(work / "store", create=True)
        kept = store.put(source).digest
        gone = store.put(write_files(work / "gone", {"graph": b"graph", "other": b"old", "third": b"3"})).digest

        def collect(store: Store = store, kept: str = kept) -> Any:
            return store.gc([kept], grace=timedelta(0), dry_run=False)

        alive = killed(number, collect)
        assert store.verify().ok, number
        collect()
        assert not store.has(gone)
        assert store.verify().objects == len(store.objects_of(kept))
        shutil.rmtree(work / "store")
    return number


def main(work: Path) -> None:
    os.fsync = lambda fd: None  # kill -9 takes nothing from the kernel, and disks are slow
    local.SMALL_FILE = 1000  # so that a small model takes the way of large files, too
    hashing_copy.CHUNK = 4096
    source = write_files(
        work / "source", {"graph": b"graph", "twin": b"graph", "deep/weights": bytes(range(250)) * 200}
    )
    print(every_step_of_a_creation(work, source))
    print(every_step_of_a_put(work, source))
    print(every_step_of_a_materialisation(work, source, "copy"))
    print(every_step_of_a_materialisation(work, source, "hardlink"))
    print(every_step_of_a_gc(work, source))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

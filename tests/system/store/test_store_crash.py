"""kill -9, a full disk, and two at once: the store stays valid, and the next try succeeds."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from store_testing import FILES, MakeModel, tree_of

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.store import Store
from tfx_pedigree.store import local as local_module

HERE = Path(__file__).parent
NOW = timedelta(0)


def python(*args: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, *args], env=environment, text=True, stdout=-1, stderr=-1)


def test_kill_9_at_any_step_leaves_a_valid_store_and_no_half_target(tmp_path: Path) -> None:
    process = python(str(HERE / "killed_at_every_step.py"), str(tmp_path))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    steps = [int(line) for line in out.split()]
    assert len(steps) == 5
    assert min(steps) > 5  # each operation was really interrupted at many places


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("step", ["write", "fsync", "replace", "mkdir"])
def test_a_full_disk_is_said_plainly_and_leaves_nothing_half(
    local: Store, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, step: str, error: int
) -> None:
    model = make_model("m", {"big": bytes(9 << 20), "small": b"1"})

    def full(*args: Any, **kwargs: Any) -> Any:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(UnavailableError, match="has no room left"):
        local.put(model)
    monkeypatch.undo()
    assert not any((Path(local.url) / "tmp").iterdir())
    report = local.verify()
    assert (report.versions, report.ok) == (0, True)
    assert local.verify([local.put(model).digest]).ok


def test_a_limit_of_the_operating_system_is_met_the_same_way(tmp_path: Path, make_model: MakeModel) -> None:
    model = make_model("m", {"big": bytes(9 << 20), "small": b"1"})
    script = (
        "import resource, sys; from tfx_pedigree.store import Store; from tfx_pedigree.errors import UnavailableError\n"
        "store = Store.open(sys.argv[1], create=True)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, resource.RLIM_INFINITY))\n"
        "try: store.put(sys.argv[2])\n"
        "except UnavailableError as error: print(error)\n"
    )
    out, err = python("-c", script, str(tmp_path / "store"), str(model)).communicate(timeout=60)
    assert "has no room left (File too large)" in out, err
    assert not any((tmp_path / "store" / "tmp").iterdir())
    assert Store.open(tmp_path / "store").put(model)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_disk_that_is_full_at_the_target_leaves_no_target(
    local: Store, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = local.put(model).digest

    def full(*args: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UnavailableError, match="out/7 has no room left"):
        local.materialise(digest, tmp_path / "out" / "7")
    assert list((tmp_path / "out").iterdir()) == []


PUT = """
import sys
from tfx_pedigree.store import Store
print(Store.open(sys.argv[1], create=True).put(sys.argv[2]).digest)
"""


def test_many_processes_may_put_the_same_model_at_once(tmp_path: Path, make_model: MakeModel) -> None:
    model = make_model("m", {**FILES, "big": os.urandom(9 << 20)})
    processes = [python("-c", PUT, str(tmp_path / "store"), str(model)) for _ in range(4)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, results
    assert len({out for out, _ in results}) == 1
    report = Store.open(tmp_path / "store").verify()
    assert (report.ok, report.versions, report.objects) == (True, 1, len(FILES) + 1)
    assert not any((tmp_path / "store" / "tmp").iterdir())


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_a_gc_at_the_same_time_never_breaks_a_put(tmp_path: Path, make_model: MakeModel, kind: str) -> None:
    url = str(tmp_path / "store") if kind == "local" else f"memory://concurrent{tmp_path}"
    kept = Store.open(url, create=True).put(make_model("kept", {"x": b"x"})).digest
    models = [make_model(f"m{n}", {"same": b"same", "own": b"%d" % (n % 3), "third": b"3"}) for n in range(6)]
    finished = threading.Event()

    def collect() -> int:
        store, runs = Store.open(url), 0
        while not finished.is_set():
            store.gc([kept], grace=NOW, dry_run=False)
            runs += 1
        return runs

    def put(model: Path) -> None:
        store = Store.open(url)
        for _ in range(8):
            digest = store.put(model).digest
            report = store.verify([digest], set_aside=False)
            # The next gc may take the version, but takes its manifest before its objects. Two models have the same
            # content, so what is gone here may be there again in the next moment, and is then whole.
            for _ in range(50):
                if report.ok or not store.has(digest):
                    break
                report = store.verify([digest], set_aside=False)
            else:
                raise AssertionError(report)

    with ThreadPoolExecutor(8) as pool:
        sweeper = pool.submit(collect)
        putters = [pool.submit(put, model) for model in models]
        try:
            for putter in putters:
                putter.result()
        finally:
            finished.set()
        assert sweeper.result() > 1
    assert Store.open(url).verify([kept]).ok
    assert Store.open(url).verify().ok


def test_a_deletion_waits_while_a_manifest_is_written(local: Store, model: Path) -> None:
    done = threading.Event()
    with local._backend.publishing():
        sweeper = threading.Thread(target=lambda: (local.gc([], grace=NOW, dry_run=False, force=True), done.set()))
        local.put(model)
        sweeper.start()
        assert not done.wait(0.2)
        assert local.verify().objects == len(FILES)
    sweeper.join()
    assert local.verify().objects == 0


def test_objects_that_a_gc_takes_in_the_middle_of_a_put_are_stored_again(
    local: Store, model: Path, tmp_path: Path
) -> None:
    taken: list[int] = []

    def meddle(done: int, total: int, what: str) -> None:
        if done == total and not taken:
            taken.append(local.gc([], grace=NOW, dry_run=False, force=True).objects)

    digest = local.put(model, progress=meddle).digest
    assert taken[0] > 0
    assert tree_of(local.materialise(digest, tmp_path / "out")) == tree_of(model)


def test_gc_leaves_the_temporary_files_of_living_processes(local: Store) -> None:
    folder = Path(local.url) / "tmp"
    dead, foreign = folder / f"1-{'0' * 16}", folder / "notes.txt"
    with local._backend._temporary() as (_, path):  # type: ignore[attr-defined]
        for file in (dead, foreign):
            file.write_bytes(b"x")
        assert local.gc([], dry_run=False).leftovers == 0
        assert local.gc([], grace=NOW, dry_run=False).leftovers == 1
        assert Path(path).exists()
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_the_lock_of_a_killed_process_does_not_stay(local: Store, model: Path) -> None:
    script = (
        "import sys, time; from tfx_pedigree.store import Store\n"
        "with Store.open(sys.argv[1])._backend.deleting():\n    print('held', flush=True); time.sleep(60)"
    )
    process = python("-c", script, local.url)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert local.put(model)


def test_a_store_that_stays_locked_is_said_to_be_busy(
    local: Store, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_module, "LOCK_PATIENCE", 0.05)
    with local._backend.deleting(), pytest.raises(UnavailableError, match="is busy"):
        local.put(model)
    assert local.verify().versions == 0

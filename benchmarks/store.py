"""How fast the store is, against a plain SHA-256 over the same files in the same minute.

    python benchmarks/store.py [--size MIB] [--rounds N] [--dir FOLDER] [--versions N] [--json FILE]

Each round measures, in turn: SHA-256 on one thread, a first put, the same put again, a materialisation by copy and
by hard link, a verification. Files are in the page cache (they were just written, as after a training). Every put
and every copy includes its fsyncs. To tell what a put consists of, a plain copy of the same files and its fsyncs
are measured as well. Ratios are those of one round, median and extremes: on a busy machine look at the lowest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tfx_pedigree.store import Store

MIB = 1 << 20
Row = tuple[str, str, str]
LIMITS = {"put": 1.25, "put again": 1.1}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the store against a plain SHA-256.")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the model (default 1024)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--versions", type=int, default=200, help="small versions for gc and verify (default 200)")
    parser.add_argument("--dir", type=Path, default=None, help="where to work (default: a temporary folder)")
    parser.add_argument("--json", type=Path, default=None, help="write the numbers there, too")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="pedigree-bench-", dir=options.dir))
    try:
        model = make_model(work / "model", options.size * MIB)
        times = measure(work, model, options.rounds)
        memory = put_memory(work, model)
        history = measure_history(work, options.versions)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report(options, times, memory, history)


def make_model(folder: Path, size: int) -> Path:
    """Random bytes: one shard with 88 % of the size, the rest in 200 files."""
    shard = folder / "variables" / "variables.data-00000-of-00001"
    shard.parent.mkdir(parents=True)
    big = size * 900 // 1024
    write_random(shard, big)
    for number in range(200):
        write_random(folder / "assets" / f"vocabulary-{number:03}", (size - big) // 200)
    os.sync()
    return folder


def write_random(path: Path, size: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as stream:
        for start in range(0, size, MIB):
            stream.write(os.urandom(min(MIB, size - start)))


def measure(work: Path, model: Path, rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    sha256_of(model)  # warm up

    def timed(name: str, action: Callable[[], object], settle: bool = True) -> None:
        began = time.perf_counter()
        action()
        times.setdefault(name, []).append(time.perf_counter() - began)
        if settle:
            os.sync()  # so that one measurement does not pay for the one before

    for _ in range(rounds):
        store = Store.open(work / "store", create=True)
        timed("sha256", lambda: sha256_of(model))
        timed("put", lambda store=store: store.put(model))
        timed("put again", lambda store=store: store.put(model))
        digest = store.put(model).digest
        timed("copy", lambda store=store, digest=digest: store.materialise(digest, work / "copy"))
        timed(
            "hardlink", lambda store=store, digest=digest: store.materialise(digest, work / "linked", link="hardlink")
        )
        timed("verify", lambda store=store: store.verify())
        timed("part: write", lambda: shutil.copytree(model, work / "raw"), settle=False)
        timed("part: fsync", lambda: sync_only(work / "raw"))
        for name in ("store", "copy", "linked", "raw"):
            shutil.rmtree(work / name)
        os.sync()
    return times


def sha256_of(folder: Path) -> None:
    view = memoryview(bytearray(MIB))
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            sha = hashlib.sha256()
            with path.open("rb", buffering=0) as stream:
                while count := stream.readinto(view):
                    sha.update(view[:count])


def sync_only(folder: Path) -> None:
    for path in folder.rglob("*"):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def put_memory(work: Path, model: Path) -> float:
    """By how many MiB a first put raises the peak memory of a fresh process."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=put_and_tell, args=(theirs, str(work / "store"), str(model)))
    process.start()
    grown = float(mine.recv())
    process.join()
    return grown


def put_and_tell(pipe: multiprocessing.connection.Connection, url: str, model: str) -> None:  # type: ignore[name-defined]
    store = Store.open(url, create=True)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again at what is used now
    before = peak_memory()
    store.put(model)
    pipe.send(peak_memory() - before)


def peak_memory() -> float:
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure_history(work: Path, versions: int) -> dict[str, float]:
    """What a history costs: many small versions of which every second one is kept."""
    store, model = Store.open(work / "history", create=True), work / "small"
    digests = []
    began = time.perf_counter()
    for number in range(versions):
        for name in ("saved_model.pb", "variables/variables.index", f"assets/{number % 10}.txt"):
            path = model / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} {number if name == 'saved_model.pb' else number % 10}")
        digests.append(store.put(model).digest)
    stored = time.perf_counter()
    store.verify()
    verified = time.perf_counter()
    store.gc(digests[::2], grace=timedelta(0))
    rehearsed = time.perf_counter()
    store.gc(digests[::2], grace=timedelta(0), dry_run=False)
    return {
        "put": stored - began,
        "verify": verified - stored,
        "gc dry run": rehearsed - verified,
        "gc": time.perf_counter() - rehearsed,
    }


def report(
    options: argparse.Namespace, times: dict[str, list[float]], memory: float, history: dict[str, float]
) -> None:
    # Each against the SHA-256 of its own round, so that a busy machine disturbs both alike.
    ratios = {
        name: [own / base for own, base in zip(values, times["sha256"], strict=True)] for name, values in times.items()
    }
    table = Table(title=f"{options.size} MiB in 201 files, {options.rounds} rounds, page cache warm, fsync included")
    for column in ("operation", "median s", "min–max s", "MiB/s", "× SHA-256", "min–max", "limit"):
        table.add_column(column, justify="left" if column == "operation" else "right")
    for name, values in times.items():
        median = statistics.median(values)
        table.add_row(
            name,
            f"{median:.3f}",
            f"{min(values):.3f}–{max(values):.3f}",
            f"{options.size / median:.0f}",
            f"{statistics.median(ratios[name]):.2f}",
            f"{min(ratios[name]):.2f}–{max(ratios[name]):.2f}",
            f"≤ {LIMITS[name]}" if name in LIMITS else "",
        )
    console = Console(width=max(100, Console().width))
    console.print(
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}, niceness {os.nice(0)}"
    )
    console.print(table)
    console.print(f"Peak memory of a put: +{memory:.0f} MiB (limit 100)")
    parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in history.items())
    console.print(f"{options.versions} small versions: {parts}")
    if options.json:
        result = {"size_mib": options.size, "seconds": times, "put_peak_mib": memory, "history_seconds": history}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

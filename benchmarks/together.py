"""Many processes that register versions of one model at the same time: how long, and whether anything was lost.

    python benchmarks/together.py [--clients 8] [--each 25] [--rounds 3] [--databases sqlite postgresql] [--dir FOLDER]

Every process opens the registry and waits; then all begin at once. A round has a registry of its own.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import registry as single
from tfx_pedigree.registry import Registry


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures registrations by many processes at once.")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--each", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to be measured")
    options = parser.parse_args()
    for kind in options.databases:
        for _ in range(options.rounds):
            with (
                tempfile.TemporaryDirectory(dir=options.dir) as folder,
                single.database(kind, Path(folder)) as address,
            ):
                seconds, kept = one_round(address, options.clients, options.each)
            print(f"{kind}: {options.clients} × {options.each} in {seconds:.2f} s, {kept} of them kept")


def one_round(address: str, clients: int, each: int) -> tuple[float, int]:
    with Registry.create(address, actor="bench") as registry:
        single.register(registry)
        context = multiprocessing.get_context("spawn")
        begin, ends = context.Barrier(clients + 1), context.Queue()
        processes = [context.Process(target=client, args=(address, n, each, begin, ends)) for n in range(clients)]
        for process in processes:
            process.start()
        begin.wait()
        began = time.perf_counter()
        last = max(ends.get() for _ in processes)
        for process in processes:
            process.join()
        return last - began, len(registry.versions(single.MODEL, limit=1000).items) - 1


def client(address: str, number: int, each: int, begin: Barrier, ends: Queue[float]) -> None:
    single._numbers = itertools.count((number + 1) * 100_000)
    with Registry.open(address, actor="bench") as registry:
        registry.versions(single.MODEL, limit=1)
        begin.wait()
        for _ in range(each):
            single.register(registry)
        ends.put(time.perf_counter())


if __name__ == "__main__":
    main()

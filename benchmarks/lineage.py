"""What questions to the lineage graph cost as the graph grows, on SQLite and PostgreSQL, and what others need for them.

    python benchmarks/lineage.py [--sizes 1000 10000 100000 1000000] [--databases sqlite postgresql]
                                 [--mlmd-sizes 1000 …] [--rounds 30] [--json FILE]

Beside the medians stand their ratios to what a direct use of SQL or ML Metadata's own library takes in the same run.

The history is shaped like TFX's: a run has 8 executions and 10 artifacts, and its Trainer and Evaluator were given the
champion before it, so that the last model comes from all the runs. It is written through the importer. Beside our
answers stand, in the same run, loading everything into networkx, walking ML Metadata node by node, and its own
`get_lineage_subgraph` where it has one. Where the numbers of nodes disagree, the benchmark fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networkx as nx
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from registry import DESCRIPTION, database
from tfx_pedigree.db import schema
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, Way
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import artifact_node, data_node, execution_node, version_node
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.registry import Candidate, Registry

MODEL = "flight-delay"
STORE = "benchmark"
DEPTH = 20
RAW = "SQL alone: recursive, the same rows"
MLMD_NEAR = f"ML Metadata: get_lineage_subgraph, {DEPTH} steps"
MLMD_IMPACT = "ML Metadata: get_lineage_subgraph downstream of one span"
MLMD_DIFF = "ML Metadata: get_lineage_subgraph around two versions"
CLOCK = time.perf_counter
# Ours, what it is measured against, and how many times as long it may take.
RATIOS = (
    ("upstream, all", RAW, 1.5),
    ("upstream, all, every object looked at", RAW, None),
    ("upstream, all, streamed", RAW, None),
    (f"upstream, {DEPTH} steps", MLMD_NEAR, 2),
    ("impact of one span", MLMD_IMPACT, 2),
    ("diff of two versions", MLMD_DIFF, 2),
)
# The span that is asked about was the first of so many: its answer is the same in every size.
RECENT = 10
CHAMPION = "champion"

# Component, what it was given, what it made: 8 executions, 10 artifacts.
SHAPE: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("CsvExampleGen", (), ("Examples",)),
    ("StatisticsGen", ("Examples",), ("ExampleStatistics",)),
    ("SchemaGen", ("ExampleStatistics",), ("Schema",)),
    ("Transform", ("Examples", "Schema"), ("TransformGraph", "TransformedExamples")),
    ("Trainer", ("TransformedExamples", "TransformGraph", "Schema", CHAMPION), ("Model", "ModelRun")),
    ("Evaluator", ("Examples", "Model", CHAMPION), ("ModelEvaluation",)),
    ("VersionComparator", ("ModelEvaluation",), ("ModelBlessing",)),
    ("Pusher", ("Model", "ModelBlessing"), ("PushedModel",)),
)
A_RUN = sum(1 + len(made) for _, _, made in SHAPE)


@dataclass(frozen=True)
class Thing:
    """An execution or artifact of the history; `sources` are the numbers of what it came from."""

    number: int
    run: int
    type: str
    execution: bool
    sources: tuple[int, ...]


def history(size: int) -> Iterator[Thing]:
    number, champion = 0, None
    for run in range(max(RECENT + 1, size // A_RUN)):
        made: dict[str, int] = {} if champion is None else {CHAMPION: champion}
        for component, given, outputs in SHAPE:
            execution = number
            yield Thing(number, run, component, True, tuple(made[name] for name in given if name in made))
            for output in outputs:
                number += 1
                made[output] = number
                yield Thing(number, run, output, False, (execution,))
            number += 1
        champion = made["Model"]


def digest(number: int) -> str:
    return "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()


def node(thing: Thing) -> Node:
    if thing.execution:
        return execution_node(store=STORE, type_name=thing.type, id=str(thing.number), pipeline="flights")
    if thing.type == "Model":
        return version_node(MODEL, digest(thing.number))
    if thing.type == "Examples":
        return data_node(fingerprint=digest(thing.number), span=str(thing.run), split="train")
    return artifact_node(store=STORE, type_name=thing.type, id=str(thing.number), uri=f"gs://flights/{thing.number}")


def write(lineage: Lineage, size: int) -> tuple[int, int, float]:
    """Writes the history; gives the numbers of nodes and edges, and the seconds it took."""
    begun = time.perf_counter()
    keys: list[str] = []
    with lineage.importing("a synthetic history") as importer:
        for thing in history(size):
            found = node(thing)
            keys.append(found.key)
            kind = EdgeKind.USED if thing.execution else EdgeKind.PRODUCED_BY
            importer.add(Fragment((found,), tuple(Edge(found.key, kind, keys[source]) for source in thing.sources)))
    return importer.recorded.nodes, importer.recorded.edges, time.perf_counter() - begun


@dataclass
class Measured:
    """Seconds of every round of a question, and how many nodes its answer had."""

    seconds: list[float]
    answer: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass
class Results:
    size: int
    nodes: int = 0
    edges: int = 0
    written: float = 0.0
    ours: dict[str, Measured] = field(default_factory=dict)
    others: dict[str, Measured] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def timed(question: Callable[[], int], rounds: int) -> Measured:
    """One round to warm up, unless it alone takes seconds: then it counts."""
    seconds: list[float] = []
    answers: set[int] = set()
    for number in range(rounds + 1):
        begun = CLOCK()
        answers.add(question())
        spent = CLOCK() - begun
        if number or spent > 2:
            seconds.append(spent)
        if sum(seconds) > 10:
            break
    assert len(answers) == 1, f"the answers of the same question differ: {answers}"
    return Measured(seconds, answers.pop())


def ask(lineage: Lineage, models: list[int], rounds: int) -> dict[str, Measured]:
    last = version_node(MODEL, digest(models[-1])).key
    span = f"span:{len(models) - RECENT}"
    old, new = f"{MODEL}@1.0.{RECENT - 2}", f"{MODEL}@1.0.{RECENT - 1}"
    questions: dict[str, Callable[[], int]] = {
        f"upstream, {DEPTH} steps": lambda: len(lineage.get_upstream(last, DEPTH).nodes),
        "upstream, all": lambda: len(lineage.get_upstream(last).nodes),
        "upstream, all, every object looked at": lambda: looked_at(lineage.get_upstream(last)),
        "upstream, all, streamed": lambda: sum(isinstance(part, Node) for part in lineage.stream(last, Way.UP)),
        "impact of one span": lambda: len(lineage.impact(span).versions),
        "diff of two versions": lambda: len(lineage.diff(old, new).to_json()),
        "find by span": lambda: len(lineage.find_all(span)),
        f"lineage both ways, {DEPTH // 4} steps": lambda: len(lineage.get_lineage(last, DEPTH // 4).nodes),
    }
    return {name: timed(question, rounds) for name, question in questions.items()}


def looked_at(graph: Subgraph) -> int:
    assert len(graph.edges) >= len([node for node in graph.nodes.values() if node.content and node.facts]) - 1
    return len(graph.depth)


def register(registry: Registry, models: list[int]) -> None:
    """The last versions stand in the registry, as impact and diff want them; the last one is champion."""
    for number in models[-RECENT:]:
        registry.add(MODEL, Candidate(digest(number), DESCRIPTION, 1000, 5))
    registry.promote(f"{MODEL}@latest")


# Others


def with_sql(registry: Registry, models: list[int], rounds: int) -> dict[str, Measured]:
    """All ancestors with contents, facts and edges as three recursive statements through the driver alone."""
    last = version_node(MODEL, digest(models[-1])).key
    with registry.transactions.reading(None) as connection:
        sign = "?" if connection.dialect.name == "sqlite" else "%s"
        cursor = connection.connection.cursor()
        reached = (
            f"WITH RECURSIVE reached(id) AS (SELECT id FROM lineage_nodes WHERE key = {sign}"  # noqa: S608  ours
            " UNION SELECT e.target_id FROM reached JOIN lineage_edges e ON e.source_id = reached.id) "
        )
        statements = (
            "SELECT x.id, x.key, x.kind, x.content FROM reached JOIN lineage_nodes x ON x.id = reached.id",
            "SELECT x.node_id, x.name, x.value FROM reached JOIN lineage_facts x ON x.node_id = reached.id",
            "SELECT x.source_id, x.target_id, x.kind, x.run_id FROM reached"
            " JOIN lineage_edges x ON x.source_id = reached.id",
        )

        def question() -> int:
            found = []
            for statement in statements:
                cursor.execute(reached + statement, (last,))
                found.append(cursor.fetchall())
            return len(found[0])

        return {RAW: timed(question, rounds)}


def with_networkx(registry: Registry, models: list[int]) -> dict[str, Measured]:
    """Only keys and edges are loaded, which is less than our answers hold."""
    last = version_node(MODEL, digest(models[-1])).key
    n, e = schema.lineage_nodes.c, schema.lineage_edges.c
    begun = time.perf_counter()
    graph = nx.DiGraph()
    with registry.transactions.reading(None) as connection:
        keys = {row.id: row.key for row in connection.execute(sa.select(n.id, n.key))}
        graph.add_nodes_from(keys.values())
        rows = connection.execute(sa.select(e.source_id, e.target_id))
        graph.add_edges_from((keys[row.source_id], keys[row.target_id]) for row in rows)
    loaded = time.perf_counter() - begun
    begun = time.perf_counter()
    reached = nx.descendants(graph, last)  # edges lead from later to earlier: its ancestors are ours' descendants
    spent = time.perf_counter() - begun
    near = nx.single_source_shortest_path_length(graph, last, cutoff=DEPTH)
    return {
        "networkx: load all, then all upstream": Measured([loaded + spent], len(reached) + 1),
        f"networkx: of that, {DEPTH} steps": Measured([time.perf_counter() - begun - spent], len(near)),
    }


@contextmanager
def mlmd_store(size: int, folder: Path) -> Iterator[tuple[Any, dict[int, int]]]:
    """A store in SQLite with the same history, and the ids of its artifacts by our numbers."""
    from ml_metadata import metadata_store  # noqa: PLC0415
    from ml_metadata.proto import metadata_store_pb2 as pb  # noqa: PLC0415

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / f"mlmd-{size}.sqlite")
    store = metadata_store.MetadataStore(config)
    things = list(history(size))
    types = {
        (thing.execution, thing.type): (
            store.put_execution_type(pb.ExecutionType(name=thing.type))
            if thing.execution
            else store.put_artifact_type(pb.ArtifactType(name=thing.type))
        )
        for thing in things[:A_RUN]
    }
    executions = [thing for thing in things if thing.execution]
    artifacts = [thing for thing in things if not thing.execution]
    ids = store.put_executions([pb.Execution(type_id=types[True, thing.type]) for thing in executions])
    made = store.put_artifacts(
        [pb.Artifact(type_id=types[False, thing.type], uri=f"gs://flights/{thing.number}") for thing in artifacts]
    )
    numbers = {thing.number: found for thing, found in zip(executions, ids, strict=True)}
    numbers |= {thing.number: found for thing, found in zip(artifacts, made, strict=True)}
    events = []
    for thing in things:
        for source in thing.sources:
            execution, artifact = (thing.number, source) if thing.execution else (source, thing.number)
            kind = pb.Event.INPUT if thing.execution else pb.Event.OUTPUT
            events.append(pb.Event(execution_id=numbers[execution], artifact_id=numbers[artifact], type=kind))
    store.put_events(events)
    yield store, {thing.number: numbers[thing.number] for thing in artifacts}


def with_mlmd(size: int, models: list[int], folder: Path, rounds: int) -> tuple[dict[str, Measured], list[str]]:
    begun = time.perf_counter()
    with mlmd_store(size, folder) as (store, ids):
        notes = [f"writing the same into ML Metadata (SQLite) took {time.perf_counter() - begun:.1f} s"]
        last = ids[models[-1]]
        found = {
            "ML Metadata: node by node, all": timed(lambda: len(walk_mlmd(store, last, None)), 1),
            f"ML Metadata: node by node, {DEPTH} steps": timed(lambda: len(walk_mlmd(store, last, DEPTH)), 3),
        }
        if hasattr(store, "get_lineage_subgraph"):
            data = [ids[thing.number] for thing in history(size) if thing.type == "Examples"][-RECENT]
            pair = [ids[number] for number in models[-2:]]
            found[MLMD_NEAR] = timed(lambda: subgraph(store, last, DEPTH), rounds)
            found[MLMD_IMPACT] = timed(lambda: subgraph(store, data, 100, up=False), rounds)
            found[MLMD_DIFF] = timed(
                lambda: sum(subgraph(store, one, 2) + subgraph(store, one, 1, up=False) for one in pair), rounds
            )
            found["ML Metadata: get_lineage_subgraph, as far as it goes"] = timed(
                lambda: subgraph(store, last, 10**6), 1
            )
        else:
            notes.append("this ML Metadata has no get_lineage_subgraph")
    return found, notes


def walk_mlmd(store: Any, start: int, depth: int | None) -> set[tuple[str, int]]:
    """Upstream of an artifact by its events, a query a node."""
    from ml_metadata.proto import metadata_store_pb2 as pb  # noqa: PLC0415

    seen, queue = {("artifact", start)}, deque([(("artifact", start), 0)])
    while queue:
        (kind, number), steps = queue.popleft()
        if depth is not None and steps == depth:
            continue
        if kind == "artifact":
            events = store.get_events_by_artifact_ids([number])
            nexts = [("execution", event.execution_id) for event in events if event.type == pb.Event.OUTPUT]
        else:
            events = store.get_events_by_execution_ids([number])
            nexts = [("artifact", event.artifact_id) for event in events if event.type == pb.Event.INPUT]
        for each in nexts:
            if each not in seen:
                seen.add(each)
                queue.append((each, steps + 1))
    return seen


def subgraph(store: Any, start: int, hops: int, *, up: bool = True) -> int:
    from ml_metadata.proto import metadata_store_pb2 as pb  # noqa: PLC0415

    options = pb.LineageSubgraphQueryOptions()
    options.starting_artifacts.filter_query = f"id = {start}"
    options.max_num_hops = hops
    ways = pb.LineageSubgraphQueryOptions.Direction
    options.direction = ways.UPSTREAM if up else ways.DOWNSTREAM
    found = store.get_lineage_subgraph(options, field_mask_paths=["artifacts", "executions", "events"])
    return len(found.artifacts) + len(found.executions)


# Running and showing


def run(kind: str, size: int, arguments: argparse.Namespace, console: Console) -> Results:
    results = Results(size)
    with tempfile.TemporaryDirectory(dir=arguments.dir, prefix="b") as name, database(kind, Path(name)) as address:
        folder = Path(name)
        Registry.create(address, actor="bench", store=str(folder / "store")).close()
        with Registry.open(address, actor="bench", store=str(folder / "store")) as registry:
            lineage = Lineage(registry)
            results.nodes, results.edges, results.written = write(lineage, size)
            console.print(f"{kind}: {results.nodes:,} nodes and {results.edges:,} edges in {results.written:.1f} s")
            models = [thing.number for thing in history(size) if thing.type == "Model"]
            register(registry, models)
            results.ours = ask(lineage, models, arguments.rounds)
            results.others = with_sql(registry, models, arguments.rounds) | with_networkx(registry, models)
        if arguments.mlmd_sizes is None or size in arguments.mlmd_sizes:
            found, results.notes = with_mlmd(size, models, folder, arguments.rounds)
            results.others |= found
        else:
            results.notes = ["ML Metadata was not asked at this size (--mlmd-sizes)"]
    compare(results)
    return results


def compare(results: Results) -> None:
    """All who answer the same question must count the same nodes; who stops early says so."""
    near, everything = results.ours[f"upstream, {DEPTH} steps"].answer, results.ours["upstream, all"].answer
    for name, measured in results.others.items():
        if name in (MLMD_IMPACT, MLMD_DIFF):
            continue  # our answers do not tell of how many nodes they were made
        expected = near if f"{DEPTH} steps" in name else everything
        if "as far as it goes" in name and measured.answer < expected:
            results.notes.append(
                f"get_lineage_subgraph ended without a word at {measured.answer:,} of {expected:,} nodes"
            )
        elif measured.answer != expected:
            raise SystemExit(f"{name} counts {measured.answer:,} nodes, Pedigree {expected:,}: one of them is wrong.")


def show(console: Console, kind: str, results: list[Results]) -> None:
    table = Table(title=f"{kind}: median milliseconds (nodes or versions in the answer)", title_justify="left")
    table.add_column("question")
    for each in results:
        table.add_column(f"{each.nodes:,} nodes", justify="right")
    for name in dict.fromkeys(name for each in results for name in (*each.ours, *each.others)):
        found = [each.ours.get(name) or each.others.get(name) for each in results]
        table.add_row(name, *(f"{m.median * 1000:,.1f} ({m.answer:,})" if m else "not run" for m in found))
    per_node = [each.ours["upstream, all"] for each in results]
    table.add_row("upstream, all: microseconds a node", *(f"{m.median / m.answer * 1e6:,.0f}" for m in per_node))
    for name, other, most in RATIOS:
        pairs = [(each.ours[name], each.others.get(other)) for each in results]
        wanted = f" (≤ {most} wanted)" if most else ""
        table.add_row(f"{name} / {other}{wanted}", *(f"{o.median / t.median:.2f}" if t else "" for o, t in pairs))
    table.add_row("writing: seconds", *(f"{each.written:,.1f}" for each in results))
    console.print(table)
    for each in results:
        for note in each.notes:
            console.print(f"  {each.nodes:,} nodes: {note}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--mlmd-sizes", nargs="*", type=int, help="where ML Metadata is asked; all, if left out")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to be measured")
    parser.add_argument("--json", type=Path, help="also write every single time here")
    parser.add_argument("--cpu", action="store_true", help="this process's processor time, for a machine that is busy")
    arguments = parser.parse_args()
    if arguments.cpu:
        global CLOCK  # noqa: PLW0603  before anything is timed
        CLOCK = time.process_time
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    everything: dict[str, list[Results]] = {}
    for kind in arguments.databases:
        everything[kind] = [run(kind, size, arguments, console) for size in sorted(arguments.sizes)]
        show(console, kind, everything[kind])
    if arguments.json:
        plain = {kind: [vars(each) for each in results] for kind, results in everything.items()}
        arguments.json.write_text(json.dumps(plain, default=vars))


if __name__ == "__main__":
    main()

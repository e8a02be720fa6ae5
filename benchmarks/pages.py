"""What the server's pages cost: time to answer and bytes over the wire, with many models and versions.

    python benchmarks/pages.py [--models 1000] [--versions 100000] [--rounds 60] [--databases sqlite postgresql]

A few versions are registered with evidence that keeps a whole comparison; their rows are then copied in bulk. `small`
is a registry of one model with 25 versions, `large` the one that was asked for, where one model has half of all
versions. Each page is asked for over HTTP from a server in this process.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path[:0] = [
    str(Path(__file__).resolve().parents[1] / "tests" / room) for room in ("", "unit/comparison", "unit/rollout")
]

from pages_testing import judgement  # noqa: E402
from pedigree_testing import Clock, candidate  # noqa: E402
from registry import database  # noqa: E402
from server_testing import running  # noqa: E402
from tfx_pedigree.db import schema  # noqa: E402
from tfx_pedigree.registry import Action, Facts, Identity, NewObservation, PromotionRequest, Registry  # noqa: E402
from tfx_pedigree.server import Server, ServerSettings, application  # noqa: E402
from tfx_pedigree.service.versions.describing import describe_model  # noqa: E402

MODEL = "large"
PATTERN = 25
# A year of four a day, and a description of the usual length.
OBSERVED = 1460
TEXT = "**Night flights** left out, see [the notes](https://example.com/notes).\n\n- `auc` on 24,951 rows\n" * 12
TABLES = (schema.model_versions, schema.version_metrics, schema.version_tags, schema.evidence)


class Everybody:
    def identify(self, request: object) -> Identity:
        return Identity("ada")


def fill_pattern(registry: Registry, clock: Clock) -> None:
    """A model with as many versions as a page shows."""
    registry.add(MODEL, candidate("first"), facts=Facts({"auc": 0.69, "loss": 0.6}))
    registry.promote(f"{MODEL}@latest", PromotionRequest(reason="first"))
    clock.advance(hours=1)
    champion = registry.add(MODEL, candidate("0"), facts=Facts({"auc": 0.7012, "loss": 0.5})).version
    registry.promote(f"{MODEL}@latest", PromotionRequest(expect="1.0.0", reason="better"))
    describe_model(registry, MODEL, TEXT)
    for _ in range(OBSERVED):
        began, ended = clock(), clock.advance(hours=6)
        seen = NewObservation({"auc": 0.7, "loss": 0.51}, began, ended, 1000, "monitor prometheus")
        registry.observe(f"{MODEL}@{champion.version}", seen)
    for number in range(2, PATTERN):
        clock.advance(hours=1)
        tags = {"span": str(number), "commit": "4f1d2c3b" * 5}
        made = registry.add(
            MODEL, candidate(number, rate=number), facts=Facts({"auc": 0.7212, "loss": 0.5}, tags)
        ).version
        registry.attach_evidence(f"{MODEL}@{made.version}", judgement(made, champion, 0.02))


def copy_rows(address: str, models: int, versions: int) -> None:
    """More versions of the model, and more models like it: rows, and of the one model an event for each version."""
    engine = sa.create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        pattern = {table: [dict(row) for row in connection.execute(sa.select(table)).mappings()] for table in TABLES}
        ids, evidence = itertools.count(10**6), itertools.count(10**6)
        half = versions // 2
        model_id = pattern[schema.model_versions][0]["model_id"]
        sequences = range(PATTERN + 1, half + 1)
        _copies(connection, pattern, model_id, sequences, ids, evidence)
        _events(connection, sequences)
        if models < 2:
            return
        first = connection.execute(sa.select(schema.models)).mappings().one()
        each = max(1, (versions - half) // (models - 1))
        for number in range(1, models):
            connection.execute(
                schema.models.insert().values({**first, "id": 10**6 + number, "name": f"model-{number:05}"})
            )
            _copies(connection, pattern, 10**6 + number, range(1, each + 1), ids, evidence, champion=True)


def _events(connection: sa.Connection, sequences: range) -> None:
    """Of registrations, behind those that there are. Their hashes are nobody's: pages read, and check nothing."""
    chain = schema.events.c.chain == MODEL
    newest = connection.scalar(sa.select(sa.func.max(schema.events.c.position)).where(chain))
    told = sa.select(schema.events).where(chain, schema.events.c.action == Action.REGISTER.value)
    pattern = dict(connection.execute(told.limit(1)).mappings().one())
    for some in _batches(sequences, 2000):
        rows = [
            {**pattern, "position": newest + 1 + at - sequences.start, "subject": f"1.{at + 100}.0", "hash": str(at)}
            for at in some
        ]
        connection.execute(schema.events.insert(), rows)


def _copies(  # noqa: PLR0917  a pattern, and where it goes
    connection: sa.Connection,
    pattern: dict[sa.Table, list[dict[str, Any]]],
    model_id: int,
    sequences: range,
    ids: Iterator[int],
    evidence: Iterator[int],
    champion: bool = False,
) -> None:
    for some in _batches(sequences, 2000):
        rows: dict[sa.Table, list[dict[str, Any]]] = {table: [] for table in TABLES}
        for sequence in some:
            one = pattern[schema.model_versions][sequence % (PATTERN - 2) + 2]
            own = {"id": next(ids), "model_id": model_id, "sequence": sequence}
            named = {"version": f"1.{sequence + 100}.0", "timestamp_tag": f"v{sequence:014}_{model_id:08x}"[:24]}
            digest = "sha256:" + hashlib.sha256(f"{model_id}/{sequence}".encode()).hexdigest()
            state = "production" if champion and sequence == sequences[0] else "development"
            rows[schema.model_versions].append({**one, **own, **named, "digest": digest, "state": state})
            keys = {"version_id": own["id"], "model_id": model_id, "sequence": sequence}
            for table in (schema.version_metrics, schema.version_tags):
                rows[table] += [{**row, **keys} for row in pattern[table] if row["version_id"] == one["id"]]
            held = next(row for row in pattern[schema.evidence] if row["version_id"] == one["id"])
            rows[schema.evidence].append({**held, "id": next(evidence), "version_id": own["id"], "model_id": model_id})
        for table in TABLES:
            connection.execute(table.insert(), rows[table])


def _batches(items: range, size: int) -> Iterator[range]:
    return (items[at : at + size] for at in range(0, len(items), size))


@contextmanager
def served(kind: str, models: int, versions: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name, database(kind, Path(name)) as address:
        clock = Clock()
        store = str(Path(name) / "store")
        with Registry.create(address, actor="ada", clock=clock, store=store) as registry:
            fill_pattern(registry, clock)
            where = f"sqlite:///{name}/registry/registry.db" if kind == "sqlite" else address
        if versions > PATTERN:
            copy_rows(where, models, versions)
        opened = Registry.open(address, actor="server")
        with (
            running() as switch,
            switch.serving(application(Server(ServerSettings(address), opened, Everybody()))) as at,
        ):
            yield at


PAGES = {
    "models": "/models",
    "models, filtered": "/models?q=arge",
    "model": f"/models/{MODEL}",
    "model, best by metric": f"/models/{MODEL}?sort=-auc",
    "model, second page": f"/models/{MODEL}?after=20",
    "version": f"/models/{MODEL}/versions/1.3.0",
    "compare": f"/models/{MODEL}/compare/1.0.1...1.3.0",
    "audit": f"/audit?model={MODEL}",
    "performance": f"/models/{MODEL}/performance",
    "lineage": f"/lineage?of={MODEL}@1.3.0",
    "impact": f"/lineage/impact?of={MODEL}@1.3.0",
    "approvals": "/approvals",
    "rollouts": "/rollouts",
    "event": f"/models/{MODEL}/events/3",
    "promote": f"/models/{MODEL}/versions/1.3.0/promote",
    "roll back": f"/models/{MODEL}/actions/rollback",
    "describe": f"/models/{MODEL}/describe",
}


def measure(at: str, rounds: int) -> dict[str, tuple[float, float, float, int]]:
    """Median and 95th percentile in milliseconds, the processor's time of this process (with that of the client, below
    one millisecond; a busy machine changes it little), and bytes over the wire."""
    found = {}
    with httpx.Client(base_url=at, headers={"accept-encoding": "gzip"}, timeout=60) as client:
        for name, path in PAGES.items():
            times, busy = [], 0.0
            for number in range(rounds + 3):
                begun = time.perf_counter()
                if number == 3:
                    busy = time.process_time()
                answer = client.get(path)
                if number >= 3:  # the first ones warm caches
                    times.append((time.perf_counter() - begun) * 1000)
            assert answer.status_code == 200, f"{path}: {answer.status_code}"
            size = len(gzip.compress(answer.content, 5, mtime=0))
            spent = (time.process_time() - busy) * 1000 / rounds
            found[name] = statistics.median(times), sorted(times)[int(len(times) * 0.95)], spent, size
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    asked = parser.parse_args()
    console = Console()
    for kind in asked.databases:
        with served(kind, 1, PATTERN) as at:
            small = measure(at, asked.rounds)
        with served(kind, asked.models, asked.versions) as at:
            large = measure(at, asked.rounds)
        table = Table(title=f"{kind}: {asked.models:,} models, {asked.versions:,} versions; ms")
        for column in ("page", "small p50", "large p50", "large p95", "processor", "kB, gzip"):
            table.add_column(column, justify="left" if column == "page" else "right")
        for name, (median, slowest, spent, size) in large.items():
            values = (small[name][0], median, slowest, spent, size / 1000)
            table.add_row(name, *(f"{value:.1f}" for value in values))
        console.print(table)


if __name__ == "__main__":
    main()

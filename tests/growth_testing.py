"""Every operation of a registry that `filling_testing` has filled, by name: for the test of what they cost, and for
`benchmarks/scaling.py`."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable
from datetime import datetime, timezone

import sqlalchemy as sa

from filling_testing import BIG, DESCRIPTION, SMALL, Size
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
# These cost what they must look at, as docs/scaling.md says: each model's name or chain, or all that one term of a
# search fits.
BY_NATURE = {"overview: by a name", "anchor", "search: nothing fits"}
_READ = "SELECT coalesce(sum(blks_hit + blks_read), 0) FROM pg_stat_database WHERE datname = :name"
_ALIVE = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name"
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
        version = registry.add(BIG, new_candidate()).version.version
        registry.archive(f"{BIG}@{version}", reason="old")
        registry.restore(f"{BIG}@{version}")

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
        "register, archive and restore": archive,
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


def operations(registry: Registry, size: Size) -> Calls:
    registry.set_alias("canary", f"{BIG}@1")
    if registry.model(BIG).champion is None:
        registry.promote(f"{BIG}@latest")
    return {**questions(registry, size), **changes(registry, size), **of_lineage(registry, size)}


class PagesRead:
    """A registry on PostgreSQL, and the pages that its connections have read: they tell it when they end. No other
    program disturbs that."""

    def __init__(self, admin: sa.Connection, address: str, size: Size) -> None:
        self._admin, self._name = admin, str(sa.make_url(address).database)
        self._registry = Registry.open(address, actor="ada")
        self.calls = operations(self._registry, size)

    def of(self, name: str) -> int:
        """Of a second call: the first one also reads what PostgreSQL knows of its tables, as does each connection."""
        return self._read(name, 3) - self._read(name, 2)

    def _read(self, name: str, times: int) -> int:
        self._ended()
        before = self._number(_READ)
        for _ in range(times):
            self.calls[name]()
        self._ended()
        return self._number(_READ) - before

    def _ended(self) -> None:
        database = self._registry.transactions.database
        database.engine.dispose()
        database._asking.dispose()
        give_up = time.monotonic() + 20
        while self._number(_ALIVE):
            assert time.monotonic() < give_up
            time.sleep(0.005)

    def _number(self, question: str) -> int:
        return int(self._admin.execute(sa.text(question), {"name": self._name}).scalar_one())

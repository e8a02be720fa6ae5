"""Every cell that means something: changed behind Pedigree's back, the audit finds it.

The table of mutations is made from the schema, so that a new table or column is in it without anybody's doing. What is
left out stands in `MEANS_NOTHING`, with the reason.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pedigree_testing import Clock, candidate, digest
from signing_testing import make_key, public, signature_of
from tfx_pedigree.db import schema
from tfx_pedigree.errors import DamagedError, ForbiddenError
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import version_node
from tfx_pedigree.registry import (
    Evidence,
    Facts,
    Identity,
    NewObservation,
    PromotionRequest,
    Registry,
    Role,
    RolesCap,
    Verdict,
)
from tfx_pedigree.rollout.ledger import Ledger
from tfx_pedigree.rollout.state import Ask
from tfx_pedigree.service.tokens import make_token

MODEL = "flight-delay"
TABLES = [table for table in schema.metadata.sorted_tables if table.info.get("history", True)]
MEANS_NOTHING = {
    ("registry", "id"): "always 1; the column exists for the constraint that there is one row",
    ("promotion_requests", "id"): "says in which order requests are listed",
    ("tokens", "used_at"): "when a token was last used, which is no history",
    ("rollouts", "id"): "named only by what a judge has counted, which is no history",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with something in every table and a value in every column."""
    folder, clock = tmp_path_factory.mktemp("storied"), Clock()
    with Registry.create(folder, actor="ada", store=str(folder / "store"), clock=clock) as registry:
        for seed in "abcd":
            clock.advance(minutes=1)
            registry.add(MODEL, candidate(seed, rate=0.1), facts=Facts({"auc": 0.7, "loss": 0.2}, {"team": "ops"}))
        for number, verdict in (("1.0.0", Verdict.FAIL), ("1.0.0", Verdict.PASS), ("1.0.2", Verdict.FAIL)):
            found = Evidence(registry.get(f"{MODEL}@{number}").digest, None, verdict, f"{verdict.value} by the floors")
            registry.attach_evidence(f"{MODEL}@{number}", found)
        registry.promote(f"{MODEL}@1.0.0")
        registry.promote(f"{MODEL}@1.0.1", PromotionRequest(expect="1.0.0"))
        registry.promote(f"{MODEL}@1.0.3", PromotionRequest(expect="1.0.1"))
        registry.rollback(MODEL, reason="slow")
        make_key(folder, "ours")
        for seed, number in (("d", "1.0.3"), ("a", "1.0.0")):
            registry.sign(f"{MODEL}@{number}", signature_of(digest(seed), folder / "ours.pem"))
        registry.trust_key(MODEL, public(folder / "ours.pem").read_text())
        asked_and_approved(registry, folder)
        for seed, number in (("a", "1.0.0"), ("b", "1.0.3")):
            began, ended = clock.advance(hours=1), clock.advance(hours=1)
            seen = NewObservation({"auc": 0.71, "loss": 0.25}, began, ended, 1200, f"job {seed}")
            registry.observe(f"{MODEL}@{number}", seen)
        registry.archive(f"{MODEL}@1.0.2", reason="old")
        registry.set_alias("canary", f"{MODEL}@1.0.2")
        registry.grant("bob", Role.REVIEWER)
        registry.grant("eve", Role.RELEASER, MODEL)
        registry.reserve("other", candidate("z", 4))
        data = Node(NodeKind.DATA, {"split": "train", "digest": digest("rows")}, {"span": ("3",), "rows": ("80",)})
        version, run = version_node(MODEL, digest("a")), Node(NodeKind.RUN, {"pipeline": "p", "id": "7"})
        edges = (
            Edge(version.key, EdgeKind.TRAINED_ON, data.key, run.key),
            Edge(version.key, EdgeKind.PRODUCED_BY, run.key),
        )
        Ledger(registry).deploy(MODEL, "eu", None, "first")
        Ledger(registry).ask(MODEL, Ask.ABORT, "not yet")
        Ledger(registry).deploy(MODEL, "eu", None, "again")
        Lineage(registry).record(Fragment((data, version, run), edges), model=MODEL)
    return folder


def asked_and_approved(registry: Registry, folder: Path) -> None:
    """A request that was approved and rejected, one that waits, and a token of each kind."""
    registry.grant("bob", Role.REVIEWER)
    bob = registry.acting_as(Identity("bob", groups=("ops",)))
    evidence = Evidence(digest("e"), digest("b"), Verdict.PASS, "better")
    version = registry.add(MODEL, candidate("e"), evidence=evidence).version
    reference = f"{MODEL}@{version.version}"
    registry.sign(reference, signature_of(digest("e"), folder / "ours.pem"))
    registry.protect(MODEL, 1)
    bob.request_promotion(reference, comment="please")
    registry.approve(MODEL, 1, comment="fine")
    registry.reject(MODEL, 1, reason="not now")
    bob.request_promotion(reference, comment="again")
    for name, scope in (("all", None), ("narrow", RolesCap(Role.VIEWER, (MODEL,)))):
        made = make_token(bob, name, scope=scope).token
    registry.revoke_token(made.id)


@pytest.fixture
def copy(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "copy"))


@contextlib.contextmanager
def outside(folder: Path) -> Iterator[sqlite3.Connection]:
    """As somebody who owns the file: no constraint holds."""
    with contextlib.closing(sqlite3.connect(folder / "registry.db")) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        with connection:
            yield connection


def found(folder: Path) -> tuple[str, ...]:
    """As anybody sees it, or where nobody may look any longer, as its admin."""
    for actor in ("mia", "ada"):
        with (
            contextlib.suppress(ForbiddenError),
            Registry.open(folder, actor=actor, store=str(folder / "store")) as one,
        ):
            return (*one.verify_audit().problems, *Lineage(one).verify().problems)
    raise AssertionError("nobody may look")


def columns() -> Iterator[Any]:
    for table in TABLES:
        for column in table.columns:
            if (table.name, column.name) not in MEANS_NOTHING:
                yield pytest.param(table, column, id=f"{table.name}.{column.name}")


OTHERS: dict[str, Callable[[Any], Any]] = {
    "state": lambda value: (
        value[:-1] + ',"more":1}' if value[0] == "{" else "staging" if value != "staging" else "development"
    ),
    "role": lambda value: "admin" if value != "admin" else "viewer",
    "details": lambda value: value[:-1] + ("," if len(value) > 2 else "") + '"more":1}',
    "content": lambda value: value[:-1] + ',"more":1}',
    "UtcDateTime": lambda value: "2026-11-20T11:59:59.123456Z",
    "Json": lambda value: (
        value[:-1] + (', "x"]' if value[0] == "[" else ('"x": "y"}' if len(value) == 2 else ', "x": "y"}'))
    ),
    "Boolean": lambda value: 1 - value,
}


def changed(column: sa.Column[Any], value: Any) -> Any:
    """Another value of the column's own kind."""
    other = OTHERS.get(column.name) or OTHERS.get(type(column.type).__name__)
    if other is not None:
        return other(value)
    if isinstance(value, str) and value.startswith("sha256:"):
        return digest(value)
    return (value or 0) + 1000 if isinstance(column.type, sa.Integer | sa.Double) else (value or "") + "x"


def rows_of(folder: Path, table: sa.Table, column: sa.Column[Any]) -> list[tuple[int, Any]]:
    """The first and the last row that have a value there, else the first one."""
    with outside(folder) as connection:
        query = f"SELECT rowid, {column.name} FROM {table.name} ORDER BY {column.name} IS NULL, rowid"
        rows = [tuple(row) for row in connection.execute(query)]
    filled = [row for row in rows if row[1] is not None]
    if column.name == "id":  # a number that no other row names means nothing
        return filled[:1]
    return [*filled[:1], *filled[1:][-1:]] or rows[:1]


@pytest.mark.parametrize(("table", "column"), list(columns()))
def test_changed_cell_is_found(template: Path, copy: Path, table: sa.Table, column: sa.Column[Any]) -> None:
    database = copy / "registry.db"
    before = database.read_bytes()
    for rowid, value in rows_of(copy, table, column):
        with outside(copy) as connection:
            statement = f"UPDATE {table.name} SET {column.name} = ? WHERE rowid = ?"
            connection.execute(statement, (changed(column, value), rowid))
        assert found(copy), f"{table.name}.{column.name} of row {rowid} was changed and nobody noticed"
        database.write_bytes(before)
    assert not found(copy)


WRONG: dict[str, str] = {
    "bytes": "x'ff00fe'",
    "words": "'<b>abc</b>'",
    "a number": "5",
    "a huge number": "9e999",
    "broken text": "CAST(x'ff' AS TEXT)",
    "deep JSON": "'" + "[" * 5000 + "'",
    "half a character": "'\"\\ud800\"'",
    "nothing": "''",
}


def literals(column: sa.Column[Any]) -> list[tuple[str, str]]:
    """Half of them for a column, all of them for the columns of a type: each takes time."""
    turn = sum(map(ord, column.name)) % 2
    return [item for number, item in enumerate(WRONG.items()) if number % 2 == turn]


@pytest.mark.parametrize(("table", "column"), list(columns()))
def test_cell_of_a_wrong_type_is_a_finding_and_no_failure(copy: Path, table: sa.Table, column: sa.Column[Any]) -> None:
    database = copy / "registry.db"
    before = database.read_bytes()
    for what, literal in literals(column):
        rowid, value = rows_of(copy, table, column)[0]
        with outside(copy) as connection:
            connection.text_factory = bytes
            with contextlib.suppress(sqlite3.IntegrityError):  # what is a row's number in SQLite takes nothing else
                connection.execute(f"UPDATE {table.name} SET {column.name} = {literal} WHERE rowid = {rowid}")
            query = f"SELECT {column.name} FROM {table.name} ORDER BY rowid = {rowid} DESC"
            held = connection.execute(query).fetchone()[0]
            same = held in (value, value.encode() if isinstance(value, str) else value)
        assert same or (column.name, what) == ("withdrawn", "nothing") or found(copy), (
            f"{table.name}.{column.name} holds {what} and nobody noticed"
        )
        database.write_bytes(before)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_removed_row_is_found(copy: Path, table: sa.Table) -> None:
    database = copy / "registry.db"
    before = database.read_bytes()
    with outside(copy) as connection:
        ids = [row[0] for row in connection.execute(f"SELECT rowid FROM {table.name}")]
    for rowid in ids:
        with outside(copy) as connection:
            connection.execute(f"DELETE FROM {table.name} WHERE rowid = {rowid}")
        assert found(copy), f"row {rowid} of {table.name} was removed and nobody noticed"
        database.write_bytes(before)


# A description that no version has means nothing.
@pytest.mark.parametrize(
    "table", [table for table in TABLES if table is not schema.descriptions], ids=lambda table: table.name
)
def test_added_row_is_found(copy: Path, table: sa.Table) -> None:
    """The newest row once more, under another key."""
    names = [column.name for column in table.columns]
    with outside(copy) as connection:
        row = dict(zip(names, connection.execute(f"SELECT * FROM {table.name} ORDER BY rowid DESC").fetchone()))  # noqa: B905
        unique = {column.name for column in table.primary_key}
        for constraint in table.constraints:
            if isinstance(constraint, sa.UniqueConstraint):
                unique |= {column.name for column in constraint.columns}
        unique -= {"model_id", "version_id", "chain"}
        row |= {name: changed(table.c[name], row[name]) for name in unique}
        row |= {"state": "staging"} if row.get("state") == "production" else {}
        row |= {"closed_at": row.get("created_at") or row["requested_at"]} if "closed_at" in row else {}
        row |= {"model_id": 2} if table is schema.protections else {}  # each model has one at the most
        row |= {"ended_at": row["began_at"]} if "ended_at" in row else {}
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    assert found(copy), f"a row was added to {table.name} and nobody noticed"


def test_every_column_left_out_is_in_the_schema() -> None:
    known = {(table.name, column.name) for table in TABLES for column in table.columns}
    assert MEANS_NOTHING.keys() <= known


@pytest.mark.parametrize("table", ["chains", "registry"])
def test_anchor_of_what_cannot_be_read_is_refused_with_the_next_step(copy: Path, table: str) -> None:
    column = {"chains": "length", "registry": "registry_id"}[table]
    with Registry.open(copy, actor="ada") as registry:
        anchor = registry.anchor()
        with outside(copy) as connection:
            connection.execute(f"UPDATE {table} SET {column} = x'ff'")
        with pytest.raises(DamagedError, match="pedigree audit verify"):
            registry.anchor()
        assert registry.verify_audit(anchor).problems
        with outside(copy) as connection:
            connection.execute("DELETE FROM registry")
        assert registry.verify_audit(anchor).problems
    assert found(copy)


def test_order_of_evidence_is_found(copy: Path) -> None:
    with outside(copy) as connection:
        connection.execute("UPDATE evidence SET id = 1000 - id")
    assert any("evidence" in problem for problem in found(copy))


# What the database itself holds, without which a row may be right today and wrong tomorrow.
SCHEMA = {
    "an index dropped": "DROP INDEX ix_model_versions_state",
    "the index that allows one champion": "DROP INDEX uq_model_versions_champion",
    "that index for another state": (
        "DROP INDEX uq_model_versions_champion;"
        "CREATE UNIQUE INDEX uq_model_versions_champion ON model_versions (model_id) WHERE state = 'staging'"
    ),
    "an index that no longer is unique": (
        "DROP INDEX uq_reigns_open; CREATE INDEX uq_reigns_open ON reigns (model_id) WHERE ended_at IS NULL"
    ),
    "a trigger": "CREATE TRIGGER x AFTER INSERT ON events BEGIN UPDATE role_bindings SET role = 'admin'; END",
    "a table without its constraints": (
        "CREATE TABLE t AS SELECT * FROM aliases; DROP TABLE aliases; ALTER TABLE t RENAME TO aliases"
    ),
    "a table renamed": "ALTER TABLE version_tags RENAME TO tags",
    "a column dropped": "DROP INDEX ix_events_subject; ALTER TABLE events DROP COLUMN subject",
}


@pytest.mark.parametrize("what", SCHEMA)
def test_changed_schema_is_found(copy: Path, what: str) -> None:
    with outside(copy) as connection:
        connection.executescript(SCHEMA[what])
    assert found(copy), f"{what}, and nobody noticed"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE model_versions SET size = '<b>' WHERE version = '1.0.2'",
        "UPDATE evidence SET created_by = x'ff' WHERE id = 1",
        "UPDATE reigns SET back_to = x'ff' WHERE id = 2",
        "UPDATE descriptions SET content = content || ' ' WHERE digest = (SELECT MIN(digest) FROM descriptions)",
        "UPDATE model_versions SET parameters = '[]' WHERE version = '1.0.1'",
    ],
)
def test_one_thing_that_is_wrong_is_one_problem(copy: Path, statement: str) -> None:
    with outside(copy) as connection:
        connection.execute(statement)
    assert len(found(copy)) == 1, found(copy)

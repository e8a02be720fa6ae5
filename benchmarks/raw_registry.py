"""The least that a registry with a log can do: sqlite3 alone, with the durability and the hash chain of ours.

No roles, no gate, no versions derived from content, no second table for what is searched: what our own operations cost
is measured against this.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE versions (sequence INTEGER PRIMARY KEY, version TEXT UNIQUE, digest TEXT UNIQUE, state TEXT, reasons TEXT,
    metrics TEXT, parameters TEXT, tags TEXT, created_at TEXT);
CREATE TABLE aliases (name TEXT PRIMARY KEY, sequence INTEGER);
CREATE TABLE metrics (name TEXT, value REAL, sequence INTEGER);
CREATE INDEX by_metric ON metrics (name, value, sequence);
CREATE TABLE tags (key TEXT, value TEXT, sequence INTEGER);
CREATE INDEX by_tag ON tags (key, value, sequence);
CREATE TABLE events (position INTEGER PRIMARY KEY, at TEXT, action TEXT, subject TEXT, details TEXT, previous TEXT,
    hash TEXT);
"""
_COLUMNS = "v.version, v.digest, v.state, v.reasons, v.metrics, v.parameters, v.tags, v.created_at"


class RawRegistry:
    """One model."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.executescript(_SCHEMA)
        self._flips = itertools.cycle((1, 2))
        self.count = 0

    def fill(self, count: int) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        while self.count < count:
            self._register()
        self._connection.execute("COMMIT")

    def register(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._register()
        self._connection.execute("COMMIT")

    def _register(self) -> None:
        self.count = number = self.count + 1
        metrics = {"auc": 0.5 + number % 4999 / 10000, "loss": 1 / number, "accuracy": number % 100 / 100}
        tags = {"team": "ops" if number % 2 else "research", "run": str(number)}
        digest = "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()
        row = (number, f"1.0.{number}", digest, "development", '["only weights changed"]')
        values = (json.dumps(metrics), '{"rate": 0.1, "layers": 3}', json.dumps(tags), _now())
        run = self._connection.execute
        run("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, *values))
        for name, value in metrics.items():
            run("INSERT INTO metrics VALUES (?, ?, ?)", (name, value, number))
        for key, text in tags.items():
            run("INSERT INTO tags VALUES (?, ?, ?)", (key, text, number))
        self._log("register", f"1.0.{number}", {"metrics": metrics, "tags": tags})

    def set_alias(self, name: str, number: int | None = None) -> None:
        number = number or next(self._flips)
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        run("INSERT OR REPLACE INTO aliases VALUES (?, ?)", (name, number))
        self._log("set-alias", f"1.0.{number}", {"alias": name})
        run("COMMIT")

    def promote(self) -> None:
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        run("UPDATE versions SET state = 'archived' WHERE state = 'production'")
        run("UPDATE versions SET state = 'production' WHERE sequence = ?", (self.count,))
        self._log("promote", f"1.0.{self.count}", {})
        run("COMMIT")

    def _log(self, action: str, subject: str, details: object) -> None:
        run = self._connection.execute
        last = run("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1").fetchone()
        position, previous = last or (0, "0" * 64)
        event = [position + 1, _now(), action, subject, json.dumps(details), previous]
        run(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*event, hashlib.sha256(repr(event).encode()).hexdigest()),
        )

    def get(self, alias: str) -> object:
        query = f"SELECT {_COLUMNS} FROM versions v JOIN aliases a ON a.sequence = v.sequence WHERE a.name = ?"  # noqa: S608
        return _read(self._connection.execute(query, (alias,)).fetchone())

    def page(self) -> object:
        query = f"SELECT {_COLUMNS} FROM versions v ORDER BY v.sequence DESC LIMIT 20"  # noqa: S608
        return [_read(row) for row in self._connection.execute(query)]

    def by_tag(self, key: str, value: str) -> object:
        query = (
            f"SELECT {_COLUMNS} FROM tags t JOIN versions v ON v.sequence = t.sequence "  # noqa: S608
            "WHERE t.key = ? AND t.value = ? ORDER BY t.sequence DESC LIMIT 20"
        )
        return [_read(row) for row in self._connection.execute(query, (key, value))]


def _read(row: tuple[str, ...]) -> dict[str, object]:
    return {"number": row[0], "digest": row[1], "state": row[2], "parts": [json.loads(text) for text in row[3:7]]}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()

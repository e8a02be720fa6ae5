"""Archives taken apart and put together again, as a forger would."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.registry.events import BEGINNING

HEADER, EVENTS, ROWS, LINEAGE = "pedigree-export.json", "events.jsonl", "rows.jsonl", "lineage.jsonl"


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def pack(target: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target


def lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for row in rows)


class Forgery:
    """An archive's events and rows to be changed. `pack` computes hashes, head and digests anew: the chain is whole."""

    def __init__(self, archive: Path) -> None:
        self._members = members(archive)
        self.events: list[dict[str, Any]] = [json.loads(line) for line in self._members[EVENTS].splitlines()]
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in self._members[ROWS].splitlines()]
        self.header: dict[str, Any] = json.loads(self._members[HEADER])

    def event(self, action: str, number: int = 0) -> dict[str, Any]:
        return [event for event in self.events if event["action"] == action][number]

    def row(self, table: str, number: int = 0) -> dict[str, Any]:
        return [row for row in self.rows if row["table"] == table][number]

    def everywhere(self, old: str, new: str) -> None:
        """In every value of every event and row."""
        self.events = json.loads(json.dumps(self.events).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))
        self.rows = json.loads(json.dumps(self.rows).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))

    def content(self, table: str, change: Callable[[Any], Any], number: int = 0) -> None:
        """Another content under its right digest, wherever that is named."""
        row = self.row(table, number)
        after = canonical_json(change(json.loads(row["content"]))).decode()
        before, row["content"] = row["digest"], after
        self.everywhere(before, digest_of(after.encode()))

    def pack(self, target: Path) -> Path:
        previous = BEGINNING
        for position, event in enumerate(self.events, start=1):
            event.update(position=position, previous=previous)
            event.pop("hash", None)
            event["hash"] = previous = digest_of(canonical_json(event))
        self.header.update(events=len(self.events), head=previous)
        content = {HEADER: json.dumps(self.header).encode(), EVENTS: lines(self.events), ROWS: lines(self.rows)}
        return pack(target, {**self._members, **content})

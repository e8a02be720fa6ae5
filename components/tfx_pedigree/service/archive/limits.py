"""What an archive may hold at the most. docs/registry.md states these limits; a test holds it to them."""

from __future__ import annotations

from datetime import timedelta

FORMAT = "pedigree.export/1"
HEADER, EVENTS, ROWS, LINEAGE = "pedigree-export.json", "events.jsonl", "rows.jsonl", "lineage.jsonl"

MOST_HEADER = 1 << 20
# One event, one row, one node or edge.
MOST_LINE = 16 << 20
MOST_EVENTS = 256 << 20
MOST_ROWS = 1 << 30
MOST_LINEAGE = 512 << 20
MOST_MANIFESTS = 256 << 20
# How far a clock elsewhere may be ahead of the one here: nothing could be written to a history that lies in the future.
AHEAD = timedelta(days=1)

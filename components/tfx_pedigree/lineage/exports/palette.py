"""A colour and a shape for each kind of node, the same in every picture.

Kinds are told apart by their label as well: colour is never all that says what a node is. Text in `ink` on `ground`
keeps a contrast of at least 4.5 to 1 in both schemes.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.lineage.graph import NodeKind


@dataclass(frozen=True)
class Paint:
    """`ink` and `ground` for light pages, the others for dark ones; `shape` as DOT names it."""

    ink: str
    ground: str
    dark_ink: str
    dark_ground: str
    shape: str = "box"


_MODEL = Paint("#0b5c43", "#dcf3e9", "#7fe0b8", "#12352b")
_DATA = Paint("#1b4fa3", "#e2ecfd", "#9cc3ff", "#16294a", "cylinder")
_MADE = Paint("#0f5b66", "#dbf1f4", "#85dbe8", "#10343b")
_CODE = Paint("#5b3a9e", "#ece5fb", "#c9b2ff", "#2c2150", "note")
_PLACE = Paint("#4b5563", "#e9ecf1", "#c0c8d4", "#262d38", "component")
_CHOICE = Paint("#8a3b12", "#fdeadd", "#ffb58c", "#432415")
_JUDGED = Paint("#7a4b00", "#fcf0d4", "#f3cb74", "#3a2b0c")
_SERVED = Paint("#9b1c4d", "#fce4ee", "#ff9fc4", "#451629")

PAINT = {
    NodeKind.VERSION: _MODEL,
    NodeKind.DATA: _DATA,
    NodeKind.SCHEMA: _MADE,
    NodeKind.TRANSFORM: _MADE,
    NodeKind.CODE: _CODE,
    NodeKind.MODULE: _CODE,
    NodeKind.ENVIRONMENT: _PLACE,
    NodeKind.PARAMETERS: _CHOICE,
    NodeKind.RUN: _PLACE,
    NodeKind.EVALUATION: _JUDGED,
    NodeKind.COMPARISON: _JUDGED,
    NodeKind.DECISION: _JUDGED,
    NodeKind.DEPLOYMENT: _SERVED,
    NodeKind.PROMOTION: _SERVED,
    NodeKind.ARTIFACT: _PLACE,
    NodeKind.EXECUTION: _PLACE,
}

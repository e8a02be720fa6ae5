"""The words in which the gate and its checks answer."""

from __future__ import annotations

from enum import Enum

from tfx_pedigree.verdict import Recommendation, Verdict

__all__ = ["CheckOutcome", "Recommendation", "Verdict"]


class CheckOutcome(str, Enum):
    """How one check of the policy came out. A skipped one did not apply, and its sentence says why."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"

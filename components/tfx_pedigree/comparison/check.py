"""A check: what must hold besides the score, and in a sentence how it came out.

Every check that looks at one number is monotone: a model that is better in it never fares worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from tfx_pedigree.json_form import JsonForm, Layout, Measured

NO_CHAMPION = "there is no champion to compare it with"


class CheckOutcome(str, Enum):
    """How one check of the policy came out. A skipped one did not apply, and its sentence says why."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check(JsonForm):
    """`sentence` has no full stop. `warning`: it was skipped, and somebody should know."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    name: str
    outcome: CheckOutcome
    sentence: str
    numbers: Mapping[str, Measured] = field(default_factory=dict)
    warning: bool = False

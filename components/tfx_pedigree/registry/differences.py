"""Two versions side by side: numbers, parameters, and what changed in the interface and the making. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry.records import Version
from tfx_pedigree.versioning import ModelDescription
from tfx_pedigree.versioning import compare as compare_descriptions


@dataclass(frozen=True)
class Row:
    """One thing in both versions; None where one of them does not have it."""

    name: str
    old: Any
    new: Any

    @property
    def differs(self) -> bool:
        return bool(self.old != self.new)

    @property
    def change(self) -> float | None:
        if _is_number(self.old) and _is_number(self.new):
            return float(self.new) - float(self.old)
        return None

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "old": self.old, "new": self.new, "change": self.change}


@dataclass(frozen=True)
class VersionDiff:
    old: Version
    new: Version
    metrics: tuple[Row, ...]
    parameters: tuple[Row, ...]
    interface: tuple[Row, ...]
    bump: str | None
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "old": self.old.to_json(),
            "new": self.new.to_json(),
            "metrics": [row.to_json() for row in self.metrics],
            "parameters": [row.to_json() for row in self.parameters],
            "interface": [row.to_json() for row in self.interface],
            "bump": self.bump,
            "reasons": list(self.reasons),
        }


def compare(old: Version, new: Version, before: ModelDescription, after: ModelDescription) -> VersionDiff:
    bump, reasons = _change(before, after, same=old.digest == new.digest)
    return VersionDiff(
        old,
        new,
        metrics=_rows(old.metrics, new.metrics),
        parameters=_rows(old.parameters, new.parameters),
        interface=_rows(_interface(before), _interface(after)),
        bump=bump,
        reasons=reasons,
    )


def _change(before: ModelDescription, after: ModelDescription, same: bool) -> tuple[str | None, tuple[str, ...]]:
    if same:
        return None, ("the same bytes",)
    try:
        change = compare_descriptions(before, after)
    except InvalidInputError as error:
        return None, (str(error),)
    return change.bump.value, change.reasons


def _interface(description: ModelDescription) -> dict[str, str]:
    """`serving_default input carrier` → `string [?, 1]`, for every tensor of every signature."""
    tensors: dict[str, str] = {}
    for name, signature in description.signatures.items():
        tensors |= {f"{name} input {key}": str(spec) for key, spec in signature.inputs.items()}
        tensors |= {f"{name} output {key}": str(spec) for key, spec in signature.outputs.items()}
    return tensors


def _rows(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Row, ...]:
    return tuple(Row(name, old.get(name), new.get(name)) for name in sorted({*old, *new}))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Two versions side by side: numbers, parameters, and what changed in the interface and the making. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tfx_pedigree.digest import plain_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.registry.evidence import Evidence
from tfx_pedigree.registry.records import Version
from tfx_pedigree.versioning import ModelDescription
from tfx_pedigree.versioning import compare as compare_descriptions


@dataclass(frozen=True)
class Row(JsonForm):
    """One thing in both versions; None where one of them does not have it."""

    JSON: ClassVar[Layout] = Layout(also=("change",))
    TABLE: ClassVar[tuple[str, ...]] = ("name", "old", "new", "paired")

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


@dataclass(frozen=True)
class MetricRow(Row):
    """`paired`: both numbers were measured on the same rows, and are those that the gate compared."""

    paired: bool = False


@dataclass(frozen=True)
class ComparedMetrics:
    """`note` says on what the numbers that stand side by side were measured; empty where none do."""

    rows: tuple[MetricRow, ...]
    note: str


@dataclass(frozen=True)
class VersionDiff(JsonForm):
    """`metrics_note` says whether the metrics were measured on the same data."""

    old: Version
    new: Version
    metrics: tuple[MetricRow, ...]
    metrics_note: str
    parameters: tuple[Row, ...]
    interface: tuple[Row, ...]
    bump: str | None
    reasons: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.old.name} → {self.new.name}"

    @property
    def differs(self) -> bool:
        rows = (*self.metrics, *self.parameters, *self.interface)
        return self.old.digest != self.new.digest or any(row.differs for row in rows)


def compare(
    old: Version,
    new: Version,
    before: ModelDescription,
    after: ModelDescription,
    evidence: tuple[Evidence | None, Evidence | None] = (None, None),
) -> VersionDiff:
    """`evidence` is the newest of each, the old version's first."""
    bump, reasons = _change(before, after, same=old.digest == new.digest)
    metrics = compare_metrics(old, new, *evidence)
    return VersionDiff(
        old,
        new,
        metrics=metrics.rows,
        metrics_note=metrics.note,
        parameters=_rows(old.parameters, new.parameters),
        interface=_rows(_interface(before), _interface(after)),
        bump=bump,
        reasons=reasons,
    )


def compare_metrics(old: Version, new: Version, before: Evidence | None, after: Evidence | None) -> ComparedMetrics:
    """The numbers of the evidence that compares these two, which were measured on the same rows. Where there is none,
    and for metrics that it does not know, those of each version's own registration: they may come from other data."""
    paired, source = _paired(old, new, before, after)
    rows = [
        MetricRow(name, *paired[name], paired=True)
        if name in paired
        else MetricRow(name, plain_json(old.metrics.get(name)), plain_json(new.metrics.get(name)))
        for name in sorted({*paired, *old.metrics, *new.metrics})
    ]
    beside = [row.name for row in rows if row.change is not None and not row.paired and old.digest != new.digest]
    notes = [f"Both were measured on the same rows (evidence {_short(source.digest)})."] if source else []
    if beside:
        named = f"The others ({', '.join(beside)})" if source else "The metrics"
        notes.append(f"{named} {_measured_on(old, new, before, after)}")
    return ComparedMetrics(tuple(rows), " ".join(notes))


def _paired(
    old: Version, new: Version, before: Evidence | None, after: Evidence | None
) -> tuple[dict[str, tuple[Any, Any]], Evidence | None]:
    """By metric the old and the new version's number, from an evidence that judges one of them against the other."""
    for found, rival, sides in ((after, old, ("champion", "challenger")), (before, new, ("challenger", "champion"))):
        if found is not None and found.champion == rival.digest != found.challenger:
            left, right = (_table(found.metrics.get(side)) for side in sides)
            if numbers := {name: (left[name], right[name]) for name in left if name in right}:
                return numbers, found
    return {}, None


def _measured_on(old: Version, new: Version, before: Evidence | None, after: Evidence | None) -> str:
    left, right = (found.evaluation_data if found else None for found in (before, after))
    if left is None or right is None:
        return "may come from different data: no evidence says which data was used for both."
    if left == right:
        return "were measured on the same data."
    first, second = (old.version, new.version) if old.model == new.model else (old.name, new.name)
    return (
        f"were measured on different data ({first}: {_short(left)}, {second}: {_short(right)}), so they do not compare "
        "the models alone."
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


def _table(given: Any) -> Mapping[str, Any]:
    """Evidence may come from elsewhere: what should be a table and is none counts as empty."""
    return given if isinstance(given, Mapping) else {}


def _short(digest: str) -> str:
    return digest[:19]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

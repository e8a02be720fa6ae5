"""What an experiment tracker says of the run that trained a model, as a version keeps it. Pure.

All of it was written by somebody else: it is cut to what a version can hold, and passes the gate for secrets. What was
left out is said in `notes`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfx_pedigree.digest import digest_of
from tfx_pedigree.json_form import JsonForm, Measured
from tfx_pedigree.registry import Facts
from tfx_pedigree.secrets import HIDDEN, Gate, clean_text, hidden_names, without_password
from tfx_pedigree.service.versions.version_record import flat_parameters
from tfx_pedigree.text import listed, plain, plural
from tfx_pedigree.versioning.description import Scalar

# Stated in docs/limits.md.
MOST_PARAMETERS = 1_000
MOST_METRICS = 1_000
MOST_DATASETS = 50
LONGEST_NAME = 200
LONGEST_TEXT = 1_000
_LONGEST_ADDRESS = 2_000
_NAMED = 3


@dataclass(frozen=True)
class Dataset(JsonForm):
    """Data that the run says it used, by the tracker's own digest; `context` is what for."""

    name: str
    digest: str
    context: str | None = None


@dataclass(frozen=True)
class TrackedRun(JsonForm):
    """`address` is the run's page, or the folder that it was read from."""

    tracker: str
    id: str
    address: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        tracker: str,
        id: str,
        address: str,
        *,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        datasets: Iterable[Dataset] = (),
    ) -> TrackedRun:
        """From what a tracker gave."""
        notes: list[str] = []
        gate = Gate()
        usable = _bounded(flat_parameters(parameters), MOST_PARAMETERS, "parameter", notes)
        numbers = {gate.name(name): float(value) for name, value in metrics.items() if not math.isnan(value)}
        if len(numbers) < len(metrics):
            lost = sorted(_shown(name) for name in metrics if math.isnan(metrics[name]))
            if lost:
                notes.append(f"{plural(len(lost), 'metric')} without a number: {listed(lost, _NAMED)}.")
        hidden = hidden_names(usable)
        if hidden:
            notes.append(f"{listed(map(_shown, hidden), _NAMED)} looks like a secret, and `{HIDDEN}` stands instead.")
        return cls(
            tracker,
            _shown(clean_text(id)),
            plain(without_password(address), _LONGEST_ADDRESS),
            gate.mapping({name: _scalar(value) for name, value in usable.items()}),
            _bounded(numbers, MOST_METRICS, "metric", notes),
            tuple(_datasets(datasets, notes)),
            tuple(notes),
        )

    @property
    def name(self) -> str:
        return f"{self.tracker}:{self.id}"

    def tags(self) -> dict[str, str]:
        """What a version says of its run, to search by."""
        found = {"run": self.name, "run_address": self.address}
        return found | {f"dataset.{one.name}": one.digest for one in self.datasets}

    def facts(self, others: Facts | None = None) -> Facts:
        """With what was measured or said elsewhere, which outranks what the run says of the same name."""
        others = others or Facts()
        return Facts({**self.metrics, **others.metrics}, {**self.tags(), **others.tags})


def _bounded(values: Mapping[str, Any], most: int, what: str, notes: list[str]) -> dict[str, Any]:
    """Names that can stand anywhere, and no more than so many, the first by name."""
    fitting = sorted(name for name in values if _is_name(name))
    if others := sorted(_shown(name) for name in values if not _is_name(name)):
        notes.append(f"{plural(len(others), what)} with a name that cannot be kept: {listed(others, _NAMED)}.")
    if len(fitting) > most:
        notes.append(f"{len(fitting) - most:,} of {plural(len(fitting), what)}: the first {most:,} by name are kept.")
    return {name: values[name] for name in fitting[:most]}


def _is_name(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and name == name.strip() and name.isprintable()


def _shown(name: str) -> str:
    return plain(name, LONGEST_NAME)


def _scalar(value: Scalar) -> Scalar:
    """A long text is kept as its digest: that it changed can be seen."""
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            return digest_of(value.encode("utf-8", "replace"))
        return plain(value, 8 * LONGEST_TEXT)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _datasets(datasets: Iterable[Dataset], notes: list[str]) -> Iterable[Dataset]:
    found = {}
    for one in datasets:
        name, digest = clean_text(one.name), clean_text(one.digest)
        if _is_name(name) and _is_name(digest):
            found[name, digest] = Dataset(name, digest, plain(clean_text(one.context)) if one.context else None)
    if len(found) > MOST_DATASETS:
        notes.append(f"{len(found) - MOST_DATASETS:,} of {len(found):,} datasets: {MOST_DATASETS} are kept.")
    return [found[key] for key in sorted(found)][:MOST_DATASETS]

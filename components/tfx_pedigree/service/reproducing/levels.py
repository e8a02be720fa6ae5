"""How far a version came out again: two results side by side, and the strongest level that is the same. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm, Measured
from tfx_pedigree.registry import Evidence
from tfx_pedigree.text import listed, plural, short_digest
from tfx_pedigree.versioning import ModelDescription, compare

# Of a prediction, and of a metric relative to its size. Sums in another order differ in the seventh digit.
TOLERANCE = 1e-6
# What differs from run to run by its nature.
_MEASURED_TIME = "latency_"
_MOST_TOLD = 5


class Level(str, Enum):
    """From the strongest down; who has one has all that are weaker, as far as the model decides them."""

    BYTES = "bytes"
    DESCRIPTION = "description"
    PREDICTIONS = "predictions"
    METRICS = "metrics"
    VERDICT = "verdict"
    NONE = "none"

    @property
    def rank(self) -> int:
        return _ORDER.index(self)

    def reaches(self, wanted: Level) -> bool:
        return self.rank <= wanted.rank


_ORDER = tuple(Level)


@dataclass(frozen=True)
class PredictionDifference(JsonForm):
    """Of both models on the same rows. `differing` are rows whose predictions differ by more than the tolerance;
    `failed` are rows that at least one of them could not answer."""

    rows: int
    largest: Measured
    differing: int
    failed: int = 0


@dataclass(frozen=True)
class Result:
    """What is compared of a version: the one on file, or the one that was made again. `files` are digests by path."""

    digest: str
    description: ModelDescription
    metrics: Mapping[str, float]
    evidence: Evidence | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared(JsonForm):
    """One level. `same` is None where there was nothing to compare, and `detail` says why."""

    level: Level
    same: bool | None
    detail: str


@dataclass(frozen=True)
class Reached(JsonForm):
    level: Level
    levels: tuple[Compared, ...] = field(default_factory=tuple)

    @property
    def differences(self) -> tuple[str, ...]:
        return tuple(one.detail for one in self.levels if not one.same)


def compare_results(
    recorded: Result,
    made: Result,
    predictions: PredictionDifference | str,
    tolerance: float = TOLERANCE,
) -> Reached:
    """`predictions` is a text where they could not be compared: why. Equal bytes predict the same, and are the same
    interface. The level `description` says that the predictions are the same, too: an interface alone is little."""
    levels = (
        _bytes(recorded, made),
        _description(recorded, made),
        _predictions(recorded, made, predictions, tolerance),
        _metrics(recorded, made, tolerance),
        _verdict(recorded, made),
    )
    same = {one.level: one.same for one in levels}
    if not same[Level.PREDICTIONS]:
        same[Level.DESCRIPTION] = False
    return Reached(next((one.level for one in levels if same[one.level]), Level.NONE), levels)


def _bytes(recorded: Result, made: Result) -> Compared:
    if recorded.digest == made.digest:
        return Compared(Level.BYTES, True, f"All files are the same ({recorded.digest}).")
    paths = {*recorded.files, *made.files}
    differing = sorted(path for path in paths if recorded.files.get(path) != made.files.get(path))
    named = f"Of {plural(len(paths), 'file')}, these differ: {listed(differing, _MOST_TOLD)}"
    digests = f"{short_digest(recorded.digest)} then, {short_digest(made.digest)} now"
    return Compared(Level.BYTES, False, f"{named if paths else 'The files differ'} ({digests}).")


def _description(recorded: Result, made: Result) -> Compared:
    if recorded.digest == made.digest or recorded.description == made.description:
        return Compared(Level.DESCRIPTION, True, "Interface, variables, operations and parameters are the same.")
    try:
        reasons = compare(recorded.description, made.description).reasons
    except InvalidInputError:  # one of them is no SavedModel
        reasons = (f"{recorded.description.kind} then, {made.description.kind} now",)
    return Compared(Level.DESCRIPTION, False, f"The description differs: {_few(reasons) or 'in what has no name'}.")


def _predictions(recorded: Result, made: Result, found: PredictionDifference | str, tolerance: float) -> Compared:
    if recorded.digest == made.digest:
        return Compared(Level.PREDICTIONS, True, "The same files predict the same.")
    if isinstance(found, str):
        return Compared(Level.PREDICTIONS, None, f"The predictions were not compared: {found}")
    rows = plural(found.rows, "row")
    if found.failed or not found.rows:
        return Compared(Level.PREDICTIONS, False, f"{found.failed} of {rows} got no prediction from one of both.")
    if found.differing:
        return Compared(
            Level.PREDICTIONS,
            False,
            f"The predictions differ on {found.differing} of {rows}, by {found.largest:.3g} at the most.",
        )
    how = "are the same to the last bit" if found.largest == 0 else f"differ by {found.largest:.3g} at the most"
    within = "" if found.largest == 0 else f", less than {tolerance:g}"
    return Compared(Level.PREDICTIONS, True, f"The predictions on {rows} {how}{within}.")


def _metrics(recorded: Result, made: Result, tolerance: float) -> Compared:
    names = sorted(name for name in recorded.metrics if not name.startswith(_MEASURED_TIME))
    if not names:
        return Compared(Level.METRICS, None, "No metrics were recorded.")
    differing = [
        f"{name} {recorded.metrics[name]:.6g} then, {_number(made.metrics.get(name))} now"
        for name in names
        if not _alike(recorded.metrics[name], made.metrics.get(name), tolerance)
    ]
    if differing:
        return Compared(Level.METRICS, False, f"The metrics differ: {_few(differing)}.")
    return Compared(Level.METRICS, True, f"The metrics are the same: {_few(names)}.")


def _verdict(recorded: Result, made: Result) -> Compared:
    then, now = recorded.evidence, made.evidence
    if then is None:
        return Compared(Level.VERDICT, None, "No verdict was recorded.")
    if now is None:
        return Compared(Level.VERDICT, False, f"The gate said {then.verdict.value} then, and nothing now.")
    if then.verdict is now.verdict:
        return Compared(Level.VERDICT, True, f"The gate says {now.verdict.value} again.")
    return Compared(
        Level.VERDICT, False, f"The gate said {then.verdict.value} then and {now.verdict.value} now: {now.reason}"
    )


def _alike(then: float, now: Any, tolerance: float) -> bool:
    if not isinstance(now, int | float):
        return False
    if math.isnan(then) or math.isnan(now):
        return math.isnan(then) and math.isnan(now)
    return bool(then == now or abs(then - now) <= tolerance * max(1.0, abs(then)))


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else "none"


def _few(texts: Sequence[str]) -> str:
    return listed([text.rstrip(".") for text in texts], _MOST_TOLD)

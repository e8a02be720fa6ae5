"""What only running the models shows: how long they take, and how their predictions differ.

A model that cannot be run here is no reason to fail: TFMA has other ways to call one. The reason stands in the report,
and a policy that needs a number which is missing does not pass. Only files that cannot be loaded are worse than that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import tensorflow as tf

from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.service.judging.comparison import Behaviour, Latency
from tfx_pedigree.tfx_components.version_comparator.examples import Examples
from tfx_pedigree.tfx_components.version_comparator.latency_measure import LatencySettings, measure_latency
from tfx_pedigree.tfx_components.version_comparator.paired_sums import PairedSums
from tfx_pedigree.tfx_components.version_comparator.predictions import BATCH_SIZE, Pair, PairOf, Plan
from tfx_pedigree.tfx_components.version_comparator.serving import ServedModel, ServingSignature, first_line

# Runs a plan over files on the pipeline's Beam runner and brings back what it found.
Compute = Callable[[tuple[str, ...], Plan], PairedSums]


@dataclass(frozen=True)
class ComparisonSettings:
    label_key: str = ""
    target: ServingSignature = field(default_factory=ServingSignature)
    latency: LatencySettings = field(default_factory=LatencySettings)
    threshold: float = 0.5
    batch_size: int = BATCH_SIZE


def run_models(
    challenger: str,
    champion: str | None,
    examples: Examples,
    settings: ComparisonSettings,
    compute: Compute,
    *,
    comparable: bool = True,
) -> Behaviour:
    """Both are folders with a SavedModel. DamagedError if the challenger's cannot be loaded: then nothing may follow.

    A champion that is not comparable is only loaded, to know whether it could be served if a person wants it back.
    """
    new, note = _usable(challenger, settings.target, "challenger")
    notes = [note]
    old = None
    if champion is not None:
        try:
            old, note = _usable(champion, settings.target, "champion")
        except DamagedError as error:
            return Behaviour(damage=str(error), notes=_given(notes))
        notes.append(note)
    if not comparable:
        old, champion = None, None
    size = max(1, settings.latency.batch_size)
    batch = examples.first(size)
    if batch is None:
        notes.append(examples.unreadable or f"the split '{examples.split}' has no examples: no model was run")
        return Behaviour(notes=_given(notes))
    new, note = _probed(new, batch, "challenger")
    notes.append(note)
    old, note = _probed(old, batch, "champion")
    notes.append(note)
    found = Behaviour(latency=_latency(new, old, batch, settings.latency))
    if new is not None and old is not None and champion is not None and _alike(new, old, batch, notes):
        sums, note = _sums(
            PairOf.at(challenger, champion, settings.target), Pair(new, old), examples, settings, compute
        )
        found = replace(found, predicted=sums.predicted) if sums else found
        notes.append(note)
    elif champion is None and new is not None and settings.label_key and _alike(new, new, batch, []):
        alone = PairOf.at(challenger, challenger, settings.target)
        sums, _ = _sums(alone, Pair(new, new), examples, settings, compute)
        found = replace(found, predicted=sums.predicted_alone) if sums else found
    return replace(found, notes=_given(notes))


def _usable(folder: str, target: ServingSignature, whose: str) -> tuple[ServedModel | None, str]:
    try:
        return ServedModel(folder, target), ""
    except InvalidInputError as error:
        return None, f"the {whose} was not run: {error}"


def _probed(model: ServedModel | None, batch: Any, whose: str) -> tuple[ServedModel | None, str]:
    """What the model makes of real examples is known only afterwards."""
    if model is None:
        return None, ""
    try:
        model.run(model.inputs(batch))
    except InvalidInputError as error:
        return None, f"the {whose} was not run: {error}"
    except (tf.errors.OpError, ValueError, TypeError) as error:
        return None, f"the {whose} cannot predict on these examples: {first_line(error)}"
    return model, ""


def _alike(new: ServedModel, old: ServedModel, batch: Any, notes: list[str]) -> bool:
    """Whether there is something to subtract. Timing needs none of it."""
    try:
        widths = [model.predict(batch).shape[1] for model in (new, old)]
    except InvalidInputError as error:
        notes.append(f"predictions were not compared: {error}")
        return False
    if widths[0] != widths[1]:
        notes.append(f"predictions were not compared: the models give {widths[0]} and {widths[1]} numbers per example")
    return widths[0] == widths[1]


def _latency(new: ServedModel | None, old: ServedModel | None, batch: Any, settings: LatencySettings) -> Latency | None:
    return None if settings.is_off or new is None else measure_latency(new, old, batch, settings)


def _sums(
    of: PairOf, pair: Pair, examples: Examples, settings: ComparisonSettings, compute: Compute
) -> tuple[PairedSums | None, str]:
    if not settings.label_key:
        return None, "no label key is given: predictions were not compared"
    of.offer(pair)
    found = compute(examples.files, Plan(of, settings.label_key, settings.threshold, settings.batch_size))
    if found.failed:
        return found, f"{found.failed} of {found.examples} examples could not be predicted: {found.problem}"
    if not found.count:
        return None, f"no example has a number as its label '{settings.label_key}': predictions were not compared"
    return found, ""


def _given(notes: list[str]) -> tuple[str, ...]:
    return tuple(note for note in notes if note)

"""How long a call of each model takes, in this process and on the same examples. `comparison.latency` does the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.comparison import Patience, measure
from tfx_pedigree.service.judging.comparison import Latency
from tfx_pedigree.tfx_components.version_comparator.serving import ServedModel

_LEAST_WARMUP = 5
# An interval of a quarter of the ratio tells apart what budgets ask for. Half a minute is not noticed in a pipeline.
_PATIENCE = Patience(width=0.25, seconds=30.0, rounds=4000)


@dataclass(frozen=True)
class LatencySettings:
    """At least `rounds` calls of each model with `batch_size` examples; 0 rounds: nothing is measured."""

    rounds: int = 50
    batch_size: int = 32

    @property
    def is_off(self) -> bool:
        return self.rounds <= 0

    @property
    def warmup(self) -> int:
        """The first calls trace and allocate; the first tenth of the rounds lets the caches settle as well."""
        return max(_LEAST_WARMUP, self.rounds // 10)


def measure_latency(
    challenger: ServedModel, champion: ServedModel | None, examples: Any, settings: LatencySettings
) -> Latency:
    """The batch that was measured with is named as it was: fewer examples than asked for if there are not more."""
    timings = measure(
        _call(challenger, examples),
        _call(champion, examples) if champion else None,
        rounds=settings.rounds,
        warmup=settings.warmup,
        patience=_PATIENCE,
    )
    return Latency(timings, int(examples.shape[0]))


def _call(model: ServedModel, examples: Any) -> Callable[[], object]:
    """Taking features out of examples belongs to the measuring, where the model does not do it itself."""
    inputs = model.inputs(examples)
    return lambda: model.run(inputs)

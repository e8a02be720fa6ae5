"""A search for hyperparameters that is over at once. On its own: TFX loads the module of a `tuner_fn` anew."""

from __future__ import annotations

from typing import Any

import keras_tuner
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult


class _Found:
    """A KerasTuner that has searched already."""

    tuner_id = "found"
    oracle = type("Oracle", (), {"max_trials": 1, "get_best_trials": lambda self, _: []})()

    def search_space_summary(self) -> None: ...

    def results_summary(self) -> None: ...

    def search(self, **_: Any) -> None: ...

    def get_best_hyperparameters(self) -> list[Any]:
        found = keras_tuner.HyperParameters()
        found.Choice("units", [7, 8])
        found.Float("rate", 0.1, 0.9, default=0.3)
        return [found]


def tuner_fn(_: FnArgs) -> TunerFnResult:
    return TunerFnResult(tuner=_Found(), fit_kwargs={})

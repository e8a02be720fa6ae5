"""What TFMA's Evaluator says of the challenger, and which of its thresholds failed."""

from __future__ import annotations

from typing import Any

import tensorflow_model_analysis as tfma
from tfx.dsl.io import fileio

from tfx_pedigree.service.judging.comparison import TfmaWord
from tfx_pedigree.tfx_components.version_comparator.tfma_results import metric_name, slice_of

_BLESSED = "blessed"
_VALIDATIONS_FILE = "validations"
_MOST = 5


def read_word(blessing: Any | None, folder: str) -> TfmaWord | None:
    """None where no ModelBlessing is connected."""
    if blessing is None:
        return None
    if not blessing.has_custom_property(_BLESSED):
        return TfmaWord(None)
    blessed = blessing.get_int_custom_property(_BLESSED) == 1
    return TfmaWord(blessed, () if blessed else _failures(folder))


def _failures(folder: str) -> tuple[str, ...]:
    if not fileio.glob(f"{folder}/{_VALIDATIONS_FILE}*"):
        return ()
    result = tfma.load_validation_result(folder)
    found = []
    for one in result.metric_validations_per_slice:
        where = slice_of(one.slice_key)
        for failure in one.failures:
            name = metric_name(failure.metric_key)
            found.append(f"{name} on {where}" + (f" ({failure.message.strip()})" if failure.message else ""))
    found += [f"no slice {', '.join([*one.feature_keys, *one.feature_values])}" for one in result.missing_slices]
    more = len(found) - _MOST
    return tuple(found[:_MOST] + ([f"{more} more"] if more > 0 else []))

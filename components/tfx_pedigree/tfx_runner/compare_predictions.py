"""How far the predictions of two models lie apart on the same rows: what `pedigree reproduce` starts.

Reads an order with two `models`, a folder of `examples` and the largest difference that counts as none, and writes what
it found to the file `result`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.service.reproducing.levels import PredictionDifference
from tfx_pedigree.tfx_runner.local_run import quiet
from tfx_pedigree.tfx_runner.order import Order, carry_out

if TYPE_CHECKING:
    from tfx_pedigree.tfx_components.version_comparator.serving import ServedModel

_BATCH = 4096


def main() -> int:
    return carry_out(_compare)


def _compare(order: Order) -> None:
    with quiet(Path(order["log"])):
        found = compare(order["models"], order["examples"], order["tolerance"])
    Path(order["result"]).write_text(json.dumps(found.to_json()), encoding="utf-8")


def compare(models: list[str], examples: str, tolerance: float) -> PredictionDifference:
    from tfx.dsl.io import fileio  # noqa: PLC0415  below here TensorFlow is loaded

    from tfx_pedigree.tfx_components.version_comparator.examples import batches  # noqa: PLC0415
    from tfx_pedigree.tfx_components.version_comparator.serving import ServedModel, ServingSignature  # noqa: PLC0415

    files = sorted(path for path in fileio.glob(f"{examples.rstrip('/')}/*") if not fileio.isdir(path))
    if not files:
        raise InvalidInputError(f"There are no examples in {examples}.")
    recorded, made = (ServedModel(folder, ServingSignature()) for folder in models)
    return _apart(recorded, made, (batch for path in files for batch in batches(path, _BATCH)), tolerance)


def _apart(recorded: ServedModel, made: ServedModel, batches: Iterable[Any], tolerance: float) -> PredictionDifference:
    import numpy as np  # noqa: PLC0415

    rows, largest, differing, failed = 0, 0.0, 0, 0
    for batch in batches:
        then, now = recorded.predict(batch), made.predict(batch)
        rows += len(then)
        if then.shape != now.shape:
            failed += len(then)
            continue
        # Two models that answer NaN alike answer the same.
        apart = np.where((then == now) | (np.isnan(then) & np.isnan(now)), 0.0, np.abs(then - now)).max(axis=1)
        failed += int(np.isnan(apart).sum())
        known = apart[~np.isnan(apart)]
        largest = max(largest, float(known.max(initial=0.0)))
        differing += int((known > tolerance).sum())
    return PredictionDifference(rows, largest, differing, failed)


if __name__ == "__main__":
    sys.exit(main())

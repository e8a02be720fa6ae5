"""What TFMA found in some folders, as JSON: what `pedigree gate` starts for evaluations that lie there already.

Reads an order with `folders`, `confidence` and `result`, and writes the rows of each to the file `result`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfx_pedigree.comparison import MetricRow
from tfx_pedigree.tfx_runner.order import Order, carry_out


def main() -> int:
    return carry_out(_read)


def _read(order: Order) -> None:
    found = [list(_rows(folder, order["confidence"])) for folder in order["folders"]]
    Path(order["result"]).write_text(json.dumps(found), encoding="utf-8")


def _rows(folder: str, confidence: float | None) -> Iterator[dict[str, Any]]:
    from tfx_pedigree.tfx_components.version_comparator.tfma_results import read_evaluation  # noqa: PLC0415  TensorFlow

    found = read_evaluation(folder, confidence)
    champion = found.champion or {}
    for key in sorted({*found.challenger, *champion}):
        row = MetricRow(
            key.metric, key.slice, None, found.challenger.get(key), champion.get(key), found.differences.get(key)
        )
        yield row.to_json()


if __name__ == "__main__":
    sys.exit(main())

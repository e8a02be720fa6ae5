"""Runs the pipeline that a config names, in a process of its own: what `pedigree pipeline run` starts.

Reads an order with `span` and `pedigree` put into the settings, writes a line for each component to standard error, and
ends with the exit code of docs/cli.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tfx_pedigree.service.reproducing.recipe import with_files
from tfx_pedigree.tfx_runner.local_run import run_local
from tfx_pedigree.tfx_runner.order import Order, carry_out, function


def main() -> int:
    return carry_out(_run)


def _run(order: Order) -> None:
    settings = order["settings"]
    if order["prepare"]:
        function(order["prepare"])(settings)
    if told := (settings.get("pedigree") or {}).get("recipe"):
        settings["pedigree"]["recipe"] = with_files(told, order.get("spans") or {})
    # Loading the pipeline's module loads TensorFlow: that belongs where the noise goes into the log.
    run_local(lambda: function(order["create"])(settings), Path(order["log"]))


if __name__ == "__main__":
    sys.exit(main())

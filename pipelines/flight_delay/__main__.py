"""Writes the data of the spans that are asked for, and runs the pipeline on one after the other.

python -m pipelines.flight_delay --to build/flight-delay --spans 1-3 --rows 5000
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.flight_delay import data
from pipelines.flight_delay.columns import VARIANTS
from pipelines.flight_delay.config import FlightDelayConfig, local

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.registry import Registry
from tfx_pedigree.tfx_runner.local_run import ComponentProgress, run_local

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except PedigreeError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(options: argparse.Namespace) -> int:
    folder = options.to.absolute()
    registry = str(folder / "registry")
    spans = data.write_spans(folder / "data", data.parse_months(options.spans), options.rows)
    if not options.stock:
        Registry.create(registry, actor=options.actor).close()
    for span in spans:
        sys.stdout.write(f"{data.summary(span)}\n")
        sys.stdout.flush()
        config = local(
            folder,
            span=span.number,
            features=options.features,
            with_pedigree=not options.stock,
            pedigree={} if options.stock else {"registry": registry, "actor": options.actor},
        )
        run(config, folder / "run.log")
    if not options.stock:
        _versions(registry, options.actor, config.name)
    return 0


def run(config: FlightDelayConfig, log: Path) -> list[ComponentProgress]:
    """One run of the pipeline on this machine."""

    def make_pipeline() -> Pipeline:
        from pipelines.flight_delay.pipeline import create_pipeline  # noqa: PLC0415  loads TensorFlow

        return create_pipeline(config)

    return run_local(make_pipeline, log)


def _versions(address: str, actor: str, model: str) -> None:
    with Registry.open(address, actor=actor) as registry:
        for version in reversed(registry.versions(model).items):
            auc = version.metrics.get("auc")
            shown = f"  AUC {auc:.4f}" if isinstance(auc, float) else ""
            sys.stdout.write(f"{version.name}  {version.state}{shown}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.flight_delay", description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="the folder for data, artifacts, registry and models")
    parser.add_argument("--spans", default="1", help="the months to train on: 3, 1-3 or 1,2,5 (default: 1)")
    parser.add_argument("--rows", type=int, help="a sample of so many flights a month (default: all)")
    parser.add_argument("--features", choices=tuple(VARIANTS), default="schedule", help="default: schedule")
    parser.add_argument("--stock", action="store_true", help="TFX's own components only, without Pedigree")
    parser.add_argument("--actor", default="pipeline", help="who acts in the registry (default: pipeline)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

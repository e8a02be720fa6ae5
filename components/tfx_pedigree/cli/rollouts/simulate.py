"""`pedigree rollout simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.progress import bar
from tfx_pedigree.text import visible

if TYPE_CHECKING:
    from tfx_pedigree.rollout.simulate import Case, Simulation


@click.command(cls=PedigreeCommand)
@click.argument("file", required=False)
@click.option("--per-second", type=float, default=50.0, show_default=True, help="Requests a second, both versions.")
@click.option("--error-rate", type=float, default=0.01, show_default=True, help="Of the stable version, from 0 to 0.5.")
@click.option("--runs", type=click.IntRange(10, 5000), default=100, show_default=True, help="Rollouts for each line.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed draws the same requests.")
@pass_app
def simulate(app: App, *, file: str | None, per_second: float, error_rate: float, runs: int, seed: int) -> None:
    """Tell how long a plan needs to see harm, and how often it errs.

    Nothing is moved and no registry is asked. FILE is a rollout.yaml; left out, the canary that `start` takes without
    a plan. The judge is the real one, the requests are drawn, and the error rate drifts by half of itself.
    """
    from tfx_pedigree.rollout.plan import canary
    from tfx_pedigree.rollout.simulate import Traffic
    from tfx_pedigree.rollout.simulate import simulate as run
    from tfx_pedigree.rollout.spec_file import load_plan

    plan = canary() if file is None else load_plan(Path(file).expanduser())
    traffic = Traffic(per_second, error_rate)
    with bar("Playing rollouts") as progress:
        found = run(plan, traffic, runs=runs, seed=seed, progress=progress)
    output.answer(found, _tell)


def _tell(found: Simulation) -> None:
    table = output.table("errors", "rolled back>", "healthy>", "undecided>", "time>", "requests>", "failed>")
    for case in (found.harmless, *found.harmful):
        table.add_row(*_row(case))
    output.show(table)
    output.note("Time, requests and failed answers are the candidate's until the end, at the median.")
    for warning in found.warnings:
        output.say(f"Warning: {visible(warning)}")


def _row(case: Case) -> tuple[str, ...]:
    shares = (f"{share:.1%}" for share in (case.rolled_back, case.healthy, case.undecided))
    numbers = (f"{case.median_requests:,.0f}", f"{case.median_failures:,.0f}")
    return (f"{case.ratio:g} ×", *shares, f"{case.median_seconds:,.0f} s", *numbers)

"""`pedigree rollout run`, `step`, `controller`: what drives the traffic to what was decided."""

from __future__ import annotations

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.rollouts.common import Teller, desk_of, sentence
from tfx_pedigree.cli.stopping import until_stopped

_model = click.argument("model", shell_complete=model_names)


@click.command(cls=PedigreeCommand)
@_model
@click.pass_context
@pass_app
def run(app: App, ctx: click.Context, model: str) -> None:
    """Drive one model's rollout until it ends.

    Stop it with Ctrl-C: the rollout stays as it is, and the load balancer sends everything to the stable version when
    the lease is over, until a controller is there again. Exit code 1 means that it was rolled back.
    """
    with desk_of(app) as desk:
        rollout = desk.drive(model, Teller(ends=False))
    output.answer({"rollout": rollout}, lambda _: output.say(sentence(rollout)))
    if rollout.state.phase.value != "done":
        ctx.exit(exits.FOUND_PROBLEMS)


@click.command(cls=PedigreeCommand)
@_model
@pass_app
def step(app: App, model: str) -> None:
    """Look once, decide once and drive the traffic.

    For cron, where no process may stay: give the plan a `lease` of more than twice the time between two calls.
    """
    with desk_of(app) as desk:
        tick = desk.step(model)
    if tick.rollout is None:
        output.answer({"decided": False, "rollout": None}, lambda _: output.say(f"{model} has no rollout going on."))
        return
    found = {"decided": tick.decided, "rollout": tick.rollout, "judged": tick.judged, "notes": list(tick.notes)}
    output.answer(found, lambda _: Teller()(tick))


@click.command(cls=PedigreeCommand)
@click.option("--period", type=click.FloatRange(0.1, 60), default=0.5, show_default=True, help="Seconds between looks.")
@pass_app
def controller(app: App, period: float) -> None:
    """Drive all rollouts until stopped.

    Several may run for availability: each model is driven by one of them, and another takes over when that one is gone.
    Each needs the config that says where the models are served.
    """
    with desk_of(app) as desk, until_stopped() as stop:
        output.note(f"Looking every {period:g} s at the rollouts of {desk.workspace.registry.url}. Stop with Ctrl-C.")
        desk.run_controller(Teller(), stop.is_set, period=period, sleep=stop.wait)

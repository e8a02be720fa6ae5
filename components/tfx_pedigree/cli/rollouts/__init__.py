"""`pedigree rollout`: a version takes over the traffic step by step, or gives it back."""

from __future__ import annotations

import click

from tfx_pedigree.cli.lazy import Lazy, LazyGroup

_HERE = "tfx_pedigree.cli.rollouts"
SECTIONS = {
    "Set up": {
        "template": Lazy(f"{_HERE}.template:template", "Write the load balancer's configuration for a target."),
    },
    "Order": {
        "start": Lazy(f"{_HERE}.start:start", "Start a canary or a blue-green rollout of a version."),
        "verdict": Lazy(f"{_HERE}.verdict:verdict", "Say whether counts show harm, health, or nothing yet."),
        "simulate": Lazy(
            f"{_HERE}.simulate:simulate", "Tell how long a plan needs to see harm, and how often it errs."
        ),
    },
    "Look": {
        "status": Lazy(f"{_HERE}.status:status", "Show where a rollout stands and what was counted."),
        "watch": Lazy(f"{_HERE}.status:watch", "Show a rollout live until it ends."),
        "list": Lazy(f"{_HERE}.status:list_", "List rollouts and deployments, newest first."),
        "history": Lazy(f"{_HERE}.status:history", "Show every decision of one rollout with its numbers."),
    },
    "Intervene": {
        "pause": Lazy(f"{_HERE}.asking:pause", "Hold a rollout at its step; harm still rolls it back."),
        "resume": Lazy(f"{_HERE}.asking:resume", "Let a paused rollout go on."),
        "advance": Lazy(f"{_HERE}.asking:advance", "Cut the present step short."),
        "abort": Lazy(f"{_HERE}.asking:abort", "Send everything back to the stable version."),
    },
    "Drive": {
        "run": Lazy(f"{_HERE}.driving:run", "Drive one model's rollout until it ends."),
        "step": Lazy(f"{_HERE}.driving:step", "Look once, decide once and drive the traffic."),
        "controller": Lazy(f"{_HERE}.driving:controller", "Drive all rollouts until stopped."),
    },
}


@click.group(cls=LazyGroup, sections=SECTIONS)
def rollout() -> None:
    """Let a version take over the traffic step by step.

    A rollout is ordered with `start` and driven by a controller, which runs anywhere that reaches the registry and the
    load balancer. Where a model is served stands in the section `serving` of a config file.
    """

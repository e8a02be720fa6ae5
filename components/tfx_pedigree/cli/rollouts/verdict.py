"""`pedigree rollout verdict`: the judge alone, for others who move the traffic."""

from __future__ import annotations

from pathlib import Path

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand

# As for a retraining that cannot go on by itself: neither yes nor no.
NOT_KNOWN = 4


@click.command(cls=PedigreeCommand)
@click.option("--share", type=click.FloatRange(0.01, 99.99), required=True, help="The candidate's share in percent.")
@click.option("--candidate", metavar="REQUESTS:FAILED", required=True, help="Since it has this share.")
@click.option("--stable", metavar="REQUESTS:FAILED", required=True, help="In the same time.")
@click.option("--plan", "file", metavar="FILE", help="rollout.yaml, of which the section `judge` counts.")
@click.pass_context
@pass_app
def verdict(
    app: App,
    ctx: click.Context,
    *,
    share: float,
    candidate: str,
    stable: str,
    file: str | None,
) -> None:
    """Say whether counts show harm, health, or nothing yet.

    For Argo Rollouts, Flagger and others who move the traffic themselves: ask as often as you like, with the sums since
    the candidate got its present share. No registry is asked. Exit code 0: healthy; 1: harm; 4: not known yet.
    """
    from tfx_pedigree.rollout import verdict as judging
    from tfx_pedigree.rollout.plan import JudgePlan
    from tfx_pedigree.rollout.spec_file import load_plan

    plan = JudgePlan() if file is None else load_plan(Path(file).expanduser()).judge
    sides = [judging.asked_counts(*one, None) for one in (("candidate", candidate), ("stable", stable))]
    found = judging.verdict_on(plan, round(share * 100), *sides)
    output.answer(found, lambda _: output.say(found.sentence))
    if found.verdict != judging.HEALTHY:
        ctx.exit(exits.FOUND_PROBLEMS if found.verdict == judging.HARM else NOT_KNOWN)

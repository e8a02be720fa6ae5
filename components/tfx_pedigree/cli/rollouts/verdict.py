"""`pedigree rollout verdict`: the judge alone, for others who move the traffic."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.text import listed

if TYPE_CHECKING:
    from tfx_pedigree.rollout.judge import Increment
    from tfx_pedigree.rollout.machine import Judgement

# As for a retraining that cannot go on by itself: neither yes nor no.
NOT_KNOWN = 4
_COUNTS = re.compile(r"(\d{1,15}):(\d{1,15})")


def _counts(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    match = _COUNTS.fullmatch(value.strip())
    if match is None or int(match[2]) > int(match[1]):
        raise click.BadParameter("write it as REQUESTS:FAILED, such as 1200:3.", ctx=ctx, param=param)
    return int(match[1]), int(match[2])


@click.command(cls=PedigreeCommand)
@click.option("--share", type=click.FloatRange(0.01, 99.99), required=True, help="The candidate's share in percent.")
@click.option(
    "--candidate", metavar="REQUESTS:FAILED", required=True, callback=_counts, help="Since it has this share."
)
@click.option("--stable", metavar="REQUESTS:FAILED", required=True, callback=_counts, help="In the same time.")
@click.option("--plan", "file", metavar="FILE", help="rollout.yaml, of which the section `judge` counts.")
@click.pass_context
@pass_app
def verdict(
    app: App,
    ctx: click.Context,
    *,
    share: float,
    candidate: tuple[int, int],
    stable: tuple[int, int],
    file: str | None,
) -> None:
    """Say whether counts show harm, health, or nothing yet.

    For Argo Rollouts, Flagger and others who move the traffic themselves: ask as often as you like, with the sums since
    the candidate got its present share. No registry is asked. Exit code 0: healthy; 1: harm; 4: not known yet.
    """
    from tfx_pedigree.rollout.judge import judge_totals
    from tfx_pedigree.rollout.plan import JudgePlan
    from tfx_pedigree.rollout.spec_file import load_plan

    plan = JudgePlan() if file is None else load_plan(Path(file).expanduser()).judge
    found = judge_totals(plan, _increment(candidate), _increment(stable), round(share * 100))
    word = "harm" if found.harm else "healthy" if found.healthy else "unknown"
    value = {"harm": -1, "unknown": 0, "healthy": 1}[word]
    told = {"verdict": word, "value": value, "harm": found.harm, "waits_for": found.waits_for}
    output.answer(told, lambda _: output.say(_sentence(word, found)))
    if word != "healthy":
        ctx.exit(exits.FOUND_PROBLEMS if word == "harm" else NOT_KNOWN)


def _increment(counts: tuple[int, int]) -> Increment:
    from tfx_pedigree.rollout.judge import Increment

    return Increment(*counts)


def _sentence(word: str, found: Judgement) -> str:
    if word == "harm":
        return f"Harm. {found.harm}"
    return "Healthy." if word == "healthy" else f"Not known yet: it waits for {listed(found.waits_for)}."

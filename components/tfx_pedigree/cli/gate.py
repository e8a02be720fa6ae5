"""`gate`: the gate alone, on numbers in files, and a policy in plain sentences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import exits, inputs, output
from tfx_pedigree.cli.lazy import AnsweringGroup
from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.text import plural

if TYPE_CHECKING:
    from tfx_pedigree.comparison import GateDecision, Policy
    from tfx_pedigree.service.judging.gate import CheckedPolicy, ExplainedPolicy

_FILE = click.Path(path_type=Path)


@click.group(cls=AnsweringGroup, invoke_without_command=True)
@click.option("--policy", type=_FILE, help="The policy; without it the one in the comparison.")
@click.option("--comparison", type=_FILE, help="A comparison.json, as VersionComparator writes it.")
@click.option(
    "--challenger", type=_FILE, help='Metrics of the new model: a JSON file such as {"auc": 0.85}, or a folder of TFMA.'
)
@click.option("--champion", type=_FILE, help="The same of the model to beat; without it this is a first version.")
@click.pass_context
def gate(
    ctx: click.Context, *, policy: Path | None, comparison: Path | None, challenger: Path | None, champion: Path | None
) -> None:
    """Ask the gate about numbers in files, or what a policy demands.

    Decides on a comparison, on two files of metrics, or on folders in which TFMA's Evaluator wrote its results: one
    that has the baseline as well, or one of each model on the same rows. `explain` tells a policy in sentences. Needs
    no registry. Ends with exit code 0 for PASS and 1 for FAIL and INSUFFICIENT. One of the files may be - for standard
    input.

    \b
      pedigree gate --policy policy.yaml --challenger new.json --champion old.json
      pedigree gate --comparison comparison.json
    """
    from tfx_pedigree.comparison import Comparison, decide_again

    if ctx.invoked_subcommand is not None:
        return
    if (comparison is None) is (challenger is None) or (comparison is not None and champion is not None):
        raise click.UsageError(
            "Give --comparison, or --challenger with --champion; or a command: explain or check.", ctx
        )
    rules = _policy(policy) if policy else None
    if comparison is not None:
        found = Comparison.from_json(inputs.read_json(comparison, "comparison"), str(comparison))
        decision = decide_again(found, rules)
    else:
        if rules is None:
            raise click.UsageError("--challenger needs a --policy.", ctx)
        decision = _judged(rules, challenger, champion)
    output.answer(decision, _tell)
    if decision.verdict.value != "PASS":
        ctx.exit(exits.FOUND_PROBLEMS)


def _judged(rules: Policy, challenger: Path | None, champion: Path | None) -> GateDecision:
    from tfx_pedigree.service.judging.gate import by_values
    from tfx_pedigree.service.judging.gate_evaluations import by_evaluations

    folders = {one.is_dir() for one in (challenger, champion) if one is not None}
    if folders == {True} and challenger is not None:
        return by_evaluations(rules, challenger, champion)
    if True in folders:
        raise click.UsageError("Give --challenger and --champion alike: two files of metrics, or two folders of TFMA.")
    return by_values(rules, inputs.metrics((), challenger), inputs.metrics((), champion) if champion else None)


def _tell(decision: GateDecision) -> None:
    output.say(f"{decision.verdict.value}: {decision.reason}")
    if decision.checks:
        table = output.table("Check…", "outcome", "what it says…")
        for one in decision.checks:
            table.add_row(*output.cells([one.name, one.outcome.value, one.sentence]))
        output.show("", table)
    for warning in decision.warnings:
        output.say(f"Warning: {warning}")


@gate.command("explain")
@click.argument("policy", type=_FILE)
@click.option("--examples", type=click.IntRange(1, 10**9), default=10_000, show_default=True, help="In the evaluation.")
@click.option("--score", type=float, help="The champion's true score.  [default: 0.8, or 0.4 where lower is better]")
@click.option(
    "--correlation", type=click.FloatRange(0, 0.9999), help="Of both models' errors on the same rows.  [default: 0.8]"
)
def explain(*, policy: Path, examples: int, score: float | None, correlation: float | None) -> None:
    """Say in sentences what a policy demands, and by simulation how often chance alone would pass."""
    from tfx_pedigree.comparison import parse_policy
    from tfx_pedigree.retraining.rules_file import parse_rules
    from tfx_pedigree.service.judging.gate import explain_policy

    text = inputs.read_text(policy, "policy")
    rules = parse_rules(text, str(policy))
    explained = explain_policy(parse_policy(text, str(policy)), examples, score, correlation, rules)
    output.answer(explained, _tell_explained)


@gate.command("check")
@click.argument("policies", type=_FILE, nargs=-1, required=True, metavar="POLICY...")
@click.pass_context
def check(ctx: click.Context, policies: tuple[Path, ...]) -> None:
    """Read policies, and refuse those that could not be used.

    Each is read, whatever is wrong with others. Made for pre-commit, which gives the files that changed.
    """
    checked = [_checked(file) for file in dict.fromkeys(policies)]
    output.answer(checked, _tell_checked)
    if any(one.problem for one in checked):
        ctx.exit(exits.FOUND_PROBLEMS)


def _checked(file: Path) -> CheckedPolicy:
    from tfx_pedigree.service.judging.gate import CheckedPolicy, check_policy

    try:
        text = inputs.read_text(file, "policy")
    except PedigreeError as error:
        return CheckedPolicy(str(file), str(error))
    return check_policy(text, str(file))


def _tell_checked(checked: list[CheckedPolicy]) -> None:
    for one in checked:
        if one.problem:
            output.say(one.problem)
        for warning in one.warnings:
            output.say(f"Warning: {warning}")
    fine = sum(one.problem is None for one in checked)
    output.done(f"{plural(fine, 'policy', 'policies')} can be used.")


def _tell_explained(found: ExplainedPolicy) -> None:
    for sentence in found.sentences:
        output.say(sentence)
    for warning in found.warnings:
        output.say(f"Warning: {warning}")


def _policy(file: Path) -> Policy:
    from tfx_pedigree.comparison import parse_policy

    return parse_policy(inputs.read_text(file, "policy"), str(file))

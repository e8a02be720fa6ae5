"""`promote`, `rollback`, `archive`, `restore`: which version serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import changes, exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.complete import model_names, references
from tfx_pedigree.cli.inputs import not_blank, reason_option
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.progress import bar

if TYPE_CHECKING:
    from tfx_pedigree.registry import PromotionPreview, PromotionRequest, VersionChange

_PLACES = {"production": "champion", "staging": "in staging"}
_EXPECT = click.option(
    "--expect",
    metavar="VERSION|none",
    callback=not_blank,
    help="Refuse unless this is the champion now; none: unless there is no champion.",
)


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.option("--to", "target", type=click.Choice(["staging", "production"]), default="production", show_default=True)
@_EXPECT
@click.option("--override", is_flag=True, help="Promote although the gate refused it; needs --reason.")
@reason_option(required=False)
@click.option("--no-verify", is_flag=True, help="Do not check the stored files first.")
@click.option("--dry-run", is_flag=True, help="Only tell what would happen, and what stands in the way.")
@click.option("--deploy", "deploy_to", metavar="TARGET", help="Also bring the traffic of this target to it, at once.")
@click.pass_context
@pass_app
def promote(
    app: App,
    ctx: click.Context,
    *,
    ref: str,
    target: str,
    expect: str | None,
    override: bool,
    reason: str | None,
    no_verify: bool,
    dry_run: bool,
    deploy_to: str | None,
) -> None:
    """Bring a version to staging or production.

    Its stored files are checked first. A version that goes to production replaces the champion. It is refused if
    the champion has changed since the evaluation, or is not the one that --expect names.

    With --dry-run nothing is changed or recorded, and the stored files are not checked. Exit code 1 means that the
    promotion would be refused.

    With --deploy the promotion and the order to bring the traffic to it are one decision. For a canary use
    `pedigree rollout start`.

    \b
      pedigree promote flight-delay@1.1.0 --expect 1.0.0
      pedigree promote flight-delay@latest --to staging
      pedigree promote flight-delay@1.1.0 --dry-run
    """
    from tfx_pedigree.registry import PromotionRequest, State
    from tfx_pedigree.service import promotion as use_cases

    request = PromotionRequest(State(target), expect, override, reason)
    place = _PLACES[target]
    if dry_run:
        with app.open().registry as registry:
            preview = registry.preview_promotion(ref, request)
        output.answer({"dry_run": True, **preview.to_json()}, lambda _: _tell(preview, place))
        if not preview.allowed:
            ctx.exit(exits.FOUND_PROBLEMS)
        return
    if deploy_to is not None:
        _promote_and_deploy(app, ctx, ref, request, deploy_to, verify=not no_verify)
        return
    with app.open() as workspace, bar(f"Checking {ref}") as progress:
        change = use_cases.promote(workspace, ref, request, verify=not no_verify, progress=progress)
    version, replaced = change.version, change.replaced
    changes.answer(
        change,
        done=f"{version.name} is {place} now{_replacing(change)}.",
        already=f"{version.name} is {place} already",
        replaced=replaced,
    )
    if not change.changed:
        return
    if request.target is State.STAGING:
        output.next_step("promote", changes.reference(version))
    elif replaced:
        output.next_step("rollback", version.model, "--reason", "WHY", label="To undo it")
    else:
        output.next_step("history", version.model)


def _promote_and_deploy(
    app: App, ctx: click.Context, ref: str, request: PromotionRequest, target: str, *, verify: bool
) -> None:
    from tfx_pedigree.cli.rollouts.common import desk_of
    from tfx_pedigree.cli.serving import finish

    with desk_of(app) as desk:
        with bar(f"Checking {ref}") as progress:
            followed = desk.promote(ref, request, target, verify=verify, progress=progress)
        finish(desk, ctx, followed)


def _tell(preview: PromotionPreview, place: str) -> None:
    name = preview.version.name
    if not preview.allowed:
        output.say(f"{name} would be refused.")
    elif not preview.changes:
        output.say(f"{name} is {place} already; nothing would change.")
    else:
        output.say(f"{name} would be {place}{f'; it would replace {preview.replaces}' if preview.replaces else ''}.")
    for check in preview.checks:
        output.say(f"{check.name}{'' if check.passed else ' (refuses)'}: {check.detail}", indent=2)


def _replacing(change: VersionChange) -> str:
    return f"; it replaces {change.replaced}" if change.replaced else ""


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@reason_option(required=True)
@click.option("--to", "number", metavar="VERSION", help="Go back to this former champion instead of the previous one.")
@_EXPECT
@click.option("--deploy", "deploy_to", metavar="TARGET", help="Which target's traffic goes back with it.")
@click.option(
    "--registry-only", is_flag=True, help="Leave the traffic alone, though the config says where it is served."
)
@click.pass_context
@pass_app
def rollback(
    app: App,
    ctx: click.Context,
    *,
    model: str,
    reason: str,
    number: str | None,
    expect: str | None,
    deploy_to: str | None,
    registry_only: bool,
) -> None:
    """Make the previous champion serve again.

    Each call goes back by one champion. In a script that may run twice, give --to or --expect.

    Where the config says where the model is served, registry and traffic go back as one decision. It is finished after
    any crash: by `pedigree deploy`, or by a controller. A rollout that is going on ends with it.

    \b
      pedigree rollback flight-delay --reason "p95 latency doubled"
      pedigree rollback flight-delay --to 1.0.0 --reason "p95 latency doubled"
    """
    if deploy_to is not None or not registry_only:
        from tfx_pedigree.cli.rollouts.common import desk_of
        from tfx_pedigree.cli.serving import finish

        with desk_of(app) as desk:
            if deploy_to is not None or desk.is_served(model):
                followed = desk.roll_back(model, reason=reason, to=number, expect=expect, target=deploy_to)
                finish(desk, ctx, followed)
                return
    with app.open().registry as registry:
        change = registry.rollback(model, reason=reason, to=number, expect=expect)
    version = change.version
    changes.answer(
        change,
        done=f"{version.name} is champion again{_replacing(change)}.",
        already=f"{version.name} is champion already",
        replaced=change.replaced,
    )
    if change.changed:
        output.next_step("verify", changes.reference(version))


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@reason_option(required=True)
@pass_app
def archive(app: App, ref: str, reason: str) -> None:
    """Take a version out of use.

    Neither a promotion nor a rollback brings it back until it is restored. Its files stay in the store. If it is the
    champion, its model then has none.
    """
    with app.open().registry as registry:
        change = registry.archive(ref, reason=reason)
    version = change.version
    was_champion = change.before is not None and change.before.state.value == "production"
    changes.answer(
        change,
        done=f"{version.name} is archived{f'; {version.model} has no champion now' if was_champion else ''}.",
        already=f"{version.name} is archived already",
    )
    if change.changed:
        output.next_step("restore", changes.reference(version), label="To undo it")


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@reason_option(required=False)
@pass_app
def restore(app: App, ref: str, reason: str | None) -> None:
    """Take an archived version back into use.

    It returns to development and can be promoted again.
    """
    with app.open().registry as registry:
        change = registry.restore(ref, reason=reason)
    version = change.version
    changes.answer(
        change,
        done=f"{version.name} is in {version.state} again.",
        already=f"{version.name} is in {version.state} already",
    )
    if change.changed and version.state.value == "development":
        output.next_step("promote", changes.reference(version))

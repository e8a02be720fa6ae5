"""`protect`, `request`, `approve`, `reject`, `requests`: a new champion that several people must want."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.columns import Column, Columns, Shown
from tfx_pedigree.cli.complete import model_names, references
from tfx_pedigree.cli.inputs import paging, reason_option
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.text import plural

if TYPE_CHECKING:
    from tfx_pedigree.registry import ApprovalRequest, Protection, RequestChange

_NUMBER = click.argument("number", type=click.IntRange(1, 2**31 - 1))
_COMMENT = click.option("--comment", metavar="TEXT", help="What the others should know; recorded in the audit log.")


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@click.option("--approvals", type=click.IntRange(1, 20), help="So many people must approve a new champion.")
@click.option("--from", "approvers", metavar="ROLE|group:NAME", help="Who may approve; reviewer if not said.")
@click.option("--off", is_flag=True, help="Protect the model no longer; needs --reason.")
@reason_option(required=False)
@pass_app
def protect(
    app: App, *, model: str, approvals: int | None, approvers: str | None, off: bool, reason: str | None
) -> None:
    """Let versions of a model become champion only when enough people approve.

    Without an option it is only shown how the model is protected. Whoever files a request never approves it. Going
    back to a former champion needs no approval. An admin may promote with --override --reason; the log says so.
    """
    if off and (approvals or approvers):
        raise click.UsageError("--off takes the protection away, so it goes with no other option than --reason.")
    if off and not reason:
        raise click.UsageError("--off needs --reason, which stands in the audit log.")
    if approvers and not approvals:
        raise click.UsageError("--from needs --approvals, which says how many must approve.")
    with app.open().registry as registry:
        if off:
            change = registry.unprotect(model, reason=reason or "")
        elif approvals is not None:
            change = registry.protect(model, approvals, approvers or "reviewer")
        else:
            found = registry.protection(model)
            output.answer({"model": model, "protection": found}, lambda _: output.say(_protected(model, found)))
            return
    now = f"{_protected(model, change.protection)}{'' if change.changed else ' Nothing changed.'}"
    answer = {"changed": change.changed, "model": model, "protection": change.protection, "before": change.before}
    output.answer(answer, lambda _: output.done(now))


def _protected(model: str, found: Protection | None) -> str:
    if found is None:
        return f"{model} is not protected: whoever may promote needs no approval."
    return f"{model} is protected: a new champion needs {_needs(found.approvals, found.approvers)}."


def _needs(count: int, approvers: str | None) -> str:
    group = (approvers or "").removeprefix("group:")
    whom = f"in the group {group}" if group != approvers else f"with the role {approvers} or a higher one"
    return f"the approval of {plural(count, 'person', 'people')} {whom}"


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@_COMMENT
@click.option("--days", type=click.IntRange(1, 90), default=7, show_default=True, help="How long it may wait.")
@pass_app
def request(app: App, ref: str, comment: str | None, days: int) -> None:
    """Ask for the approvals that a version needs to become champion.

    The request holds the version's bytes, its newest evidence and the champion that it would replace. When one of
    them changes, it is void.
    """
    with app.open().registry as registry:
        change = registry.request_promotion(ref, comment=comment, days=days)
    found = change.request
    state = "waits" if change.changed else "waits already; nothing changed"
    needs = _needs(found.needed, found.approvers)
    output.answer(change, lambda _: output.done(f"{_named(found)} {state}. It needs {needs}."))
    output.next_step("approve", found.model, str(found.number), label="For those who may approve")


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@_NUMBER
@_COMMENT
@click.option("--promote", "promoting", is_flag=True, help="And promote the version, if this was the last approval.")
@pass_app
def approve(app: App, *, model: str, number: int, comment: str | None, promoting: bool) -> None:
    """Approve a request to promote.

    NUMBER is that of the request. Those whom the model's protection names can approve, but never who filed the request.
    """
    from tfx_pedigree.service.promotion import approve as use_case

    with app.open() as workspace:
        done = use_case(workspace, model, number, comment=comment, promoting=promoting)
    found = done.change.request
    answer = {**done.change.to_json(), "promoted": done.promoted}
    told = f"{_named(found)}: {found.detail}." if found.detail else f"{_named(found)} is {found.status}."
    if not done.change.changed:
        told = f"You have approved this already. {told}"
    if done.promoted is not None:
        told = f"{told} {done.promoted.version.name} is champion now."
    output.answer(answer, lambda _: output.done(told))
    if done.promoted is None and found.status.value == "approved":
        output.next_step("promote", f"{found.model}@{found.version}")


@click.command(cls=PedigreeCommand)
@click.argument("model", shell_complete=model_names)
@_NUMBER
@reason_option(required=True)
@pass_app
def reject(app: App, model: str, number: int, reason: str) -> None:
    """Close a request to promote, or take back your own.

    NUMBER is that of the request.
    """
    with app.open().registry as registry:
        change = registry.reject(model, number, reason=reason)
    _tell_closed(change)


def _tell_closed(change: RequestChange) -> None:
    found = change.request
    already = "" if change.changed else " already; nothing changed"
    output.answer(change, lambda _: output.done(f"{_named(found)} is {found.status}{already}."))


_COLUMNS: Columns[ApprovalRequest] = Columns(
    {
        "model": Column(lambda one: one.model),
        "number": Column(lambda one: one.number, "number>"),
        "version": Column(lambda one: one.version),
        "replaces": Column(lambda one: one.replaces),
        "status": Column(lambda one: one.status),
        "approved": Column(lambda one: f"{len(one.approvals)} of {one.needed}"),
        "by": Column(lambda one: one.requested_by, "by…"),
        "asked": Column(lambda one: output.when(one.requested_at), "asked (UTC)"),
        "expires": Column(lambda one: output.when(one.expires_at), "expires (UTC)", Shown.WIDE),
        "comment": Column(lambda one: one.comment, "comment…", Shown.FILLED),
        "approvers": Column(lambda one: ", ".join(given.by for given in one.approvals), "approvers…", Shown.ASKED),
        "why": Column(lambda one: one.detail, "why…", Shown.ASKED),
    }
)


@click.command(cls=PedigreeCommand)
@click.argument("model", required=False, shell_complete=model_names)
@click.option("--all", "closed", is_flag=True, help="Also those that are over.")
@_COLUMNS.option
@paging
@pass_app
def requests(
    app: App, *, model: str | None, closed: bool, columns: list[str] | None, limit: int, after: str | None
) -> None:
    """List requests to promote that wait for approvals.

    Newest first, of one model or of all. A request is void when its version, its evidence, the champion or the
    protection of the model has changed; `--all` shows these, too.
    """
    with app.open().registry as registry:
        page = registry.approval_requests(model, only_open=not closed, limit=limit, after=after)
    words = ("requests", *([model] if model else []), *(["--all"] if closed else []), "--limit", str(limit))
    _COLUMNS.answer(page, columns, words=words, nothing="There is no request." if closed else "No request waits.")


def _named(found: ApprovalRequest) -> str:
    return f"Request {found.number} to promote {found.model} {found.version}"

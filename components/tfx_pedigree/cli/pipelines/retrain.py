"""`pipeline retrain`: asks whether there is a reason to train again, and runs or submits the pipeline if there is.

Made for cron and systemd timers: it may be called at any time and any number of times.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import exits, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.pipelines import remote
from tfx_pedigree.cli.pipelines.run import check_tfx, order_of
from tfx_pedigree.cli.pipelines.training import Job, Ran, hold, run_one, stop_at
from tfx_pedigree.errors import ConflictError, InvalidInputError, PedigreeError, UnavailableError

if TYPE_CHECKING:
    from tfx_pedigree.registry import Registry
    from tfx_pedigree.retraining.decision import Decision, Situation
    from tfx_pedigree.retraining.drift import Measured
    from tfx_pedigree.retraining.session import Session

_MEASURE = "tfx_pedigree.tfx_runner.measure_drift"


@click.command("retrain", cls=PedigreeCommand)
@click.option("--dry-run", is_flag=True, help="Tell the reasons and the spans, and do nothing.")
@click.option("--force", metavar="REASON", help="Run also without a reason; yours stands in the audit log.")
@pass_app
@click.pass_context
def retrain(ctx: click.Context, app: App, dry_run: bool, force: str | None) -> None:
    """Train again if there is a reason.

    A reason is a span that no version was trained on, drift, or the champion's age, as the policy's section
    `retraining` says, or --force. Missed spans are caught up one by one, oldest first.

    Exit code 0: done, nothing to do, or another run is at it. 1: a run failed; the next call tries it again. 4: it has
    failed too often, and somebody must look.
    """
    from tfx_pedigree.retraining.lock import BusyError

    if force is not None and not force.strip():
        raise InvalidInputError("--force needs a reason in words; it stands in the audit log.")
    job = Job.of(app, "retrain")
    if dry_run:
        _tell_plan(app, job, force)
        return
    try:
        # The registry first: a lock makes its folder, and an address with a slip in it must not leave one behind.
        with app.open() as registry, hold(app, job, "retrain") as lock:
            _catch_up(ctx, app, job, force, registry=registry, lock=lock)
    except BusyError as busy:
        if app.json:
            output.emit({"outcome": "busy", "message": str(busy), "runs": []})
        else:
            output.say(str(busy))


def _catch_up(ctx: click.Context, app: App, job: Job, force: str | None, *, registry: Registry, lock: int) -> None:
    """Decides anew before each run: the one before may have changed the champion, and new data may have come."""
    from tfx_pedigree.retraining.session import Session

    ran: list[Ran] = []
    drift: list[Measured] = []
    session = Session(registry, job.model, clock=app.clock)
    while True:
        situation = session.look(job.pattern)
        if not force and _settled(app, job, session, situation):
            continue
        decision, measured = _decided(app, job, situation, force, lock)
        drift += [measured] if measured else []
        if not decision.runs:
            break
        ran.append(run_one(app, job, session, decision.runs[0], situation=situation, lock=lock))
        force = None
        if ran[-1].code:
            break
    _possible(job, decision, force)
    if not ran and not decision.stuck:
        session.nothing(decision, situation)
    outcome = "failed" if ran and ran[-1].code else "ran" if ran else "stuck" if decision.stuck else "nothing"
    if app.json:
        told = {"drift": [one.to_json() for one in drift], "runs": [one.to_json() for one in ran]}
        output.emit({"outcome": outcome, **_plan(decision), **told})
    if outcome == "failed":
        stop_at(ctx, job, ran[-1])
    if decision.stuck:
        _tell_stuck(ctx, app, job, decision.stuck)
    elif not app.json and not ran:
        _tell_quiet(job, decision)


def _possible(job: Job, decision: Decision, force: str | None) -> None:
    """Whoever forces a run must not take it for done when there is nothing to run on."""
    if force and not decision.runs:
        raise ConflictError(f"{job.model} cannot be trained: {'; '.join(decision.quiet)}. Call again when it is whole.")


def _settled(app: App, job: Job, session: Session, situation: Situation) -> bool:
    """Notes how a submitted run ended, if the service knows; then the situation is another one."""
    submitted = situation.ledger.submitted
    if job.service is None or submitted is None or submitted.run is None:
        return False
    ended = remote.ended(app, submitted.run, str(submitted.details.get("pipeline")))
    if ended is not None:
        session.settle(submitted, ended.well, ended.text)
    return ended is not None


def _decided(
    app: App, job: Job, situation: Situation, force: str | None, lock: int
) -> tuple[Decision, Measured | None]:
    """And what was measured for it."""
    from tfx_pedigree.retraining.decision import decide

    decision = decide(situation, job.rules, force=force)
    if decision.measure is None:
        return decision, None
    try:
        measured = _measured(app, job, situation, decision.measure, lock)
    except PedigreeError as error:
        # Where something else is a reason already, a distance that cannot be told must not stop it.
        if not decision.runs:
            raise
        output.note(str(error))
        return decision, None
    return decide(situation, job.rules, force=force, measured=measured), measured


def _measured(app: App, job: Job, situation: Situation, span: int, lock: int) -> Measured:
    """In a process of its own: TFDV loads TensorFlow."""
    from tfx_pedigree.retraining.drift import Measured

    check_tfx()
    champion = situation.champion
    assert champion is not None  # noqa: S101  without a champion there is nothing to measure from
    if not app.json:
        output.note(f"Measuring the drift of span {span} from the data of {job.model} {champion.version}.")
    sides = {"champion": {"digest": champion.digest, "spans": list(champion.spans)}, "span": span}
    order = {**order_of(app, job.config, None), **sides}
    done = subprocess.run(
        [sys.executable, "-m", _MEASURE],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        pass_fds=(lock,),
    )
    if done.returncode:
        raise UnavailableError(f"The drift of span {span} was not measured. All that was said is in {job.config.log}.")
    return Measured.from_json(json.loads(done.stdout))


def _tell_plan(app: App, job: Job, force: str | None) -> None:
    from tfx_pedigree.retraining.decision import decide
    from tfx_pedigree.retraining.session import Session

    with app.open() as registry:
        situation = Session(registry, job.model, clock=app.clock).look(job.pattern)
    decision = decide(situation, job.rules, force=force)
    _possible(job, decision, force)
    if app.json:
        output.emit({"outcome": "dry-run", **_plan(decision), "runs": []})
        return
    for planned in decision.runs:
        output.say(f"{job.model} would be trained on span {planned.span}: {planned.text}.")
    if decision.measure is not None:
        output.say(f"The drift of span {decision.measure} would be measured.")
    if decision.runs or decision.measure is not None:
        for line in decision.quiet:
            output.note(f"{line[0].upper()}{line[1:]}.")
    if decision.stuck:
        output.say(f"{job.model} would not be trained: {decision.stuck}.")
    elif not decision.runs and decision.measure is None:
        _tell_quiet(job, decision)


def _plan(decision: Decision) -> dict[str, Any]:
    return {
        "planned": [
            {"span": one.span, "reasons": [reason.to_json() for reason in one.reasons]} for one in decision.runs
        ],
        "quiet": list(decision.quiet),
        "measure": decision.measure,
        "stuck": decision.stuck,
    }


def _tell_quiet(job: Job, decision: Decision) -> None:
    output.say(f"There is no reason to train {job.model} again.")
    for line in decision.quiet:
        output.say(f"{line}.", indent=2)


def _tell_stuck(ctx: click.Context, app: App, job: Job, stuck: str) -> None:
    text = (
        f"{job.model} is not trained: {stuck}. See {job.config.log}, mend what is wrong, and call with --force REASON."
    )
    if app.json:
        ctx.exit(exits.outcome_of(ConflictError(text)).code)
    raise ConflictError(text)

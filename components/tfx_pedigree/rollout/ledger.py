"""The ledger: rollouts in the registry's own database, under the registry's own lock.

A decision is one transaction: the phase, the wanted shares, the champion in the registry and the event that tells of
all of it are there together or not at all. Only then is any traffic moved, by whoever holds the lease.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.db import schema
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, StaleEvidenceError
from tfx_pedigree.json_form import read, to_json
from tfx_pedigree.registry import (
    LARGEST_PAGE,
    Action,
    PromotionRequest,
    Reference,
    Registry,
    Verdict,
    Version,
    leases,
    promotion,
    reading,
    registration,
    stored,
)
from tfx_pedigree.registry.leases import Lease
from tfx_pedigree.registry.stored import StoredVersion
from tfx_pedigree.registry.write import Write
from tfx_pedigree.rollout import machine
from tfx_pedigree.rollout.api import Asked, Followed, RolloutApi, RolloutStatus
from tfx_pedigree.rollout.finding import finding
from tfx_pedigree.rollout.machine import Decision, RegistryMove
from tfx_pedigree.rollout.plan import DEPLOY, JudgePlan, Plan, checked
from tfx_pedigree.rollout.prometheus import PrometheusMetrics
from tfx_pedigree.rollout.state import Ask, Rollout, RolloutOrder, RolloutState
from tfx_pedigree.rollout.traffic.api import FencedError, ServedVersion
from tfx_pedigree.rollout.verdict import HARM, HEALTHY, UNKNOWN, CountsVerdict, asked_counts, points_of, verdict_on
from tfx_pedigree.rollout.watch import Watch
from tfx_pedigree.secrets import clean_text
from tfx_pedigree.text import listed, plain

_R, _M, _V, _T = schema.rollouts.c, schema.models.c, schema.model_versions.c, schema.rollout_tallies.c
_ROWS = (
    sa.select(schema.rollouts, _M.name.label("model"))
    .join_from(schema.rollouts, schema.models, _M.id == _R.model_id)
    .order_by(_R.id.desc())
)


_NEEDED, _QUERIES = {"share", "candidate", "stable"}, {"requests", "failed"}


class ChangedMeanwhileError(ConflictError):
    """Somebody decided about this rollout since it was looked at."""


class Ledger(RolloutApi):
    """The rollouts of one registry, for the actor who opened it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._transactions = registry.transactions

    def now(self) -> datetime:
        return self._transactions.clock()

    # Questions

    def current(self, model: str) -> Rollout | None:
        """The one that has not ended."""
        with self._transactions.reading(model) as connection:
            return _open(connection, model)

    def newest(self, model: str) -> Rollout:
        with self._transactions.reading(model) as connection:
            reading.find_model(connection, model)
            row = connection.execute(_ROWS.where(_M.name == model).limit(1)).mappings().one_or_none()
        if row is None:
            raise NotFoundError(
                f"{model} has had no rollout yet. Start one with `pedigree rollout start {model}@VERSION`."
            )
        return _rollout(row)

    def get(self, model: str, number: int) -> Rollout:
        with self._transactions.reading(model) as connection:
            reading.find_model(connection, model)
            row = connection.execute(_ROWS.where(_M.name == model, _R.number == number)).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"{model} has no rollout {number}. See `pedigree rollout list {model}`.")
        return _rollout(row)

    def rollouts(self, model: str | None = None, *, only_open: bool = False, limit: int = 50) -> tuple[Rollout, ...]:
        query = _ROWS.limit(limit)
        if model is not None:
            query = query.where(_M.name == model)
        if only_open:
            query = query.where(_R.closed_at.is_(None))
        with self._transactions.reading(model) as connection:
            if model is not None:
                reading.find_model(connection, model)
            return tuple(_rollout(row) for row in connection.execute(query).mappings())

    def rollout(self, model: str, number: int | None = None) -> RolloutStatus:
        rollout = self.newest(model) if number is None else self.get(model, number)
        saved = self.tally_text(rollout)
        watch = Watch.restored(rollout, saved) if saved is not None else None
        return RolloutStatus(rollout, watch, self.holder(model), self.now())

    def champion(self, model: str) -> ServedVersion | None:
        with self._transactions.reading(model) as connection:
            newest = reading.one_period(reading.NEWEST_PERIOD.rows(connection, model=model))
            if newest is None or newest.champion is None:
                return None
            return served(reading.version_of(connection, model, newest.version_id).version)

    def verdict(
        self,
        model: str,
        share: str,
        candidate: str,
        stable: str,
        *,
        requests: str | None = None,
        failed: str | None = None,
    ) -> CountsVerdict:
        self.registry.require(Action.READ, model)
        if (requests is None) != (failed is None):
            raise InvalidInputError("Give both queries, `requests` and `failed`, or none of them.")
        ask = None
        if requests is not None and failed is not None:
            # Who may say what was measured may have it asked for.
            self.registry.require(Action.ATTACH_EVIDENCE, model)
            queries, metrics = (requests, failed), PrometheusMetrics(os.environ)
            ask = lambda number: metrics.counts(queries, served(self.registry.get(Reference(model, number))))  # noqa: E731
        sides = [asked_counts(*one, ask) for one in (("candidate", candidate), ("stable", stable))]
        return verdict_on(JudgePlan(), points_of(share), *sides)

    def verdict_hook(
        self,
        model: str,
        metadata: Mapping[str, str],
        *,
        name: str | None = None,
        namespace: str | None = None,
        phase: str | None = None,
        checksum: str | None = None,
    ) -> CountsVerdict:
        given = dict(metadata)
        until = given.pop("until", None)
        if until not in (None, HEALTHY):
            raise InvalidInputError(f"The metadata's `until` must be {HEALTHY}, or left out.")
        wrong = sorted(_NEEDED - given.keys()) or sorted(given.keys() - _NEEDED - _QUERIES)
        if wrong:
            raise InvalidInputError(
                f"The hook's metadata must have {listed(sorted(_NEEDED))}, and may have {listed(sorted(_QUERIES))} and "
                f"until: look at `{plain(wrong[0], 40)}`."
            )
        found = self.verdict(model, **given)
        if found.verdict == HARM or (found.verdict == UNKNOWN and until == HEALTHY):
            raise ConflictError(found.sentence)
        return found

    # Orders

    def start_rollout(self, model: str, version: str, target: str, plan: Plan, request: PromotionRequest) -> Rollout:
        plan, target = checked(plan, "the plan"), _target(target)
        with self._transactions.changing(model, Action.ROLL_OUT) as write:
            write.require(request.action)
            facts = promotion.facts_of(write.connection, Reference(model, version), write.now)
            found = facts.found
            if facts.newest is None or facts.champion is None:
                raise ConflictError(
                    f"{model} has no champion that could be compared with. Promote this version with `pedigree promote "
                    f"{model}@{version}`, then `pedigree deploy {model}`."
                )
            stable = reading.version_of(write.connection, model, facts.newest.version_id)
            reason = request.reason and clean_text(request.reason)
            order = RolloutOrder(target, plan, served(stable.version), served(found.version), request.override, reason)
            if not promotion.would_change(write, facts, _request(order, request)):
                raise ConflictError(f"{found.version.name} is the champion already. Use `pedigree deploy {model}`.")
            _refuse_second(write, model)
            return _insert(write, found, order)

    def deploy(
        self, model: str, target: str, stable: ServedVersion | None = None, reason: str | None = None
    ) -> Rollout:
        with self._transactions.changing(model, Action.ROLL_OUT) as write:
            found = reading.resolve(write.connection, Reference(model, "champion"))
            return _follow(write, found, target, stable, reason)

    def promote_and_deploy(
        self, reference: str | Reference, request: PromotionRequest, target: str, stable: ServedVersion | None = None
    ) -> Followed:
        reference = Reference.of(reference)
        with self._transactions.changing(reference.model, Action.ROLL_OUT) as write:
            write.require(request.action)
            found = reading.resolve(write.connection, reference)
            moved = _promote(write, found, request)
            deployment = _follow(write, found, target, stable, request.reason)
            return Followed(moved.found.version, moved.replaced, moved.found != found, deployment)

    def roll_back(
        self,
        model: str,
        target: str,
        stable: ServedVersion | None = None,
        *,
        reason: str,
        to: str | None = None,
        expect: str | None = None,
    ) -> Followed:
        with self._transactions.changing(model, Action.ROLLBACK) as write:
            write.require(Action.ROLL_OUT)
            way = promotion.rollback_target(write, model, to)
            moved = promotion.rollback(write, model, way, to=to, expect=expect, reason=reason)
            deployment = _follow(write, moved.found, target, stable, reason)
            return Followed(moved.found.version, moved.replaced, moved.found != way.target, deployment)

    def ask(self, model: str, ask: Ask, reason: str) -> Asked:
        with self._transactions.changing(model, Action.ROLL_OUT) as write:
            rollout = _open(write.connection, model)
            if rollout is None:
                raise NotFoundError(
                    f"{model} has no rollout that is going on, so there is nothing to {ask}. "
                    f"See `pedigree rollout list {model}`."
                )
            decision = machine.asked(rollout, ask, clean_text(reason), write.now)
            if decision is None:
                return Asked(rollout, False)
            return Asked(_decide(write, rollout, decision, {"asked": str(ask)}), True)

    # Decisions of the controller

    def decide(self, rollout: Rollout, decision: Decision, numbers: Mapping[str, Any], lease: Lease) -> Rollout:
        """Refused where the rollout is not the one that was looked at, and where the lease was lost."""
        with self._transactions.changing(rollout.model, Action.ROLL_OUT) as write:
            if not leases.is_held(write.connection, lease, write.now):
                raise FencedError(f"Another controller has taken over {rollout.name}. Nothing was decided.")
            now = _open(write.connection, rollout.model)
            if now is None or (now.number, now.state.revision) != (rollout.number, rollout.state.revision):
                raise ChangedMeanwhileError(f"{rollout.name} was changed since it was looked at. Nothing was decided.")
            return _decide(write, rollout, decision, numbers)

    def hold(self, model: str, holder: str, seconds: float, above: int = 0) -> Lease | None:
        database, name = self._transactions.database, f"rollout/{model}"
        return leases.hold(database, name, holder, seconds=seconds, now=self.now(), above=above)

    def release(self, lease: Lease) -> None:
        leases.release(self._transactions.database, lease)

    def holder(self, model: str) -> str | None:
        with self._transactions.reading(model) as connection:
            return leases.holder_of(connection, f"rollout/{model}", self.now())

    # What was counted so far

    def tally_text(self, rollout: Rollout) -> Any:
        """As it was saved; None where nothing was, or where it cannot be read: then counting begins anew."""
        query = sa.select(_T.content).where(_T.rollout_id == _id_of(rollout))
        with self._transactions.reading(rollout.model) as connection:
            text = connection.execute(query).scalar_one_or_none()
        try:
            return None if text is None else parse_json(text, "what was counted")
        except InvalidInputError:
            return None

    def save_tally(self, rollout: Rollout, tally: Any) -> None:
        values = {"content": canonical_json(tally).decode(), "saved_at": self.now()}
        with self._transactions.database.writing() as connection:
            key = connection.execute(sa.select(_id_of(rollout))).scalar_one_or_none()
            if key is None:
                return
            update = schema.rollout_tallies.update().where(_T.rollout_id == key).values(**values)
            if connection.execute(update).rowcount == 0:
                connection.execute(schema.rollout_tallies.insert().values(rollout_id=key, **values))


def served(version: Version) -> ServedVersion:
    return ServedVersion(version.model, version.digest, version.version, version.sequence)


def _target(name: str) -> str:
    """It is shown in many places, and may come from afar."""
    if not name.strip() or plain(name, 100) != name:
        raise InvalidInputError(
            f"The target {plain(name, 60)!r} is no name of one: it has 1 to 100 printable characters, in one line."
        )
    return name


# Parts of transactions


def _open(connection: Connection, model: str) -> Rollout | None:
    row = connection.execute(_ROWS.where(_M.name == model, _R.closed_at.is_(None))).mappings().one_or_none()
    return None if row is None else _rollout(row)


def _rollout(row: Mapping[Any, Any]) -> Rollout:
    order = read(RolloutOrder, parse_json(row["content"], "the order"), "the order of a rollout")
    state = read(RolloutState, parse_json(row["state"], "the state"), "the state of a rollout")
    made = row["created_at"], row["created_by"], row["closed_at"]
    return Rollout(row["model"], row["number"], order, state, *made)


def _refuse_second(write: Write, model: str) -> None:
    other = _open(write.connection, model)
    if other is None:
        return
    what = "deployment" if other.is_deployment else "rollout"
    raise ConflictError(
        f"{model} has a {what} that is going on: {other.candidate.version} is {other.state.phase}. "
        f"Wait for it, or end it with `pedigree rollout abort {model} --reason WHY`."
    )


def _follow(
    write: Write, found: StoredVersion, target: str, stable: ServedVersion | None, reason: str | None
) -> Rollout:
    """Opens a deployment. One that is going on gives way to it, and what was stable for that one serves meanwhile."""
    other = _open(write.connection, found.version.model)
    if stable is not None:  # of what is said of it, only which version it is counts
        stable = served(
            reading.resolve(write.connection, Reference.parse(f"{found.version.model}@{stable.digest}")).version
        )
    if other is not None:
        stable = other.stable or stable
        text = f"A deployment of {found.version.version} took over."
        _decide(write, other, machine.superseded(other, write.now, text), {})
    if stable is not None and stable.digest == found.version.digest:
        stable = None  # it serves already: nothing else keeps the traffic meanwhile
    order = RolloutOrder(_target(target), DEPLOY, stable, served(found.version), reason=reason and clean_text(reason))
    return _insert(write, found, order)


def _insert(write: Write, found: StoredVersion, order: RolloutOrder) -> Rollout:
    model = found.version.model
    last = sa.select(sa.func.coalesce(sa.func.max(_R.number), 0)).where(_R.model_id == found.model_id)
    number = write.connection.execute(last).scalar_one() + 1
    state = machine.begin(order, write.now)
    event = write.log(
        str(Action.ROLL_OUT),
        found.version.version,
        after=state.phase,
        reason=order.reason,
        details={"rollout": number, "order": to_json(order), "state": to_json(state)},
    )
    values = {"content": canonical_json(to_json(order)).decode(), "state": canonical_json(to_json(state)).decode()}
    made = {"created_at": event.at, "created_by": event.actor}
    write.connection.execute(
        schema.rollouts.insert().values(
            model_id=found.model_id, version_id=found.id, number=number, **values, **made, closed_at=None
        )
    )
    return Rollout(model, number, order, state, event.at, event.actor)


def _decide(write: Write, rollout: Rollout, decision: Decision, numbers: Mapping[str, Any]) -> Rollout:
    state = decision.state
    if state.reason is not None:
        state = replace(state, reason=clean_text(state.reason))
    if decision.finding is not None:
        _attach(write, rollout, decision.finding, state.reason, numbers)
    _move_champion(write, rollout, decision)
    event = write.log(
        str(Action.ROLL_OUT),
        rollout.candidate.version,
        before=rollout.state.phase,
        after=state.phase,
        reason=state.reason,
        details={"rollout": rollout.number, "state": to_json(state), "numbers": dict(numbers)},
    )
    closed_at = event.at if state.phase.ended else None
    values = {"state": canonical_json(to_json(state)).decode(), "closed_at": closed_at}
    write.connection.execute(schema.rollouts.update().where(_R.id == _id_of(rollout)).values(**values))
    return replace(rollout, state=state, closed_at=closed_at)


def _attach(write: Write, rollout: Rollout, verdict: Verdict, reason: str | None, numbers: Mapping[str, Any]) -> None:
    """What the rollout found out, as the newest evidence about its candidate: a harmful one stays out of production."""
    reference = Reference(rollout.model, rollout.candidate.version)
    facts = promotion.facts_of(write.connection, reference, write.now)
    told = reading.events(subject=True, action=True).rows(
        write.connection,
        chain=rollout.model,
        subject=reference.selector,
        action=str(Action.ROLL_OUT),
        limit=LARGEST_PAGE,
    )
    events = [event for event in map(stored.read_event, reversed(told)) if event.details["rollout"] == rollout.number]
    said = reason or "it was healthy in all steps."
    evidence = finding(rollout, verdict, said, base=facts.evidence, events=events, numbers=numbers, at=write.now)
    registration.attach_evidence(write, facts.found, evidence)


def _move_champion(write: Write, rollout: Rollout, decision: Decision) -> None:
    model, order = rollout.model, rollout.order
    if decision.move is RegistryMove.PROMOTE:
        found = reading.resolve(write.connection, Reference(model, order.candidate.version))
        newest = reading.one_period(reading.NEWEST_PERIOD.rows(write.connection, model=model))
        champion = newest.champion if newest else None
        if champion is None or order.stable is None or champion.digest != order.stable.digest:
            raise StaleEvidenceError(
                f"The champion was changed by somebody else: it is {champion.version if champion else 'nothing'} now."
            )
        reason = order.reason or f"Rollout {rollout.number} found it healthy."
        _promote(write, found, _request(order, PromotionRequest(override=order.override, reason=reason)))
    elif decision.move is RegistryMove.ROLL_BACK and order.stable is not None:
        to, expect = order.stable.version, order.candidate.version
        way = promotion.rollback_target(write, model, to)
        reason = decision.state.reason or f"Rollout {rollout.number} was rolled back."
        promotion.rollback(write, model, way, to=to, expect=expect, reason=reason)


def _request(order: RolloutOrder, request: PromotionRequest) -> PromotionRequest:
    """Evidence must name the champion that serves. An override stands for that as well, and only for this champion."""
    return replace(request, expect=order.stable.version) if request.override and order.stable else request


def _promote(write: Write, found: StoredVersion, request: PromotionRequest) -> promotion.Moved:
    write.require(request.action)
    version = Reference(found.version.model, found.version.version)
    return promotion.promote(write, promotion.facts_of(write.connection, version, write.now), request)


def _id_of(rollout: Rollout) -> Any:
    of_model = sa.select(_M.id).where(_M.name == rollout.model).scalar_subquery()
    return sa.select(_R.id).where(_R.model_id == of_model, _R.number == rollout.number).scalar_subquery()

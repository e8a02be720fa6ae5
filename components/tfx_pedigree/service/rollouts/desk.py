"""Rollouts and deployments as use cases: what is ordered, what serves, and who drives the traffic there."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, PedigreeError, UnavailableError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import (
    LARGEST_PAGE,
    Event,
    PromotionRequest,
    Reference,
    Registry,
    State,
    Version,
    every,
)
from tfx_pedigree.rollout.api import Followed, RolloutApi
from tfx_pedigree.rollout.controller import PERIOD_SECONDS, Controller, Tick
from tfx_pedigree.rollout.ledger import Ledger, served
from tfx_pedigree.rollout.plan import Plan, check_capabilities
from tfx_pedigree.rollout.prometheus import PrometheusMetrics
from tfx_pedigree.rollout.state import Rollout
from tfx_pedigree.rollout.targets import ServingTarget, find_target, load_targets
from tfx_pedigree.rollout.traffic.api import ManagerContext, RouteState, ServedVersion, TrafficManager
from tfx_pedigree.rollout.traffic.opening import open_manager
from tfx_pedigree.rollout.traffic.templates import Template, template_of
from tfx_pedigree.rollout.validation import Validator
from tfx_pedigree.service.promotion import check_first
from tfx_pedigree.service.rollouts.measuring import Measures, ResponseLogs, not_named
from tfx_pedigree.service.rollouts.served_lineage import record_served
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.text import listed, short_digest

_FOR_EVER = 366 * 86400.0
_LATELY = 1000  # rollouts
_NOBODY_SECONDS = 15.0
_NOBODY = (
    "It is ordered, and no controller drives it. Start one where the database is reached, with the config that names "
    "the target: `pedigree rollout controller`."
)


@dataclass(frozen=True)
class Serving(JsonForm):
    """What should serve, and what does. They agree only where the identity that was observed is the wanted one."""

    JSON: ClassVar[Layout] = Layout(also=("agrees",))

    model: str
    target: str
    champion: ServedVersion | None
    observed: RouteState
    names: Mapping[str, str]  # the version's number of each digest that is observed, where the registry knows it
    rollout: Rollout | None
    seen_at: datetime | None = None  # by a controller, where it was not asked now

    @property
    def agrees(self) -> bool:
        """During a rollout its shares are wanted; otherwise everything to the champion."""
        wanted = self.rollout.state.wanted if self.rollout else None
        if wanted is not None:
            return all(self.observed.points(share.digest) == share.points for share in wanted.shares)
        return self.champion is not None and self.observed.serving == self.champion.digest


@dataclass(frozen=True)
class RolloutPreview(JsonForm):
    """What a start would do; `problems` say what stands in the way."""

    JSON: ClassVar[Layout] = Layout(also=("allowed",))

    model: str
    version: Version
    target: str
    champion: ServedVersion | None
    plan: Plan
    problems: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class RolloutDesk:
    """The use cases of one registry. `config` is the file whose section `serving:` says where models are served."""

    workspace: Workspace
    config: Path | None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def api(self) -> RolloutApi:
        return self.workspace.rollouts

    def target(self, model: str, name: str | None = None) -> ServingTarget:
        return find_target(self.config, self.environ, model=model, name=name)

    @property
    def is_far(self) -> bool:
        """Whether the registry is behind a server, with the controllers."""
        return not isinstance(self.workspace.registry, Registry)

    def is_served(self, model: str) -> bool:
        """Whether this side's config says where, or rollouts before, of which a controller knows."""
        if self.config is not None and is_served(self.config, model, self.environ):
            return True
        return self.is_far and bool(self.api.rollouts(model, limit=1))

    def _where(self, model: str, name: str | None) -> tuple[str, ServingTarget | None]:
        """The target's name; and the target, where this side's config has it. Over a server its name is enough: the
        controller knows the rest. It is the one of the rollouts before, where none is named."""
        if not self.is_far or (self.config is not None and is_served(self.config, model, self.environ)):
            place = self.target(model, name)
            return place.name, place
        if name is None:
            before = sorted({one.order.target for one in self.api.rollouts(model, limit=_LATELY)})
            if len(before) != 1:
                known = f"Rollouts before went to {listed(before)}. " if before else ""
                raise NotFoundError(
                    f"No config here says where {model} is served. {known}Name the target as the controller's config "
                    "does, with --target (for `promote` and `rollback`: --deploy), or give a config with --config."
                )
            name = before[0]
        return name, None

    def manager(self, target: ServingTarget) -> TrafficManager:
        return open_manager(target, ManagerContext(target.model, self._materialise, self.environ, time.time))

    def _materialise(self, version: ServedVersion, folder: Path) -> None:
        self.workspace.store.materialise(version.digest, folder)

    # Orders

    def preview(
        self, reference: str, plan: Plan, request: PromotionRequest, target: str | None = None
    ) -> RolloutPreview:
        """Nothing is written and nothing is moved; the backend is asked what it serves."""
        registry = self.workspace.registry
        version = registry.get(reference)
        name, place = self._where(version.model, target)
        preview = registry.preview_promotion(Reference(version.model, version.version), request)
        problems = [check.detail for check in preview.checks if not check.passed]
        champion = self.api.champion(version.model)
        for current in self.api.rollouts(version.model, only_open=True):
            problems.append(f"{current.name} is going on: it is {current.state.phase}.")
        if version.state is State.PRODUCTION:
            problems.append(f"{version.name} is the champion already. Use `pedigree deploy {version.model}`.")
        try:
            self._check_place(plan, place, champion)
        except PedigreeError as error:
            problems.append(str(error))
        return RolloutPreview(version.model, version, name, champion, plan, tuple(problems))

    def start(self, reference: str, plan: Plan, request: PromotionRequest, target: str | None = None) -> Rollout:
        """Orders it. The traffic moves when a controller looks at it: `run`, or one that runs elsewhere."""
        version = self.workspace.registry.get(reference)
        name, place = self._where(version.model, target)
        self._check_place(plan, place, self.api.champion(version.model))
        return self.api.start_rollout(version.model, version.version, name, plan, request)

    def _check_place(self, plan: Plan, place: ServingTarget | None, champion: ServedVersion | None) -> None:
        """Where only the controller knows the target, it is the controller that refuses."""
        if place is None:
            return
        manager = self.manager(place)
        check_capabilities(plan, manager.capabilities(), place.name, has=place.has)
        serving = manager.observe().serving
        if champion is not None and serving != champion.digest:
            found = short_digest(serving) if serving else "something that is not known"
            raise ConflictError(
                f"{place.name} serves {found} and not the champion {champion.version}, so there is nothing to compare "
                f"with. Bring it there first: `pedigree deploy {place.model}`."
            )

    def deploy(self, model: str, target: str | None = None, reason: str | None = None) -> Rollout:
        """The traffic is to follow the champion, at once and without a judge."""
        name, place = self._where(model, target)
        return self.api.deploy(model, name, self._served_now(place), reason)

    def roll_back(
        self, model: str, *, reason: str, to: str | None = None, expect: str | None = None, target: str | None = None
    ) -> Followed:
        """Registry and traffic as one decision, which is carried out after any crash."""
        name, place = self._where(model, target)
        return self.api.roll_back(model, name, self._served_now(place), reason=reason, to=to, expect=expect)

    def promote(
        self,
        reference: str,
        request: PromotionRequest,
        target: str,
        *,
        verify: bool = True,
        progress: Progress = silent,
    ) -> Followed:
        """At once and without a judge; the bytes are read before, as for every promotion."""
        version = self.workspace.registry.get(reference)
        name, place = self._where(version.model, target)
        if verify:
            check_first(self.workspace, version, request, progress)
        exact = Reference(version.model, version.version)
        return self.api.promote_and_deploy(exact, request, name, self._served_now(place))

    def _served_now(self, place: ServingTarget | None) -> ServedVersion | None:
        """What keeps the traffic until another version is ready: what is observed, as far as the registry knows it. A
        backend that does not answer is no reason to refuse a rollback."""
        if place is None:
            return None
        try:
            digest = self.manager(place).observe().serving
        except UnavailableError:
            return None
        try:
            return served(self.workspace.registry.get(Reference(place.model, digest))) if digest else None
        except NotFoundError:
            return None

    # Questions

    def serving(self, model: str, target: str | None = None) -> Serving:
        name, place = self._where(model, target)
        observed, seen_at = (self.manager(place).observe(), None) if place else self._last_seen(model, name)
        going_on = self.api.rollouts(model, only_open=True)
        mine = next((one for one in going_on if one.order.target == name), None)
        digests = {arm.digest for arm in observed.arms if arm.digest}
        names = {digest: number for digest in sorted(digests) if (number := self._number(model, digest))}
        return Serving(model, name, self.api.champion(model), observed, names, mine, seen_at)

    def _last_seen(self, model: str, target: str) -> tuple[RouteState, datetime | None]:
        """What a controller saw last, of this target's newest rollout."""
        number = next(
            (one.number for one in self.api.rollouts(model, limit=_LATELY) if one.order.target == target), None
        )
        watch = self.api.rollout(model, number).watch if number is not None else None
        if watch is None or watch.routes is None:
            raise UnavailableError(
                f"No controller has looked at {target} for {model} yet, and no config here says how to ask it. Order "
                f"something: `pedigree deploy {model} --target {target}`, or give a config with --config."
            )
        return watch.routes, watch.routes_at

    def history(self, model: str, number: int | None = None) -> tuple[Rollout, tuple[Event, ...]]:
        """A rollout, the newest where no number is given, and all its decisions, the oldest first."""
        rollout, registry = self.api.rollout(model, number).rollout, self.workspace.registry
        events = every(lambda after: registry.history(model, limit=LARGEST_PAGE, after=after))
        mine = [one for one in events if one.action == "roll-out" and one.details.get("rollout") == rollout.number]
        return rollout, tuple(reversed(mine))

    def _number(self, model: str, digest: str) -> str | None:
        try:
            return self.workspace.registry.get(Reference(model, digest)).version
        except PedigreeError:  # a digest of somebody else's, or none at all
            return None

    # Driving

    def controller(self) -> Controller:
        """One life of a controller. Its name is nobody else's, so that its lease is its own."""
        holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        validator, prometheus = Validator(self._requests_of), PrometheusMetrics(self.environ)
        measures = Measures(self.workspace.registry, prometheus)
        ledger, logs = Ledger(self.workspace.database("A controller")), ResponseLogs(self.target)
        return Controller(
            ledger,
            self._manager_of,
            holder=holder,
            measure=measures.measure,
            validate=validator.validate,
            read_answers=logs.read,
            count=prometheus.summed,
            unfit=self._unfit,
        )

    def _unfit(self, rollout: Rollout, manager: TrafficManager) -> str | None:
        place = self.target(rollout.model, rollout.order.target)
        try:
            check_capabilities(rollout.order.plan, manager.capabilities(), place.name, has=place.has)
        except InvalidInputError as error:
            return str(error)
        return None

    def _manager_of(self, rollout: Rollout) -> TrafficManager:
        return self.manager(self.target(rollout.model, rollout.order.target))

    def _requests_of(self, rollout: Rollout) -> Path:
        place = self.target(rollout.model, rollout.order.target)
        if place.requests is None:
            raise not_named(place, rollout, "requests", "folder of recorded requests")
        return place.requests

    def drive(
        self,
        model: str,
        tell: Callable[[Tick], None],
        *,
        seconds: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Rollout:
        """Looks at one model's rollout until it has ended, or until `seconds` are over. Where another controller drives
        it, it only looks on. Over a server that is all it does, and not for long where no controller is there."""
        end = time.monotonic() + (_FOR_EVER if seconds is None else seconds)
        rollout = self.api.rollout(model).rollout
        controller, alone = None if self.is_far else self.controller(), time.monotonic()
        try:
            while not rollout.state.phase.ended and time.monotonic() < end:
                tick = self._told(self._tick(controller, rollout))
                rollout = tick.rollout or rollout
                tell(tick)
                if controller is not None or tick.held_by is not None:
                    alone = time.monotonic()
                elif not rollout.state.phase.ended and time.monotonic() - alone > _NOBODY_SECONDS:
                    tell(replace(tick, decided=False, notes=(_NOBODY,)))
                    break
                if not rollout.state.phase.ended:
                    sleep(PERIOD_SECONDS)
        finally:
            if controller is not None:
                controller.leave_all()
        return rollout

    def step(self, model: str) -> Tick:
        """One look, one decision, and nobody who stays."""
        controller = self.controller()
        try:
            return self._told(controller.tick(model))
        finally:
            controller.leave_all()

    def _told(self, tick: Tick) -> Tick:
        """What came to serve, or served no longer, is told to the lineage graph. That it cannot be stops no rollout."""
        if not tick.decided or tick.rollout is None or tick.held_by is not None:
            return tick
        problem = self._tell_lineage(tick.model)
        return tick if problem is None else replace(tick, notes=(*tick.notes, problem))

    def _tell_lineage(self, model: str) -> str | None:
        try:
            record_served(self.workspace, model)
        except PedigreeError as error:
            return f"The lineage was not told: {error}"
        return None

    def _tick(self, controller: Controller | None, rollout: Rollout) -> Tick:
        try:
            found = controller.tick(rollout.model) if controller else None
            if found is not None and found.rollout is not None:
                return found
            status = self.api.rollout(rollout.model, rollout.number)
        except UnavailableError as error:  # the registry or the backend: what was decided waits for it
            return Tick(rollout.model, rollout, notes=(str(error),))
        changed = status.rollout.state.revision != rollout.state.revision
        return Tick(rollout.model, status.rollout, changed, held_by=status.controller)

    def run_controller(
        self,
        tell: Callable[[Tick], None],
        stopped: Callable[[], bool],
        *,
        period: float = PERIOD_SECONDS,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Looks at all rollouts until it is told to stop. A registry that is away is waited for."""
        controller, known = self.controller(), False
        try:
            while not stopped():
                began = time.monotonic()
                try:
                    if not known:  # what a controller before this one did not come to tell
                        for model in {one.model for one in self.api.rollouts(limit=_LATELY)}:
                            self._tell_lineage(model)
                        known = True
                    for tick in controller.tick_all():
                        tell(self._told(tick))
                except UnavailableError as error:
                    tell(Tick("*", None, notes=(str(error),)))
                sleep(max(0.0, period - (time.monotonic() - began)))
        finally:
            controller.leave_all()


def is_served(config: Path, model: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the config says where this model is served."""
    return any(one.model == model for one in load_targets(config, environ).values())


def serving_template(
    config: Path | None, kind: str, name: str | None, environ: Mapping[str, str] = os.environ
) -> Template:
    """The configuration of what moves the traffic of a target: the one that was named, or the only one of the kind."""
    targets = load_targets(config, environ) if config is not None else {}
    found = [one for one in targets.values() if one.kind == kind and name in (None, one.name)]
    if len(found) == 1:
        return template_of(found[0], environ)
    if found:
        raise InvalidInputError(f"{config}: {listed([one.name for one in found])} are {kind}. Name one with --target.")
    which = f"{name!r} that is {kind}" if name else f"of the kind {kind}"
    where = f"{config} has no target" if config is not None else "No config was given, so there is no target"
    raise NotFoundError(
        f"{where} {which} under `serving:`. Add one, and name the file with --config; docs/rollout.md shows how."
    )

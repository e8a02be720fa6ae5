"""A version made once more: checked, built, run in a folder of its own, and compared with what is on file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json, read_bounded
from tfx_pedigree.errors import ConflictError, DamagedError, InvalidInputError, NotFoundError, PedigreeError
from tfx_pedigree.json_form import JsonForm, read
from tfx_pedigree.registry import (
    Action,
    Candidate,
    Facts,
    PromotionRequest,
    Reference,
    Registry,
    Version,
)
from tfx_pedigree.service.pipelines import tfx_process
from tfx_pedigree.service.pipelines.local_pipeline import LocalPipeline
from tfx_pedigree.service.reproducing import environment_building, order
from tfx_pedigree.service.reproducing.checking import CheckReport, Place
from tfx_pedigree.service.reproducing.levels import (
    TOLERANCE,
    Compared,
    Level,
    PredictionDifference,
    Reached,
    Result,
    compare_results,
)
from tfx_pedigree.service.reproducing.looking import Given, look_and_check, repository_of
from tfx_pedigree.service.reproducing.recipe import Recipe
from tfx_pedigree.service.reproducing.recorded import CodeState, Recorded, read_recorded
from tfx_pedigree.service.reproducing.workshop import Workshop
from tfx_pedigree.service.workspace import Workspace, connect
from tfx_pedigree.settings import KEYS, Settings
from tfx_pedigree.versioning import Request
from tfx_pedigree.versioning.git_checkout import check_out
from tfx_pedigree.versioning.git_diff import apply_diff

# Who acts in the registry of the reproduction, which nobody else uses.
ACTOR = "reproduce"
_CODE, _ENVIRONMENT, _RUN = "code", "environment", "run"


@dataclass(frozen=True)
class Wanted:
    """`into` is the folder of the reproduction's own; `record` says whether the outcome is noted in the audit log."""

    into: Path
    given: Given = field(default_factory=Given)
    tolerance: float = TOLERANCE
    keep_environment: bool = False
    record: bool = True


@dataclass(frozen=True)
class PartBegins:
    """What is done now, for a person."""

    what: str


Listener = Callable[[PartBegins], None]


@dataclass(frozen=True)
class Reproduction(JsonForm):
    """How far the version came out again. `inputs` says which of what went in was not the same; `made` is the digest
    of what came out, None where nothing did, and then `failure` says why. `noted` is the event's place in the log."""

    version: str
    level: Level
    levels: tuple[Compared, ...]
    environment: Place
    folder: str
    log: str
    inputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    made: str | None = None
    failure: str | None = None
    noted: int | None = None


class CannotBeMadeError(ConflictError):
    """Something that the version was made from cannot be had any more. `report` has all of it."""

    def __init__(self, report: CheckReport) -> None:
        told = " ".join(f"{one.problem}. {one.step}" for one in report.missing)
        super().__init__(f"{report.version} cannot be made again. {told}")
        self.report = report


def check_reproduction(workspace: Workspace, reference: str, given: Given, recipe: Recipe | None = None) -> CheckReport:
    """What cannot be had any more. Nothing is built or written. `recipe` counts where none was recorded."""
    return look_and_check(workspace, order.with_recipe(read_recorded(workspace, reference), recipe), given)[0]


def reproduce(
    workspace: Workspace, reference: str, wanted: Wanted, *, recipe: Recipe | None = None, tell: Listener
) -> Reproduction:
    """CannotBeMadeError, before anything is built, where something cannot be had any more."""
    recorded = order.with_recipe(read_recorded(workspace, reference), recipe)
    if wanted.record:
        workspace.registry.require(Action.REPRODUCE, recorded.version.model)
    report, here = look_and_check(workspace, recorded, wanted.given)
    if recorded.recipe is None or recorded.code is None or not report.possible:
        raise CannotBeMadeError(report)
    shop = Workshop(wanted.into.absolute())
    making = _Making(workspace, recorded, recorded.recipe, recorded.code, wanted, report, shop, tell)
    version, asked = recorded.version, order.order_of(recorded, wanted.given)
    with shop.claimed(f"`pedigree reproduce {version.model}@{version.version}`", asked) as locks:
        return making.to_the_end(here.interpreter or sys.executable, locks)


@dataclass(frozen=True)
class _Making:
    workspace: Workspace
    recorded: Recorded
    recipe: Recipe
    code: CodeState
    wanted: Wanted
    report: CheckReport
    shop: Workshop
    tell: Listener

    @property
    def log(self) -> Path:
        return self.shop.folder / "reproduce.log"

    @property
    def built(self) -> bool:
        return self.report.environment is Place.BUILT

    def to_the_end(self, interpreter: str, locks: tuple[int, ...]) -> Reproduction:
        checkout = self.shop.part(_CODE, self._check_out)
        python = self._python(interpreter)
        code = self._run(checkout, python, locks)
        if code:
            failure = f"The pipeline {tfx_process.how_ended(code)}."
            return self._outcome(Reached(Level.NONE), failure=failure)
        with self._own() as own:
            made = self._made(own)
            if made is None:
                return self._outcome(Reached(Level.NONE), failure="The run made no version.")
            again = read_recorded(own, Reference(made.model, made.version))
            predictions = self._predictions(own, again, python)
            results = _result(self.recorded, self.workspace), _result(again, own)
        reached = compare_results(*results, predictions, self.wanted.tolerance)
        outcome = self._outcome(reached, again)
        if self.built and not self.wanted.keep_environment:
            self.shop.throw_away(_ENVIRONMENT)
        return self._noted(outcome)

    def _check_out(self, place: Path) -> None:
        repository = repository_of(self.recorded, self.wanted.given)
        if repository is None:  # the check has found it a moment ago
            raise NotFoundError("The git repository is not where it was. Give a clone of it: --repository FOLDER.")
        self.tell(PartBegins(f"checking out {self.code.commit[:12]}"))
        check_out(repository, self.code.commit, place)
        if self.recorded.diff is not None:
            apply_diff(place, self.recorded.diff)

    def _python(self, interpreter: str) -> str:
        if not self.built:
            return sys.executable
        packages = self.recorded.environment

        def build(place: Path) -> None:
            self.tell(PartBegins(f"building an environment with {len(packages.packages)} packages"))
            environment_building.build(place, packages, interpreter, self.log)

        return environment_building.python_of(self.shop.part(_ENVIRONMENT, build))

    def _run(self, checkout: Path, python: str, locks: tuple[int, ...]) -> int:
        """The exit code; the part is whole only where that is 0."""
        if self.shop.has(_RUN):
            return 0
        failed: list[int] = []

        def run(place: Path) -> None:
            place.mkdir()
            self._seed(place)
            span = f" on span {self.recorded.span}" if self.recorded.span is not None else ""
            self.tell(PartBegins(f"running the pipeline{span}"))
            config = order.config_of(self.recipe, self.wanted.given, checkout, place)
            settings = Settings(self._address, f"{self._address}/store", ACTOR, dict.fromkeys(KEYS, "reproduce"))
            environ = environment_building.variables(self.recorded.environment, self.built)
            # In the checkout: what lies where this command is run must not be found by the pipeline.
            pipeline = LocalPipeline(config, settings, python, environ, str(checkout))
            if not self.built:
                pipeline.check()
            with connect(self._address, actor=ACTOR) as own:
                done = pipeline.run(own.registry, self.recorded.span, locks)
            if done.code:
                failed.append(done.code)
                raise _FailedRunError

        try:
            self.shop.part(_RUN, run)
        except _FailedRunError:
            return failed[0]
        return 0

    @property
    def _address(self) -> str:
        return str(self.shop.folder / _RUN / "registry")

    def _own(self) -> Workspace:
        return connect(self._address, actor=ACTOR)

    def _seed(self, place: Path) -> None:
        """A registry of its own, in which the champion of that time is champion."""
        Registry.create(self._address, actor=ACTOR).close()
        baseline = self.recorded.baseline
        if baseline is None:
            return
        then = baseline.version
        files = self.workspace.store.materialise(then.digest, place / "champion")
        with self._own() as own:
            stored = own.store_to_fill.put(files)
            if stored.digest != then.digest:
                raise DamagedError(f"The files of {then.name} are not what was registered. See `pedigree verify`.")
            candidate = Candidate(then.digest, baseline.description, then.size, then.files)
            facts = Facts(dict(then.metrics), dict(then.tags))
            own.registry.add(then.model, candidate, Request(version=then.version), facts, baseline.evidence)
            reason = f"It was champion when {self.recorded.version.name} was made."
            request = PromotionRequest(expect="none", override=True, reason=reason)
            own.registry.promote(Reference(then.model, then.version), request)

    def _made(self, own: Workspace) -> Version | None:
        """What the run registered beside the champion of that time."""
        baseline = self.recorded.baseline
        known = baseline.version.digest if baseline else None
        try:
            found = own.registry.versions(self.recorded.version.model).items
        except NotFoundError:
            return None
        return next((one for one in found if one.digest != known and one.registered_at is not None), None)

    def _predictions(self, own: Workspace, again: Recorded, python: str) -> PredictionDifference | str:
        """Asked of TensorFlow only where the bytes do not say it already."""
        then, now = self.recorded, again
        if then.version.digest == now.version.digest:
            return PredictionDifference(0, 0.0, 0)
        rows, said = order.evaluation_rows(then, own, now.version)
        if rows is None:
            return said
        self.tell(PartBegins("comparing the predictions"))
        self.shop.throw_away("compared")
        place = self.shop.folder / "compared"
        try:
            models = [
                str(self.workspace.store.materialise(then.version.digest, place / "recorded")),
                str(own.store.materialise(now.version.digest, place / "made")),
            ]
        except PedigreeError as error:
            return str(error)
        result = place / "predictions.json"
        asked = {"models": models, "examples": rows, "tolerance": self.wanted.tolerance, "result": str(result)}
        environ = environment_building.variables(then.environment, self.built)
        done = tfx_process.start(
            tfx_process.COMPARE_PREDICTIONS,
            {**asked, "log": str(self.log), "path": str(place)},
            python=python,
            env=environ,
            stderr=subprocess.DEVNULL,
        )
        if done.returncode:
            return f"TensorFlow could not run both models; the log is {self.log}."
        try:
            return read(PredictionDifference, parse_json(read_bounded(result), str(result)), "the differences")
        except (OSError, InvalidInputError) as error:
            return str(error)

    def _outcome(self, reached: Reached, again: Recorded | None = None, failure: str | None = None) -> Reproduction:
        return Reproduction(
            self.recorded.version.name,
            reached.level,
            reached.levels,
            self.report.environment,
            str(self.shop.folder),
            str(self.shop.folder / _RUN / order.LOG) if failure else str(self.log),
            order.input_differences(self.recorded, again) if again else (),
            self.report.notes,
            again.version.digest if again else None,
            failure,
        )

    def _noted(self, outcome: Reproduction) -> Reproduction:
        if not self.wanted.record:
            return outcome
        version = self.recorded.version
        details: Mapping[str, Any] = {
            "level": outcome.level.value,
            "levels": {one.level.value: one.same for one in outcome.levels},
            "digest": outcome.made,
            "environment": outcome.environment.value,
            "inputs": list(outcome.inputs),
        }
        reason = summary(outcome)
        event = self.workspace.registry.note(
            version.model, Action.REPRODUCE, reason=reason, details=details, subject=version.version
        )
        return replace(outcome, noted=event.position)


class _FailedRunError(Exception):
    """Leaves the part of the run unmarked."""


def _result(of: Recorded, there: Workspace) -> Result:
    files = {entry.path: entry.sha256 for entry in there.store.manifest(of.version.digest).files}
    return Result(of.version.digest, of.description, dict(of.version.metrics), of.evidence, files)


_SUMMARIES = {
    Level.BYTES: "the same bytes came out again",
    Level.DESCRIPTION: "a model of the same description and with the same predictions came out again",
    Level.PREDICTIONS: "a model with the same predictions came out again",
    Level.METRICS: "the same metrics came out again, with other predictions",
    Level.VERDICT: "the gate said the same again, of other metrics",
    Level.NONE: "nothing of it came out again",
}


def summary(outcome: Reproduction) -> str:
    return _SUMMARIES[outcome.level]

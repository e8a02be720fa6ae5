"""What a rollout is going to do: its steps, its bakes, its judge and its limits, frozen when it starts.

Pure values. `spec_file` reads them from `rollout.yaml`; without a file they are what the documents promise.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, ClassVar

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import Bounds, JsonForm, Layout, read, to_json
from tfx_pedigree.rollout.traffic.api import WHOLE, Capabilities, Split
from tfx_pedigree.text import plain

Points = Annotated[int, Bounds(0, WHOLE)]
Chance = Annotated[float, Bounds(0, 1)]
Seconds = Annotated[float, Bounds(0, 366 * 86400)]
Times = Annotated[float, Bounds(1.0, 100.0)]
Tolerance = Annotated[float, Bounds(0, 1e9)]
Query = Annotated[str, Bounds(longest=4000)]
# A controller looks at all of it each time, for all rollouts.
MOST_STEPS = 100
MOST_METRICS = 20
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_URL_PATH = re.compile(r"/[A-Za-z0-9._~:/?&=%@!$'()*+,;-]{0,499}")


class Strategy(str, Enum):
    CANARY = "canary"
    BLUE_GREEN = "blue-green"
    DEPLOY = "deploy"  # brings the traffic to a champion that the registry has already

    def __str__(self) -> str:
        return self.value


class Undecided(str, Enum):
    """What follows when a step's deadline is over and neither harm nor health was shown. Never an advance."""

    ROLL_BACK = "roll-back"
    PAUSE = "pause"


class Direction(str, Enum):
    HIGHER = "higher-is-better"
    LOWER = "lower-is-better"


@dataclass(frozen=True)
class Bake(JsonForm):
    """How long a step is looked at, at least: both must be over."""

    requests: int = 100
    seconds: Seconds = 60.0


@dataclass(frozen=True)
class Step(JsonForm):
    """The candidate's share. A shadow step mirrors: the candidate gets copies, and its answers reach nobody."""

    points: Points
    bake: Bake = Bake()
    shadow: bool = False


@dataclass(frozen=True)
class Rate(JsonForm):
    """How a share of bad requests (errors, slow answers) is judged.

    Harm: the candidate's rate is shown to be more than `harm` times the stable one's. Health: it is shown to be less
    than `margin` times the stable one's, or less than `acceptable` of all requests.
    """

    harm: Times = 1.0
    margin: Times = 2.0
    acceptable: Chance | None = 0.02

    def __post_init__(self) -> None:
        if self.margin <= self.harm:
            raise InvalidInputError("`margin` must be greater than `harm`: between them lies what is not decided.")


@dataclass(frozen=True)
class MetricRule(JsonForm):
    """A number that is pushed or asked for, of each version: harm where the candidate's is worse by more than `margin`
    in so many windows that chance does not explain it."""

    name: Annotated[str, Bounds(longest=200)]
    direction: Direction
    margin: float = 0.0
    query: Query | None = None  # for Prometheus; `$version` and `$digest` stand for the version
    window_seconds: Annotated[float, Bounds(1, 366 * 86400)] = 30.0


@dataclass(frozen=True)
class CountQueries(JsonForm):
    """Where the load balancer counts nothing for each version: queries for the requests that a version has answered and
    for those that failed, both as counters that only grow. `$version` and `$digest` stand for the version."""

    requests: Query
    failed: Query


@dataclass(frozen=True)
class AnswerRule(JsonForm):
    """The answers of both versions, from the target's response log.

    `agreement`: of the requests that both answered, so many must agree, within `tolerance`; None: that is not judged.
    `shift`: of two requests, one of each version, the candidate has the higher score in a half, and at most so many
    more or less. `score` says where in an answer the score is; None: the first number.
    """

    agreement: Chance | None = None
    tolerance: Tolerance = 1e-6
    shift: Annotated[float, Bounds(0.01, 0.4)] = 0.1
    score: Annotated[str, Bounds(longest=200)] | None = None


@dataclass(frozen=True)
class JudgePlan(JsonForm):
    """`alpha`: how often a rollout of a harmless candidate may be rolled back by chance, over all that is looked at
    and however often it is looked at. `beta`: the same for taking a harmful one for healthy."""

    alpha: Annotated[float, Bounds(1e-9, 0.5)] = 0.05
    beta: Annotated[float, Bounds(1e-9, 0.5)] = 0.05
    errors: Rate = Rate()
    slow_than_ms: float | None = None
    slow: Rate = Rate(acceptable=0.05)
    metrics: tuple[MetricRule, ...] = ()
    ratio_tolerance: Chance = 0.1  # how far the observed split may be from the wanted one
    down_seconds: Seconds = 2.0  # how long the load balancer's own check may call the candidate down
    answers: AnswerRule | None = None
    counts: CountQueries | None = None


@dataclass(frozen=True)
class Validation(JsonForm):
    """Recorded requests that are sent to both versions before any traffic is: a file of JSON lines in the folder that
    the target's config names. Whoever orders a rollout chooses no file, and no server, of the controller's host."""

    requests: str
    path: str
    agreement: Chance = 0.0
    tolerance: Tolerance = 1e-6
    slower: Times | None = None  # the candidate's median latency may be this many times the stable one's

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.requests):
            raise InvalidInputError(
                f"`requests` is {plain(self.requests, 60)!r}, but must be the name of a file in the folder that the "
                "target's config names as `requests`, such as recorded.jsonl."
            )
        if not _URL_PATH.fullmatch(self.path):
            raise InvalidInputError(
                f"`path` is {plain(self.path, 60)!r}, but must be a path on the model's server, beginning with /."
            )


@dataclass(frozen=True)
class Limits(JsonForm):
    prepare_seconds: Seconds = 1800.0
    step_seconds: Seconds = 86400.0
    obey_seconds: Seconds = 60.0  # how long a backend may take to do what it was told


@dataclass(frozen=True)
class Plan(JsonForm):
    JSON: ClassVar[Layout] = Layout(format="pedigree.rollout/1")

    strategy: Strategy
    steps: tuple[Step, ...]
    judge: JudgePlan = JudgePlan()
    validation: Validation | None = None
    limits: Limits = Limits()
    undecided: Undecided = Undecided.ROLL_BACK
    keep_seconds: Seconds = 600.0
    lease_seconds: Annotated[float, Bounds(1, 3600)] = 15.0

    def __post_init__(self) -> None:
        if self.strategy is Strategy.DEPLOY:
            return
        if len(self.steps) > MOST_STEPS or len(self.judge.metrics) > MOST_METRICS:
            raise InvalidInputError(f"A plan has at most {MOST_STEPS} steps and {MOST_METRICS} metrics.")
        shares = [step.points for step in self.steps if not step.shadow]
        if not shares:
            raise InvalidInputError("A rollout needs a step that gives the candidate a share.")
        if any(later <= earlier for earlier, later in itertools.pairwise(shares)) or shares[0] == 0:
            raise InvalidInputError("Each step must give the candidate more than the step before it.")
        if self.judge.answers is not None and all(step.points == WHOLE and not step.shadow for step in self.steps):
            raise InvalidInputError(
                "`answers` compares both versions, so it needs a step in which both answer: a share below 100 %, or "
                "a shadow step."
            )
        if any(step.shadow for step in self.steps[len(self.steps) - len(shares) :]):
            raise InvalidInputError("A shadow step comes before the steps that give the candidate a share.")

    @property
    def digest(self) -> str:
        return digest_of(canonical_json(to_json(self)))

    @property
    def tests(self) -> int:
        """Among how many tests of harm the chance of a false alarm is divided."""
        judge, rule = self.judge, self.judge.answers
        of_answers = 0 if rule is None else 2 + (rule.agreement is not None)
        return 1 + (judge.slow_than_ms is not None) + len(judge.metrics) + of_answers


def checked(plan: Plan, source: str) -> Plan:
    """Within the bounds of its JSON form, as which it is kept: one beyond them could never be read again."""
    return read(Plan, to_json(plan), source)


def default_steps(bake: Bake) -> tuple[Step, ...]:
    """The documents' canary: 10 % first, 10 points more after each healthy step."""
    return tuple(Step(points, bake) for points in range(1000, WHOLE + 1, 1000))


def canary(bake: Bake = Bake()) -> Plan:
    return Plan(Strategy.CANARY, default_steps(bake))


def blue_green(bake: Bake = Bake()) -> Plan:
    return Plan(Strategy.BLUE_GREEN, (Step(WHOLE, bake),))


DEPLOY = Plan(Strategy.DEPLOY, (), keep_seconds=0.0)


# What a target may name, and which part of a plan needs it.
_NAMED_BY_TARGET = {
    "responses": ("response log", "answers"),
    "requests": ("folder of recorded requests", "validate"),
}


def check_capabilities(plan: Plan, can: Capabilities, target: str, *, has: Collection[str] = ()) -> None:
    """Refuses a plan that this target cannot carry out, before anything is moved. `has`: `requests` and `responses`,
    where the target names them."""
    needs = {"responses": plan.judge.answers is not None, "requests": plan.validation is not None}
    for key, needed in needs.items():
        if needed and key not in has:
            what, part = _NAMED_BY_TARGET[key]
            raise InvalidInputError(
                f"The plan has `{part}`, and the target {target} names no {what}. Add `{key}:` to the target, or leave "
                f"`{part}` out of the plan."
            )
    for step in plan.steps:
        if step.shadow and not can.mirror:
            raise InvalidInputError(f"The target {target} cannot mirror requests. Leave the shadow step out.")
        if can.split is Split.NONE and step.points not in (0, WHOLE):
            raise InvalidInputError(
                f"The target {target} only switches, and the plan has a step of {step.points / 100:g} %. "
                "Use the strategy blue-green."
            )
        if 0 < step.points < can.step or (step.points % can.step and can.step > 1):
            raise InvalidInputError(
                f"The target {target} gives shares in steps of {can.step / 100:g} %, and the plan has one of "
                f"{step.points / 100:g} %."
            )
    if plan.steps and not can.counters and plan.judge.counts is None:
        raise InvalidInputError(
            f"The target {target} counts nothing for each version, so no step could ever end. Give the plan `counts`: "
            "queries for the requests and failures of a version. Or promote the version and deploy it at once."
        )

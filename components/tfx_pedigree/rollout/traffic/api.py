"""What the rollout asks of whatever moves the traffic: one absolute, whole, repeatable operation and what verifies it.

A share is in basis points (1/10,000 of the requests). Shares belong to versions, named by their digest: nothing here is
"the old one" or "the new one", so that a promotion changes no name, and no backend guesses what serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.text import short_digest

WHOLE = 10_000


class FencedError(ConflictError):
    """A controller with a higher epoch drives this traffic, or somebody changed it since it was observed."""


class Split(str, Enum):
    """How a request is given to a version. Only `random` makes the two groups of requests comparable."""

    RANDOM = "random"
    ROUND_ROBIN = "round-robin"
    CLIENT = "client"  # the client chooses, by a label or a hash of its own
    NONE = "none"  # all or nothing: no shares between 0 and 10,000


class Fence(str, Enum):
    """What refuses a controller that was replaced."""

    EPOCH = "epoch"  # the backend keeps the epoch itself, or the lock under which every change is made does
    ETAG = "etag"  # the backend compares what the caller last saw
    NONE = "none"


class Readiness(str, Enum):
    ABSENT = "absent"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class Convergence(str, Enum):
    CONVERGED = "converged"
    PENDING = "pending"
    DIVERGED = "diverged"


@dataclass(frozen=True)
class Capabilities(JsonForm):
    """What a backend can do. The plan is refused before it starts where it needs more."""

    step: int  # the smallest difference between two shares, in basis points
    split: Split
    fence: Fence
    counters: bool  # requests, errors and latency of each version by itself
    lease: bool  # where nobody renews them, it ends the shares by itself
    drain: bool  # tells how many requests are still under way
    mirror: bool = False  # can send copies of requests whose answers reach nobody
    survives_restart: bool = True


@dataclass(frozen=True)
class ServedVersion(JsonForm):
    """A version that a backend is to load. `sequence` is the whole number that names its folder."""

    model: str
    digest: str
    version: str
    sequence: int


@dataclass(frozen=True)
class Share(JsonForm):
    digest: str
    points: int


@dataclass(frozen=True)
class WantedRoutes(JsonForm):
    """Who gets which share: all of it, each time. `fallback` gets everything when nobody renews `lease_seconds`.

    What is applied again is the same: a repetition renews the lease and changes nothing else.
    """

    shares: tuple[Share, ...]
    fallback: str
    lease_seconds: float | None = None
    mirror: Share | None = None

    def __post_init__(self) -> None:
        digests = [share.digest for share in self.shares]
        if len(set(digests)) != len(digests) or any(not 0 <= share.points <= WHOLE for share in self.shares):
            raise InvalidInputError("Each version has one share, from 0 to 10,000 basis points.")
        if sum(share.points for share in self.shares) != WHOLE:
            raise InvalidInputError("The shares of all versions must be 10,000 basis points together.")
        if self.fallback not in digests:
            raise InvalidInputError("The version that gets everything at the end of the lease must have a share.")
        if self.mirror is not None and self.mirror.digest in {s.digest for s in self.shares if s.points}:
            raise InvalidInputError("Copies of requests go to a version that answers none of them.")

    def points(self, digest: str) -> int:
        return next((share.points for share in self.shares if share.digest == digest), 0)

    @property
    def leased(self) -> bool:
        """Whether the lease matters: somebody else than the fallback has a share."""
        return self.lease_seconds is not None and self.points(self.fallback) != WHOLE

    @classmethod
    def all_to(cls, digest: str, *others: str) -> WantedRoutes:
        """Everything to one version; `others` stay known, without a share."""
        rest = tuple(Share(other, 0) for other in others if other != digest)
        return cls((Share(digest, WHOLE), *rest), digest)

    @classmethod
    def two(cls, stable: str, candidate: str, points: int, lease_seconds: float | None = None) -> WantedRoutes:
        """`points` to the candidate, the rest to the stable version, which gets everything when the lease ends."""
        return cls((Share(stable, WHOLE - points), Share(candidate, points)), stable, lease_seconds)


@dataclass(frozen=True)
class ArmState(JsonForm):
    """One place that serves, as it was observed. `digest` is what it really serves: None where that is unknown."""

    place: str
    digest: str | None
    points: int
    readiness: Readiness
    reason: str | None = None  # why it failed
    inflight: int | None = None  # requests under way; None where the backend does not tell
    address: str | None = None  # where this version alone can be asked, as http://host:port
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class RouteState(JsonForm):
    """What is served now, as the backend says."""

    arms: tuple[ArmState, ...]
    fallback: str | None = None
    epoch: int | None = None  # of the controller that applied it last; None where the backend keeps none
    etag: str | None = None
    lease_left: float | None = None  # seconds; None without a lease

    def arm(self, digest: str) -> ArmState | None:
        """The place that serves this version; with two of them the one with the greater share."""
        found = [arm for arm in self.arms if arm.digest == digest]
        return max(found, key=lambda arm: arm.points, default=None)

    def points(self, digest: str) -> int:
        return sum(arm.points for arm in self.arms if arm.digest == digest)

    @property
    def serving(self) -> str | None:
        """The version that gets everything; None where several share, or where it is unknown."""
        serving = [arm for arm in self.arms if arm.points]
        return serving[0].digest if len(serving) == 1 else None


@dataclass(frozen=True)
class Prepared(JsonForm):
    readiness: Readiness
    reason: str | None = None


@dataclass(frozen=True)
class Receipt(JsonForm):
    """What was applied. Rounding is told, never silent: `realised` are the shares that the backend will really give."""

    realised: tuple[Share, ...]
    etag: str | None = None


@dataclass(frozen=True)
class Verification(JsonForm):
    convergence: Convergence
    state: RouteState
    detail: str | None = None


@dataclass(frozen=True)
class Drained(JsonForm):
    inflight: int | None

    @property
    def done(self) -> bool:
        return not self.inflight


@dataclass(frozen=True)
class Latency(JsonForm):
    """Cumulative: `counts[i]` requests took at most `bounds[i]` milliseconds; all others of `total` took longer."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Counters(JsonForm):
    """What one version did since `process` began to count: numbers that only grow while `process` is the same.

    `retries` and `redispatches` are requests that failed on this version and were answered by another try: the client
    saw nothing, and the version failed all the same.
    """

    process: str  # another text means: counting began anew
    requests: int
    responses_5xx: int = 0
    connection_errors: int = 0
    response_errors: int = 0
    retries: int = 0
    redispatches: int = 0
    timeouts: int = 0
    up: bool | None = None  # what the backend's own check says
    latency: Latency | None = None

    @property
    def failures(self) -> int:
        """Requests that this version failed. A retry follows an error that may have been counted already, so the
        larger of both counts: a sum would count one failure twice."""
        seen = self.responses_5xx + self.connection_errors + self.response_errors + self.timeouts
        return max(seen, self.retries + self.redispatches)


class RouteMark(Protocol):
    """Who changed a route last, and which of its states it is."""

    @property
    def epoch(self) -> int | None: ...

    @property
    def etag(self) -> str | None: ...


class TrafficManager(Protocol):
    """One model's traffic at one place. Every operation may be called again after a crash, at any point.

    A backend that cannot be reached raises `UnavailableError`, one that a newer controller drives `FencedError`, and
    what it will never do, such as to unload what serves, is a `ConflictError`.
    """

    def capabilities(self) -> Capabilities: ...

    def prepare(self, version: ServedVersion) -> Prepared:
        """Brings a version to a place that has no share: its files, its process, its warm-up. Takes no traffic and
        does not wait: it is called again until it says READY or FAILED."""
        ...

    def observe(self) -> RouteState:
        """What is served, from the backend and not from memory."""
        ...

    def apply(self, wanted: WantedRoutes, *, epoch: int, expect: str | None = None) -> Receipt:
        """The whole vector. Refused for a version that is not READY, and for an epoch below one that was applied."""
        ...

    def verify(self, wanted: WantedRoutes) -> Verification:
        """Whether the shares and the identities observed are the wanted ones, within the backend's step."""
        ...

    def drain(self, digest: str) -> Drained:
        """How much is under way on a version without a share. Does not wait."""
        ...

    def retire(self, digest: str) -> None:
        """Unloads a version. Refused while it has a share, is the fallback, or a label points to it; without effect
        where it is not loaded."""
        ...

    def counters(self, digest: str) -> Counters | None:
        """None where nothing is known of it. No counters are no proof of health."""
        ...


Materialise = Callable[[ServedVersion, Path], None]
"""Brings the verified files of a version to a folder that does not exist yet, which appears whole or not at all."""


@dataclass(frozen=True)
class ManagerContext:
    """What a backend needs of the registry's side. `seconds` is a clock for leases: time since 1970, as the backend's
    own clock counts it."""

    model: str
    materialise: Materialise
    environ: Mapping[str, str]
    seconds: Callable[[], float]


def not_ready(version: str, arm: ArmState | None) -> ConflictError:
    """What `apply` raises for a version that cannot take traffic."""
    state = arm.readiness.value if arm else Readiness.ABSENT.value
    why = f" ({arm.reason})" if arm and arm.reason else ""
    return ConflictError(f"{short_digest(version)} is {state}{why} and takes no traffic. Prepare it first.")


def check_change(model: str, seen: RouteMark, epoch: int, expect: str | None) -> None:
    """Refuses a controller that was replaced, and one that has seen another state."""
    if seen.epoch is not None and epoch < seen.epoch:
        raise FencedError(
            f"A controller with the epoch {seen.epoch} drives the traffic of {model}; this one has {epoch}."
        )
    if expect is not None and expect != seen.etag:
        raise FencedError(f"The traffic of {model} was changed since it was observed.")


def wrong_share(state: RouteState, wanted: WantedRoutes, step: int) -> str | None:
    """The first version that has another share than it is to have, within the backend's step."""
    for share in wanted.shares:
        found = state.points(share.digest)
        if abs(found - share.points) >= step:
            return f"{short_digest(share.digest)} has {found / 100:g} % instead of {share.points / 100:g} %."
    return None


def check_retirement(state: RouteState, digest: str) -> None:
    """Refuses to unload what serves, what would serve, and what a label points to."""
    arm = state.arm(digest)
    if arm is None:
        return
    name = short_digest(digest)
    if state.points(digest):
        raise ConflictError(f"{name} still has {state.points(digest) / 100:g} % of the traffic and is not unloaded.")
    if state.fallback == digest:
        raise ConflictError(f"{name} would get all traffic when the lease ends, and is not unloaded.")
    if arm.labels:
        raise ConflictError(f"The label {arm.labels[0]!r} points to {name}, which is not unloaded.")

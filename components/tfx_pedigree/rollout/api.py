"""What can be asked and ordered of rollouts, wherever the registry is: in a database, or behind a server.

The controller is not part of it: it runs where the database is reached, and needs the target's config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Limit, Number, PromotionRequest, Reference, Version
from tfx_pedigree.rollout.plan import Plan
from tfx_pedigree.rollout.state import Ask, Rollout
from tfx_pedigree.rollout.traffic.api import ServedVersion
from tfx_pedigree.rollout.verdict import CountsVerdict
from tfx_pedigree.rollout.watch import Watch


@dataclass(frozen=True)
class Followed(JsonForm):
    """A change of the champion and the deployment that follows it, made in one transaction."""

    version: Version
    replaced: str | None
    changed: bool
    deployment: Rollout


@dataclass(frozen=True)
class Asked(JsonForm):
    """The rollout after what a person asked of it, and whether that changed anything."""

    rollout: Rollout
    changed: bool


@dataclass(frozen=True)
class RolloutStatus(JsonForm):
    """A rollout with what its judge has counted so far, and who drives it, as it was at that time."""

    rollout: Rollout
    watch: Watch | None
    controller: str | None
    at: datetime


class RolloutApi(Protocol):
    """Rollouts and deployments of a registry, for whoever opened it."""

    def rollouts(self, model: str | None = None, *, only_open: bool = False, limit: Limit = 50) -> tuple[Rollout, ...]:
        """Rollouts and deployments, newest first: of one model, or of all."""
        ...

    def rollout(self, model: str, number: Number | None = None) -> RolloutStatus:
        """Where a rollout stands, what was counted, and who drives it. Without a number it is the newest."""
        ...

    def champion(self, model: str) -> ServedVersion | None:
        """The version that should serve where no rollout is going on."""
        ...

    def start_rollout(self, model: str, version: str, target: str, plan: Plan, request: PromotionRequest) -> Rollout:
        """Orders a rollout of a version that may be promoted now. The champion is its baseline, pinned by its digest.

        A controller that knows the target carries it out.
        """
        ...

    def deploy(
        self, model: str, target: str, stable: ServedVersion | None = None, reason: str | None = None
    ) -> Rollout:
        """Orders that the traffic follows the champion. `stable` serves until the champion is ready."""
        ...

    def promote_and_deploy(
        self, reference: str | Reference, request: PromotionRequest, target: str, stable: ServedVersion | None = None
    ) -> Followed:
        """Promotes a version and orders the traffic to follow it, in one transaction."""
        ...

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
        """Makes the champion before this one serve again, in the registry and in the traffic: one decision."""
        ...

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
        """What the judge makes of counts, for who moves the traffic elsewhere: Argo Rollouts, a script.

        `share` is the candidate's in percent; `candidate` and `stable` are REQUESTS:FAILED since it has that share. Or
        both name a version, and `requests` and `failed` are queries that this process asks of Prometheus.
        """
        ...

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
        """The same as Flagger asks: what `verdict` takes stands in the hook's metadata. Harm is a conflict.

        With `until: healthy` in the metadata, what is not known yet is a conflict as well.
        """
        ...

    def ask(self, model: str, ask: Ask, reason: str) -> Asked:
        """Pauses, resumes, cuts short or aborts the rollout that is going on."""
        ...

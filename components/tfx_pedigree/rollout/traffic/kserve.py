"""A KServe `InferenceService` in serverless mode: its newest revision gets `canaryTrafficPercent`, the other the rest.

KServe takes for the baseline whatever it last saw at 100 %. Here the baseline is pinned: which version the spec holds,
which one is stable, and the stable one's revision are notes on the object; a revision without such a note is known to
nobody. A way back from 100 % is a new revision with the stable version's files, which takes as long as loading them.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.errors import ConflictError
from tfx_pedigree.json_form import JsonForm, read, to_json
from tfx_pedigree.rollout.traffic.api import (
    WHOLE,
    ArmState,
    Capabilities,
    Convergence,
    Counters,
    Drained,
    Fence,
    ManagerContext,
    Prepared,
    Readiness,
    Receipt,
    RouteState,
    ServedVersion,
    Share,
    Split,
    TrafficManager,
    Verification,
    WantedRoutes,
    check_change,
    check_retirement,
    not_ready,
    wrong_share,
)
from tfx_pedigree.rollout.traffic.bringing import brought
from tfx_pedigree.rollout.traffic.cluster import CLUSTER_KEYS, ClusterObject, ObjectKind, note, open_object, whole_note
from tfx_pedigree.text import plain, short_digest

KIND = ObjectKind("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService")
STEP = 100  # KServe knows whole percents
CAPABILITIES = Capabilities(step=STEP, split=Split.RANDOM, fence=Fence.EPOCH, counters=False, lease=False, drain=False)
_FAILED = ("BlockedByFailedLoad", "InvalidSpec")


@dataclass(frozen=True)
class Pinned(JsonForm):
    """A version, and the revision that serves it."""

    version: ServedVersion
    revision: str


@dataclass(frozen=True)
class InferenceState:
    """What was read. `held` is the version of the spec; `latest` its revision, None until KServe has made it."""

    found: Mapping[str, Any]
    held: ServedVersion | None
    stable: Pinned | None
    latest: str | None
    ready: str | None
    percents: Mapping[str, int]
    failure: str | None

    @property
    def epoch(self) -> int | None:
        return whole_note(self.found, "epoch")

    @property
    def etag(self) -> str:
        return str(self.found["metadata"].get("resourceVersion"))

    def version_of(self, revision: str) -> ServedVersion | None:
        if revision == self.latest:
            return self.held
        return self.stable.version if self.stable and revision == self.stable.revision else None

    def readiness(self, revision: str) -> tuple[Readiness, str | None]:
        if revision != self.latest or revision == self.ready:
            return Readiness.READY, None
        return (Readiness.FAILED, self.failure) if self.failure else (Readiness.LOADING, None)

    def routes(self) -> RouteState:
        names = sorted({*self.percents, *([self.latest] if self.latest and self.held else [])})
        arms = []
        for name in names:
            version, (readiness, reason) = self.version_of(name), self.readiness(name)
            points = self.percents.get(name, 0) * STEP
            arms.append(ArmState(name, version.digest if version else None, points, readiness, reason))
        fallback = self.stable.version.digest if self.stable else None
        return RouteState(tuple(arms), fallback, self.epoch, self.etag)


def open_kserve(settings: ConfigNode, context: ManagerContext) -> KserveTraffic:
    """`storage` is where KServe loads a version from, with {sequence} in it; `folder` the same place as the controller
    sees it."""
    found = settings.fields((*CLUSTER_KEYS, "storage", "folder"), required=("storage", "folder"))
    storage, folder = found["storage"].text(), Path(found["folder"].text())
    if "{sequence}" not in storage or not re.fullmatch(r"[a-z0-9]+://[^\s{}]*\{sequence\}[^\s{}]*", storage):
        raise found["storage"].must_be("an address with {sequence} in it, such as pvc://models/penguin/{sequence}")
    if not folder.is_absolute():
        raise found["folder"].must_be("an absolute path; ${here} is the config's folder")
    return KserveTraffic(open_object(KIND, found, settings), storage, folder, context)


class KserveTraffic(TrafficManager):
    def __init__(self, service: ClusterObject, storage: str, folder: Path, context: ManagerContext) -> None:
        self._service = service
        self._storage = storage
        self._folder = folder
        self._context = context

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def prepare(self, version: ServedVersion) -> Prepared:
        number = self._folder / str(version.sequence)
        going = None if number.exists() else brought(number, lambda: self._context.materialise(version, number))
        if going is not None:
            return going
        state = self._read()
        if state.held == version:
            if state.latest is None:
                return Prepared(Readiness.LOADING, "KServe has not made a revision of it yet")
            return Prepared(*state.readiness(state.latest))
        if state.stable and state.stable.version == version and state.percents.get(state.stable.revision):
            return Prepared(Readiness.READY)
        if state.held and state.latest and state.percents.get(state.latest) and not self._is_stable(state, state.held):
            raise ConflictError(f"{state.held.version} has a share, so {version.version} has no place. End that first.")
        # Without a version before it there is nothing that could serve instead.
        notes = {}
        if state.held and state.latest and self._is_stable(state, state.held):
            notes["stable"] = _pin(state.held, state.latest)  # a way back made a new revision of it
        self._replace(state, version, 0 if state.percents else None, notes)
        return Prepared(Readiness.LOADING)

    def observe(self) -> RouteState:
        return self._read().routes()

    def apply(self, wanted: WantedRoutes, *, epoch: int, expect: str | None = None) -> Receipt:
        state = self._read()
        check_change(self._context.model, state, epoch, expect)
        if wanted.mirror:
            raise ConflictError("KServe cannot mirror requests.")
        held, percent = self._split(state, wanted)
        notes = {"epoch": str(epoch)}
        if held.digest == wanted.fallback and percent is None and state.held == held and state.latest:
            notes["stable"] = _pin(held, state.latest)
        after = self._replace(state, held, percent, notes)
        given = WHOLE if percent is None else percent * STEP
        realised = {share.digest: given if share.digest == held.digest else 0 for share in wanted.shares}
        if percent is not None and state.stable:
            realised[state.stable.version.digest] = WHOLE - given
        etag = str(after["metadata"].get("resourceVersion"))
        return Receipt(tuple(Share(digest, points) for digest, points in realised.items()), etag)

    def verify(self, wanted: WantedRoutes) -> Verification:
        state = self._read()
        routes = state.routes()
        detail = wrong_share(routes, wanted, STEP)
        if detail is None:
            return Verification(Convergence.CONVERGED, routes)
        under_way = state.latest is None or self._percent(state) != state.percents.get(state.latest)
        return Verification(Convergence.PENDING if under_way else Convergence.DIVERGED, routes, detail)

    def drain(self, digest: str) -> Drained:
        """Knative ends a revision's requests itself, and does not tell how many there are."""
        return Drained(None)

    def retire(self, digest: str) -> None:
        state = self._read()
        check_retirement(state.routes(), digest)
        if state.held is None or state.held.digest != digest:
            return
        if state.stable is None:
            raise ConflictError(f"{short_digest(digest)} is all that the InferenceService has.")
        self._replace(state, state.stable.version, None, {})

    def counters(self, digest: str) -> Counters | None:
        return None

    def _split(self, state: InferenceState, wanted: WantedRoutes) -> tuple[ServedVersion, int | None]:
        """The version that the spec is to hold and its percent; None: everything."""
        held, stable = state.held, state.stable.version if state.stable else None
        shares = {share.digest: share.points for share in wanted.shares}
        known = {one.digest: one for one in (held, stable) if one is not None}
        for digest, points in shares.items():
            if points and digest not in known:
                raise not_ready(digest, None)
        if held is not None and held.digest in shares:
            points = shares[held.digest] // STEP * STEP
            if not points and stable is not None and state.stable and not state.percents.get(state.stable.revision):
                return stable, None  # at 100 % the candidate became KServe's own baseline: 0 % would change nothing
            readiness, reason = state.readiness(state.latest) if state.latest else (Readiness.LOADING, None)
            if points and readiness is not Readiness.READY:
                raise not_ready(held.digest, ArmState("", held.digest, 0, readiness, reason))
            return held, None if points == WHOLE else points // STEP
        if stable is not None and shares.get(stable.digest) == WHOLE:
            return (held, 0) if held is not None and held != stable else (stable, None)
        raise not_ready(wanted.fallback, None)

    def _is_stable(self, state: InferenceState, version: ServedVersion) -> bool:
        return state.stable is not None and state.stable.version == version

    def _percent(self, state: InferenceState) -> int:
        percent = state.found["spec"]["predictor"].get("canaryTrafficPercent")
        return percent if isinstance(percent, int) else 100

    def _replace(
        self, state: InferenceState, held: ServedVersion, percent: int | None, notes: Mapping[str, str]
    ) -> dict[str, Any]:
        changed = copy.deepcopy(dict(state.found))
        predictor = changed["spec"]["predictor"]
        if percent is None:
            predictor.pop("canaryTrafficPercent", None)
        else:
            predictor["canaryTrafficPercent"] = percent
        predictor["model"]["storageUri"] = self._storage.replace("{sequence}", str(held.sequence))
        held_note = json.dumps(to_json(held))
        same = changed == state.found and note(state.found, "held") == held_note
        if same and all(note(state.found, key) == value for key, value in notes.items()):
            return dict(state.found)
        return self._service.replace(changed, {**notes, "held": held_note})

    def _read(self) -> InferenceState:
        found = self._service.read()
        predictor = (found.get("spec") or {}).get("predictor")
        if not isinstance(predictor, dict) or not isinstance(predictor.get("model"), dict):
            raise ConflictError(f"{self._service.title} has no `spec.predictor.model`, whose storageUri could be set.")
        status = found.get("status") or {}
        own = (status.get("components") or {}).get("predictor") or {}
        seen = status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
        percents: dict[str, int] = {}
        for one in own.get("traffic") or ():
            if isinstance(one.get("percent"), int) and isinstance(one.get("revisionName"), str):
                percents[one["revisionName"]] = percents.get(one["revisionName"], 0) + one["percent"]
        model = status.get("modelStatus") or {}
        failure = None
        if seen and model.get("transitionStatus") in _FAILED:
            failure = plain(str((model.get("lastFailureInfo") or {}).get("message") or model["transitionStatus"]), 200)
        held, stable = _noted(found, "held", ServedVersion), _noted(found, "stable", Pinned)
        latest = own.get("latestCreatedRevision") if seen else None
        return InferenceState(found, held, stable, latest, own.get("latestReadyRevision"), percents, failure)


def _pin(version: ServedVersion, revision: str) -> str:
    return json.dumps(to_json(Pinned(version, revision)))


def _noted(found: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
    text = note(found, key)
    return None if text is None else read(kind, parse_json(text, f"the note {key}"), f"the note {key}")

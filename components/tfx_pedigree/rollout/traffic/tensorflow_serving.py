"""TensorFlow Serving by itself: one server has both versions loaded, and the label `stable` says which one serves.

Clients ask for the label: `/v1/models/NAME/labels/stable:predict`. There are no shares: a label is moved in one step,
and the server counts requests without their version, so that a canary needs a load balancer in front of two servers.
What a server does when its config file changes is not told by the change itself, so nothing is believed here but its
status: a version is labelled only after it is AVAILABLE, and one that a label points to is never unloaded.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from tfx_pedigree.bounded_parse import parse_json, read_bounded
from tfx_pedigree.comparison.config_reader import ConfigNode
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import ConflictError, UnavailableError
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
    Materialise,
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
from tfx_pedigree.rollout.traffic.files import locked, write_whole
from tfx_pedigree.rollout.traffic.places import read_address
from tfx_pedigree.rollout.traffic.serving_config import ModelEntry, with_entry
from tfx_pedigree.rollout.traffic.serving_status import LoadState, LoadStatus, load_states
from tfx_pedigree.store.durable import sync_folder

STABLE = "stable"
CAPABILITIES = Capabilities(step=WHOLE, split=Split.NONE, fence=Fence.EPOCH, counters=False, lease=False, drain=False)
_GONE = ".pedigree-gone-"


@dataclass(frozen=True)
class ServingSettings:
    model: str
    serves_as: str
    address: str
    config: Path
    folder: Path
    materialise: Materialise

    @property
    def ledger(self) -> Path:
        return self.config.with_name(f"{self.config.name}.{self.model}.pedigree.json")


@dataclass(frozen=True)
class Loaded(JsonForm):
    """What the config file asks for, and which digests its numbers are. Written before the config file."""

    versions: tuple[ServedVersion, ...] = ()
    stable: str | None = None  # the digest of what the label is to point to
    fallback: str | None = None  # what is kept for the way back
    epoch: int = 0
    change: int = 0

    @property
    def etag(self) -> str:
        return str(self.change)

    def version(self, digest: str | None) -> ServedVersion | None:
        return next((one for one in self.versions if one.digest == digest), None)

    def entry(self, settings: ServingSettings) -> ModelEntry:
        stable = self.version(self.stable)
        numbers = tuple(sorted(one.sequence for one in self.versions))
        labels = {STABLE: stable.sequence} if stable else {}
        return ModelEntry(settings.serves_as, str(settings.folder), numbers, labels)


def open_serving(settings: ConfigNode, context: ManagerContext) -> TensorFlowServing:
    return TensorFlowServing(read_settings(settings, context))


def read_settings(settings: ConfigNode, context: ManagerContext) -> ServingSettings:
    known = ("address", "config", "folder", "serves_as")
    found = settings.fields(known, required=("address", "config", "folder"))
    config, folder = (Path(found[key].text()) for key in ("config", "folder"))
    for key, path in (("config", config), ("folder", folder)):
        if not path.is_absolute() or '"' in str(path):
            raise found[key].must_be("an absolute path; ${here} is the config's folder")
    name = found["serves_as"].text() if "serves_as" in found else context.model
    return ServingSettings(context.model, name, read_address(found["address"]), config, folder, context.materialise)


class TensorFlowServing(TrafficManager):
    def __init__(self, settings: ServingSettings) -> None:
        self._settings = settings

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def prepare(self, version: ServedVersion) -> Prepared:
        with self._lock():
            loaded = self._loaded()
            if loaded.version(version.digest) is None:
                if any(one.sequence == version.sequence for one in loaded.versions):
                    raise ConflictError(
                        f"The server has other files as version {version.sequence}. Retire those first."
                    )
                # What serves, what is kept for the way back, and this one.
                serving = self._serving()
                kept = tuple(one for one in loaded.versions if _is_kept(one, loaded, serving))
                leaving = [one for one in loaded.versions if one not in kept]
                loaded = replace(loaded, versions=(*kept, version), change=loaded.change + 1)
                write_whole(self._settings.ledger, canonical_json(to_json(loaded)))
                self._write(loaded)
                for one in leaving:
                    self._remove(one)
        number = self._settings.folder / str(version.sequence)
        going = None if number.exists() else brought(number, lambda: self._bring(version, number))
        if going is not None:
            return going
        with self._lock():
            self._write(self._loaded())
        readiness, reason = _readiness(self._states().get(version.sequence))
        return Prepared(readiness, reason)

    def _bring(self, version: ServedVersion, number: Path) -> None:
        with locked(self._settings.folder / ".pedigree-lock-files"):
            if not number.exists():
                self._settings.materialise(version, number)
                sync_folder(self._settings.folder)

    def observe(self) -> RouteState:
        return self._state(self._loaded(), self._states(), self._serving())

    def apply(self, wanted: WantedRoutes, *, epoch: int, expect: str | None = None) -> Receipt:
        with self._lock():
            loaded = self._loaded()
            check_change(self._settings.model, loaded, epoch, expect)
            if wanted.mirror:
                raise ConflictError("TensorFlow Serving cannot mirror requests.")
            whole = next((one.digest for one in wanted.shares if one.points == WHOLE), wanted.fallback)
            version = loaded.version(whole)
            readiness, reason = _readiness(self._states().get(version.sequence) if version else None)
            if version is None or (readiness is not Readiness.READY and whole != loaded.stable):
                raise not_ready(whole, ArmState("", whole, 0, readiness, reason) if version else None)
            after = replace(loaded, stable=whole, fallback=wanted.fallback, epoch=epoch)
            after = replace(after, change=loaded.change + (after != loaded))
            write_whole(self._settings.ledger, canonical_json(to_json(after)))
            self._write(after)
        realised = tuple(Share(one.digest, WHOLE * (one.digest == whole)) for one in wanted.shares)
        return Receipt(realised, after.etag)

    def verify(self, wanted: WantedRoutes) -> Verification:
        loaded, states, serving = self._loaded(), self._states(), self._serving()
        state = self._state(loaded, states, serving)
        detail = wrong_share(state, wanted, WHOLE)
        if detail is None:
            return Verification(Convergence.CONVERGED, state)
        asked = loaded.version(loaded.stable)
        pending = asked is not None and asked.sequence != serving and wanted.points(asked.digest) == WHOLE
        return Verification(Convergence.PENDING if pending else Convergence.DIVERGED, state, detail)

    def drain(self, digest: str) -> Drained:
        """The server answers what it has before it unloads a version, and does not tell how much that is."""
        return Drained(None)

    def retire(self, digest: str) -> None:
        with self._lock():
            loaded, serving = self._loaded(), self._serving()
            version = loaded.version(digest)
            if version is None:
                return
            # Also what the file asks for, and not only what the label is seen to point to.
            for pointed in {serving, getattr(loaded.version(loaded.stable), "sequence", None)} - {None}:
                check_retirement(
                    self._state(loaded, {version.sequence: LoadStatus(LoadState.AVAILABLE)}, pointed), digest
                )
            kept = tuple(one for one in loaded.versions if one.digest != digest)
            after = replace(loaded, versions=kept, change=loaded.change + 1)
            write_whole(self._settings.ledger, canonical_json(to_json(after)))
            self._write(after)
        self._remove(version)

    def counters(self, digest: str) -> Counters | None:
        return None

    def _lock(self) -> AbstractContextManager[None]:
        """One for the file, and so for all models in it."""
        return locked(self._settings.config.with_name(f".{self._settings.config.name}.pedigree-lock"))

    def _loaded(self) -> Loaded:
        path = self._settings.ledger
        try:
            data = read_bounded(path)
        except FileNotFoundError:
            return Loaded()
        except OSError as error:
            raise UnavailableError(f"{path} cannot be read: {error.strerror}.") from error
        return read(Loaded, parse_json(data, str(path)), str(path))

    def _write(self, loaded: Loaded) -> None:
        """Only versions whose files are there: the server would refuse the whole file for one that is not."""
        there = tuple(one for one in loaded.versions if (self._settings.folder / str(one.sequence)).exists())
        path, entry = self._settings.config, replace(loaded, versions=there).entry(self._settings)
        try:
            before = read_bounded(path).decode()
        except FileNotFoundError:
            before = ""
        except (OSError, UnicodeDecodeError) as error:
            raise UnavailableError(f"{path} cannot be read.") from error
        after = with_entry(before, entry if there else None, self._settings.serves_as)
        if after != before:
            write_whole(path, after.encode())

    def _remove(self, version: ServedVersion) -> None:
        with locked(self._settings.folder / ".pedigree-lock-files"):
            number = self._settings.folder / str(version.sequence)
            if number.exists():
                # A name of its own: what a process before this one renamed may still be there.
                number.rename(self._settings.folder / f"{_GONE}{version.sequence}-{secrets.token_hex(4)}")
            for gone in self._settings.folder.glob(f"{_GONE}*"):
                shutil.rmtree(gone, ignore_errors=True)

    def _states(self) -> Mapping[int, LoadStatus]:
        return load_states(self._settings.address, self._settings.serves_as)

    def _serving(self) -> int | None:
        """The version that the label points to, as the server says."""
        found = load_states(self._settings.address, self._settings.serves_as, STABLE)
        return next((number for number, one in found.items() if one.state is LoadState.AVAILABLE), None)

    def _state(self, loaded: Loaded, states: Mapping[int, LoadStatus], serving: int | None) -> RouteState:
        digests = {one.sequence: one.digest for one in loaded.versions}
        arms = []
        for number in sorted({*states, *([serving] if serving is not None else [])}):
            readiness, reason = _readiness(states.get(number))
            if readiness is Readiness.ABSENT and number != serving:
                continue
            points, labels = (WHOLE, (STABLE,)) if number == serving else (0, ())
            arms.append(ArmState(str(number), digests.get(number), points, readiness, reason, labels=labels))
        return RouteState(tuple(arms), loaded.fallback, loaded.epoch or None, loaded.etag)


def _is_kept(version: ServedVersion, loaded: Loaded, serving: int | None) -> bool:
    return version.digest in (loaded.stable, loaded.fallback) or version.sequence == serving


def _readiness(status: LoadStatus | None) -> tuple[Readiness, str | None]:
    if status is None:
        return Readiness.LOADING, "the server has not seen it yet"
    if status.error is not None:
        return Readiness.FAILED, status.error
    if status.state is LoadState.AVAILABLE:
        return Readiness.READY, None
    if status.state in (LoadState.END, LoadState.UNLOADING):
        return Readiness.ABSENT, None
    return Readiness.LOADING, None

"""Every byte read again. Only what is wrong is held in memory, so a store of any size can be verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tfx_pedigree.digest import PREFIX, check_digest
from tfx_pedigree.errors import DamagedError, NotFoundError, UnavailableError
from tfx_pedigree.progress import Progress
from tfx_pedigree.store.backend import (
    MANIFESTS,
    OBJECTS,
    Backend,
    Stored,
    manifest_key,
    object_key,
    sha256_of_key,
)
from tfx_pedigree.store.manifest import Manifest
from tfx_pedigree.store.parallel import Meter, spread
from tfx_pedigree.store.reading import hash_object, read_manifest


@dataclass(frozen=True, slots=True)
class Problem:
    kind: Literal["object", "manifest"]
    name: str
    """SHA-256 of the object, or digest of the version."""
    state: Literal["damaged", "missing"]
    versions: tuple[str, ...]
    """Digests of the versions that cannot be used because of it."""
    paths: tuple[str, ...]
    """What the object is called in them."""
    set_aside: bool
    """Moved to `damaged/`: storing the same bytes again heals it."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    versions: int
    objects: int
    size: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass
class _Found:
    """One thing that is wrong, while its owners are being looked for."""

    kind: Literal["object", "manifest"]
    state: Literal["damaged", "missing"]
    set_aside: bool = False
    versions: dict[str, None] = field(default_factory=dict)
    paths: dict[str, None] = field(default_factory=dict)


class _Verification:
    def __init__(self, backend: Backend, set_aside: bool) -> None:
        self.backend, self.set_aside = backend, set_aside
        self.versions = self.objects = self.size = 0
        self.found: dict[str, _Found] = {}

    def read_objects(self, objects: Iterable[Stored], meter: Meter) -> None:
        def work(stored: Stored) -> str | None:
            return hash_object(self.backend, stored.key, meter.step(stored.key))

        for stored, sha256 in spread(work, objects, meter):
            self.objects += 1
            self.size += max(0, stored.size)
            name = sha256_of_key(stored.key)
            if sha256 is not None and sha256 != name:
                self.found[name or stored.key] = _Found("object", "damaged", self._move(stored))

    def read_manifests(self, digests: Iterable[str]) -> None:
        """Finds what the versions lack, and whom the damage hits."""
        for digest in digests:
            try:
                manifest = read_manifest(self.backend, digest)
            except NotFoundError:
                self.found[digest] = _Found("manifest", "missing", versions={digest: None})
                continue
            except DamagedError:
                stored = self.backend.stat(manifest_key(digest))
                moved = stored is not None and self._move(stored)
                self.found[digest] = _Found("manifest", "damaged", moved, versions={digest: None})
                continue
            self.versions += 1
            self._blame(manifest)

    def _blame(self, manifest: Manifest) -> None:
        for entry in manifest.files:
            found = self.found.get(entry.sha256)
            if found is None:
                stored = self.backend.stat(object_key(entry.sha256))
                if stored is not None and stored.size == entry.size:
                    continue
                state: Literal["damaged", "missing"] = "missing" if stored is None else "damaged"
                moved = stored is not None and self._move(stored)
                found = self.found.setdefault(entry.sha256, _Found("object", state, moved))
            found.versions[manifest.digest] = None
            found.paths[entry.path] = None

    def _move(self, stored: Stored) -> bool:
        """Only what is still the file that was read: a put may have healed it meanwhile."""
        if not self.set_aside:
            return False
        try:
            with self.backend.deleting():
                return self.backend.set_aside(stored)
        except UnavailableError:  # a read-only store can still be verified
            return False

    def report(self) -> VerifyReport:
        problems = (
            Problem(f.kind, name, f.state, tuple(f.versions), tuple(f.paths), f.set_aside)
            for name, f in sorted(self.found.items())
        )
        return VerifyReport(self.versions, self.objects, self.size, tuple(problems))


def verify(backend: Backend, digests: Iterable[str] | None, progress: Progress, set_aside: bool) -> VerifyReport:
    run = _Verification(backend, set_aside)
    if digests is None:
        meter = Meter(progress, sum(max(0, stored.size) for stored in backend.walk(OBJECTS)))
        run.read_objects(backend.walk(OBJECTS), meter)
        run.read_manifests(_all_digests(backend))
    else:
        wanted = [check_digest(digest) for digest in dict.fromkeys(digests)]
        objects = list(_objects_of(backend, wanted))
        meter = Meter(progress, sum(max(0, stored.size) for stored in objects))
        run.read_objects(objects, meter)
        run.read_manifests(wanted)
    meter.finish("verify")
    return run.report()


def _all_digests(backend: Backend) -> Iterator[str]:
    for stored in backend.walk(MANIFESTS):
        if sha256 := sha256_of_key(stored.key):
            yield PREFIX + sha256


def _objects_of(backend: Backend, digests: Iterable[str]) -> Iterator[Stored]:
    seen: set[str] = set()
    for digest in digests:
        try:
            manifest = read_manifest(backend, digest)
        except (NotFoundError, DamagedError):
            continue  # read_manifests reports it
        for entry in manifest.files:
            if entry.sha256 not in seen:
                seen.add(entry.sha256)
                if stored := backend.stat(object_key(entry.sha256)):
                    yield stored

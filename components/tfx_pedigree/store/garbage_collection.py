"""The only place where something is deleted: what no kept version refers to, once it is old enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, islice

from tfx_pedigree.digest import PREFIX, check_digest
from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.store.backend import (
    DAMAGED,
    MANIFESTS,
    OBJECTS,
    Backend,
    Stored,
    manifest_key,
    sha256_of_key,
)
from tfx_pedigree.store.reading import read_manifest

BATCH = 500
"""Deletions for which puts have to wait at a time."""


@dataclass(frozen=True, slots=True)
class GcReport:
    """What was deleted; with `dry_run`, what would be."""

    dry_run: bool
    kept: int
    """Versions that stay, those among them that are only too young included."""
    versions: tuple[str, ...]
    objects: int
    size: int
    """Bytes of the objects."""
    leftovers: int
    """Files that killed processes left behind."""


class _Sweep:
    def __init__(self, backend: Backend, keep: frozenset[str], before: float, dry_run: bool) -> None:
        self.backend, self.keep, self.before, self.dry_run = backend, keep, before, dry_run
        self.live: set[bytes] = set()
        self.marked: set[str] = set()
        """Versions whose objects are in `live`."""
        self.doomed: list[Stored] = []
        self.versions: list[str] = []
        self.objects = self.size = self.leftovers = 0

    def mark(self) -> None:
        for stored in self.backend.walk(MANIFESTS):
            digest = PREFIX + sha256_of_key(stored.key)
            if len(digest) == len(PREFIX):
                continue
            if digest in self.keep or stored.modified > self.before:
                self.mark_one(digest)
            else:
                self.doomed.append(stored)

    def mark_one(self, digest: str) -> None:
        """A version that cannot be read stops the gc: nobody knows what it refers to."""
        self.live.update(bytes.fromhex(entry.sha256) for entry in read_manifest(self.backend, digest).files)
        self.marked.add(digest)

    def mark_new(self) -> None:
        """Versions that were stored, or stored again, since `mark`. Called while none can be."""
        gone = {stored.key for stored in self.doomed}
        for stored in self.backend.walk(MANIFESTS):
            digest = PREFIX + sha256_of_key(stored.key)
            if digest in self.marked or len(digest) == len(PREFIX):
                continue
            if stored.key not in gone or stored.modified > self.before:
                self.mark_one(digest)

    def sweep_manifests(self) -> None:
        """Before their objects, so that no version ever refers to an object that is gone."""
        for batch in _batches(self.doomed):
            for stored in self._deletable(batch, fresh=lambda s: s.modified <= self.before):
                self.versions.append(PREFIX + sha256_of_key(stored.key))

    def sweep_objects(self) -> None:
        for batch in _batches(filter(self._is_garbage, self.backend.walk(OBJECTS))):
            for stored in self._deletable(batch, fresh=self._is_garbage):
                self.objects += 1
                self.size += max(0, stored.size)

    def sweep_leftovers(self) -> None:
        damaged = filter(self._is_superseded, self.backend.files(DAMAGED))
        for stored in chain(self.backend.leftovers(self.before), damaged):
            self.leftovers += 1
            if not self.dry_run:
                self.backend.remove(stored.key)

    def _is_garbage(self, stored: Stored) -> bool:
        sha256 = sha256_of_key(stored.key)
        return bool(sha256) and bytes.fromhex(sha256) not in self.live and stored.modified <= self.before

    def _is_superseded(self, stored: Stored) -> bool:
        """Of damaged files that were set aside: those that were healed, or that nobody needs any more."""
        key = stored.key.partition("/")[2].replace("-", "/")
        sha256 = sha256_of_key(key)
        if not sha256 or stored.modified > self.before:
            return False
        needed = PREFIX + sha256 in self.keep or bytes.fromhex(sha256) in self.live
        return not needed or self.backend.stat(key) is not None

    def _deletable(self, batch: list[Stored], fresh: Callable[[Stored], bool]) -> Iterator[Stored]:
        """Deletes what is still garbage when looked at under the lock."""
        if self.dry_run:
            yield from batch
            return
        with self.backend.deleting() as still_held:
            self.mark_new()
            for stored in batch:
                now = self.backend.stat(stored.key)
                if now is not None and fresh(now):
                    still_held()
                    self.backend.remove(stored.key)
                    yield now


def collect_garbage(backend: Backend, keep: Iterable[str], *, dry_run: bool, grace: timedelta, force: bool) -> GcReport:
    wanted = frozenset(check_digest(digest) for digest in keep)
    if grace < timedelta(0):
        raise InvalidInputError(f"A grace period of {grace} is negative. Give zero or more.")
    sweep = _Sweep(backend, wanted, backend.now() - grace.total_seconds(), dry_run)
    if not force:
        _check_keep(backend, wanted)
    sweep.mark()
    sweep.sweep_manifests()
    sweep.sweep_objects()
    sweep.sweep_leftovers()
    return GcReport(dry_run, len(sweep.marked), tuple(sweep.versions), sweep.objects, sweep.size, sweep.leftovers)


def _check_keep(backend: Backend, keep: frozenset[str]) -> None:
    missing = sorted(digest for digest in keep if backend.stat(manifest_key(digest)) is None)
    if missing:
        raise ConflictError(
            f"Nothing was deleted: {len(missing)} versions that must be kept are not in the store "
            f"{backend.url}, for "
            f"example {missing[0]}. Is it the right store? Store them again, or pass --force to go on "
            "without them."
        )
    if not keep and next(iter(backend.walk(MANIFESTS)), None) is not None:
        raise ConflictError(
            f"Nothing was deleted: no version of the store {backend.url} was named to be kept, so all "
            "would go. "
            "Is it the right registry? Name the versions to keep, or pass --force to keep none."
        )


def _batches(items: Iterable[Stored]) -> Iterator[list[Stored]]:
    source = iter(items)
    while batch := list(islice(source, BATCH)):
        yield batch

"""What every store does, wherever it lies."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from store_testing import FILES, MakeModel, tree_of

from tfx_pedigree.errors import ConflictError, DamagedError, InvalidInputError, NotFoundError
from tfx_pedigree.store import Manifest, Store, manifest_of

_numbers = itertools.count()
NOW = timedelta(0)
ABSENT = "sha256:" + "0" * 64


class Conformance:
    """Subclasses say how a store is opened (the fixture `opened`), and how a byte in it is broken behind its back."""

    overwrite_key: Callable[[Any, Store, str, bytes | None], None]

    @pytest.fixture
    def store(self, opened: Callable[..., Store]) -> Store:
        return opened(create=True)

    def overwrite(self, store: Store, sha256: str, data: bytes | None) -> None:
        self.overwrite_key(store, f"objects/{sha256[:2]}/{sha256[2:]}", data)

    def test_what_was_put_comes_back_byte_for_byte(self, store: Store, model: Path, tmp_path: Path) -> None:
        digest = store.put(model).digest
        assert tree_of(store.materialise(digest, tmp_path / "out")) == tree_of(model)

    def test_identity_is_that_of_the_content(self, store: Store, model: Path) -> None:
        manifest = store.put(model)
        assert manifest == manifest_of(model) == store.manifest(manifest.digest)
        assert {f.path: f.sha256 for f in manifest.files} == {
            path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()
        }
        assert manifest.total_size == sum(map(len, FILES.values()))

    def test_putting_twice_is_putting_once(self, store: Store, model: Path) -> None:
        assert store.put(model) == store.put(model)
        assert store.verify().objects == len(FILES)

    def test_a_store_opened_again_holds_what_was_put(
        self, store: Store, opened: Callable[..., Store], model: Path
    ) -> None:
        digest = store.put(model).digest
        assert opened().has(digest)
        assert opened(create=True).manifest(digest).digest == digest

    def test_a_file_of_two_versions_is_stored_once(self, store: Store, make_model: MakeModel) -> None:
        store.put(make_model("a"))
        store.put(make_model("b", {**FILES, "saved_model.pb": b"another graph"}))
        report = store.verify()
        assert (report.versions, report.objects) == (2, len(FILES) + 1)

    def test_one_file_is_a_version_too(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "model.tflite").write_bytes(b"flat")
        digest = store.put(tmp_path / "model.tflite").digest
        assert tree_of(store.materialise(digest, tmp_path / "out")) == {"model.tflite": b"flat"}

    def test_empty_files_are_kept(self, store: Store, make_model: MakeModel, tmp_path: Path) -> None:
        digest = store.put(make_model("m", {"empty": b"", "full": b"x"})).digest
        assert tree_of(store.materialise(digest, tmp_path / "out")) == {"empty": b"", "full": b"x"}

    def test_large_files_arrive_whole(self, store: Store, make_model: MakeModel, tmp_path: Path) -> None:
        files = {"big": bytes(range(256)) * (12 << 12), "odd": b"x" * ((9 << 20) + 7)}
        model = make_model("m", files)
        digest = store.put(model).digest
        assert store.put(model).digest == digest
        assert tree_of(store.materialise(digest, tmp_path / "out")) == files

    def test_an_unknown_version_is_not_found(self, store: Store, tmp_path: Path) -> None:
        assert not store.has(ABSENT)
        for ask in (store.manifest, store.objects_of, lambda d: store.materialise(d, tmp_path / "out")):
            with pytest.raises(NotFoundError, match=ABSENT):
                ask(ABSENT)
        assert not (tmp_path / "out").exists()

    def test_what_is_no_digest_is_refused(self, store: Store) -> None:
        for text in ("", "0" * 64, "sha256:" + "A" * 64, "sha256:../../../etc/passwd"):
            with pytest.raises(InvalidInputError, match="is not a digest"):
                store.has(text)

    def test_one_file_can_be_read_without_the_others(self, store: Store, model: Path) -> None:
        digest = store.put(model).digest
        with store.open_file(digest, "saved_model.pb") as stream:
            assert stream.read() == b"graph"
        with pytest.raises(NotFoundError, match=r"has no file 'nothing'.*saved_model\.pb"):
            store.open_file(digest, "nothing")

    @pytest.mark.parametrize("damage", [b"grapH", b"gra", b"", None])
    def test_damaged_bytes_are_never_handed_out(
        self, store: Store, model: Path, tmp_path: Path, damage: bytes | None
    ) -> None:
        digest = store.put(model).digest
        sha256 = hashlib.sha256(b"graph").hexdigest()
        self.overwrite(store, sha256, damage)
        with pytest.raises(DamagedError, match=sha256):
            store.open_file(digest, "saved_model.pb")
        with pytest.raises(DamagedError, match=sha256):
            store.materialise(digest, tmp_path / "out" / "model")
        assert list((tmp_path / "out").iterdir()) == []
        with pytest.raises(DamagedError, match=sha256):
            store.copy_object(sha256, io.BytesIO())

    @pytest.mark.parametrize("damage", [b"grapH", b"gra", None])
    def test_damage_is_named_and_healed_by_storing_the_same_model_again(
        self, store: Store, model: Path, make_model: MakeModel, damage: bytes | None
    ) -> None:
        digest = store.put(model).digest
        other = store.put(make_model("other", {"unhurt": b"fine"})).digest
        sha256 = hashlib.sha256(b"graph").hexdigest()
        self.overwrite(store, sha256, damage)
        for report in (store.verify([digest], set_aside=False), store.verify()):
            (problem,) = report.problems
            assert (problem.kind, problem.name) == ("object", sha256)
            assert problem.state == ("missing" if damage is None else "damaged")
            assert problem.versions == (digest,)
            assert problem.paths == ("saved_model.pb",)
        assert store.verify([other]).ok
        store.put(model)
        assert store.verify().ok
        assert store.open_file(digest, "saved_model.pb").read() == b"graph"

    def test_healing_needs_no_verification_first(self, store: Store, model: Path) -> None:
        digest = store.put(model).digest
        self.overwrite(store, hashlib.sha256(b"graph").hexdigest(), b"grapH")
        store.put(model, heal=True)
        assert store.verify([digest]).ok

    def test_a_damaged_manifest_is_noticed_and_healed(self, store: Store, model: Path) -> None:
        digest = store.put(model).digest
        self.overwrite_key(store, f"manifests/{digest[7:9]}/{digest[9:]}", b"{}")
        with pytest.raises(DamagedError, match=digest):
            store.manifest(digest)
        (problem,) = store.verify().problems
        assert (problem.kind, problem.name, problem.state) == ("manifest", digest, "damaged")
        store.put(model)
        assert store.verify().ok

    def test_gc_deletes_nothing_unless_told(self, store: Store, model: Path, make_model: MakeModel) -> None:
        old, kept = store.put(make_model("old", {"a": b"1", "b": b"22"})).digest, store.put(model).digest
        report = store.gc([kept], grace=NOW)
        assert report.dry_run
        assert (report.versions, report.objects, report.size) == ((old,), 2, 3)
        assert store.has(old)
        assert store.verify().objects == len(FILES) + 2

    def test_gc_deletes_what_nobody_refers_to_and_only_that(
        self, store: Store, make_model: MakeModel, tmp_path: Path
    ) -> None:
        kept = store.put(make_model("kept")).digest
        gone = store.put(make_model("gone", {**FILES, "saved_model.pb": b"another graph"})).digest
        rehearsal = store.gc([kept], grace=NOW)
        report = store.gc([kept], grace=NOW, dry_run=False)
        assert (report.versions, report.objects, report.kept) == ((gone,), 1, 1)
        assert (rehearsal.versions, rehearsal.objects, rehearsal.size) == (report.versions, report.objects, report.size)
        assert not store.has(gone)
        assert store.verify().ok
        assert tree_of(store.materialise(kept, tmp_path / "out")) == FILES | {"assets": b"", "variables": b""}

    def test_gc_spares_what_is_young(self, store: Store, model: Path) -> None:
        digest = store.put(model).digest
        report = store.gc([], dry_run=False, force=True)
        assert (report.versions, report.objects, report.kept) == ((), 0, 1)
        assert store.verify([digest]).ok

    def test_gc_refuses_a_list_that_belongs_to_another_store(self, store: Store, model: Path) -> None:
        digest = store.put(model).digest
        for keep in ([ABSENT, digest], []):
            with pytest.raises(ConflictError, match="Nothing was deleted"):
                store.gc(keep, grace=NOW, dry_run=False)
        assert store.has(digest)
        assert store.gc([ABSENT, digest], grace=NOW, dry_run=False, force=True).versions == ()

    def test_gc_stops_at_a_version_that_it_cannot_read(self, store: Store, model: Path) -> None:
        digest = store.put(model).digest
        self.overwrite_key(store, f"manifests/{digest[7:9]}/{digest[9:]}", b"{}")
        with pytest.raises(DamagedError):
            store.gc([digest], grace=NOW, dry_run=False)
        assert store.verify(set_aside=False).objects == len(FILES)

    def test_gc_keeps_a_damaged_file_until_it_is_healed(self, store: Store, model: Path) -> None:
        digest = store.put(model).digest
        self.overwrite(store, hashlib.sha256(b"graph").hexdigest(), b"grapH")
        store.verify()
        assert store.gc([digest], grace=NOW, dry_run=False).leftovers == 0
        store.put(model)
        assert store.gc([digest], grace=NOW, dry_run=False).leftovers == 1
        assert store.verify().ok

    def test_a_version_travels_to_another_store(self, store: Store, local: Store, model: Path) -> None:
        digest = store.put(model).digest
        for item in store.objects_of(digest):
            held = io.BytesIO()
            assert store.copy_object(item.sha256, held) == item.size
            held.seek(0)
            local.put_object(held, item.sha256, item.size)
        assert local.put_manifest(store.manifest(digest).to_json()).digest == digest
        assert local.verify([digest]).ok

    def test_a_version_arrives_from_another_store(self, store: Store, local: Store, model: Path) -> None:
        digest = local.put(model).digest
        with pytest.raises(NotFoundError, match=r"its object \w+ \(.*\) is not in"):
            store.put_manifest(local.manifest(digest))
        assert not store.has(digest)
        for item in local.objects_of(digest):
            held = io.BytesIO()
            local.copy_object(item.sha256, held)
            held.seek(0)
            store.put_object(held, item.sha256, item.size)
        assert store.put_manifest(local.manifest(digest)) == local.manifest(digest)
        assert store.verify([digest]).ok

    def test_bytes_that_are_not_what_they_claim_are_not_stored(self, store: Store) -> None:
        sha256 = hashlib.sha256(b"good").hexdigest()
        for data, size in [(b"evil", 4), (b"good!", 4), (b"goo", 4), (b"good", 5)]:
            with pytest.raises(DamagedError, match=sha256):
                store.put_object(io.BytesIO(data), sha256, size)
        assert store.verify().objects == 0

    def test_an_endless_stream_is_cut_off(self, store: Store) -> None:
        class Endless(io.RawIOBase):
            taken = 0

            def readinto(self, view: memoryview) -> int:  # type: ignore[override]
                self.taken += len(view)
                return len(view)

        stream = Endless()
        with pytest.raises(DamagedError):
            store.put_object(stream, "0" * 64, 1000)  # type: ignore[arg-type]
        assert stream.taken <= 1001

    def test_progress_never_falls_and_ends_at_the_total(self, store: Store, model: Path, tmp_path: Path) -> None:
        calls: list[tuple[int, int]] = []

        def note(done: int, total: int, what: str) -> None:
            calls.append((done, total))

        digest = store.put(model, progress=note).digest
        for work in (
            lambda: manifest_of(model, progress=note),
            lambda: store.put(model, progress=note),
            lambda: store.verify(progress=note),
            lambda: store.verify([digest], progress=note),
            lambda: store.materialise(digest, tmp_path / "out", progress=note),
            lambda: store.materialise(digest, tmp_path / "out", progress=note),
        ):
            size = sum(map(len, FILES.values()))
            assert [done for done, _ in calls] == sorted(done for done, _ in calls)
            assert calls[-1] == (size, size)
            assert {total for _, total in calls} == {size}
            calls.clear()
            work()


class TestLocal(Conformance):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Callable[..., Store]:
        return lambda **options: Store.open(tmp_path / "the store", **options)

    def overwrite_key(self, store: Store, key: str, data: bytes | None) -> None:
        path = Path(store.url, key)
        path.unlink()
        if data is not None:
            path.write_bytes(data)


class TestMemory(Conformance):
    @pytest.fixture
    def opened(self) -> Callable[..., Store]:
        url = f"memory://store-{next(_numbers)}/below"
        return lambda **options: Store.open(url, **options)

    def overwrite_key(self, store: Store, key: str, data: bytes | None) -> None:
        filesystem, path = self.filesystem(), f"{store.url.partition('://')[2]}/{key}"
        if data is None:
            filesystem.rm_file(path)
        else:
            filesystem.pipe_file(path, data)

    def filesystem(self) -> Any:
        return fsspec.filesystem("memory")


class TestS3(TestMemory):
    @pytest.fixture(autouse=True)
    def _connect(self, s3_options: dict[str, Any]) -> None:
        self.options = s3_options

    def filesystem(self) -> Any:
        return fsspec.filesystem("s3", use_listings_cache=False, **self.options)

    @pytest.fixture
    def opened(self, s3_options: dict[str, Any]) -> Callable[..., Store]:
        url = f"s3://models/store-{next(_numbers)}"
        return lambda **options: Store.open(url, storage_options=s3_options, **options)


def test_the_digest_does_not_depend_on_the_kind_of_store(model: Path, local: Store, s3_options: dict[str, Any]) -> None:
    stores = [
        local,
        Store.open(f"memory://store-{next(_numbers)}", create=True),
        Store.open(f"s3://models/store-{next(_numbers)}", create=True, storage_options=s3_options),
    ]
    manifests: set[Manifest] = {store.put(model) for store in stores}
    assert len(manifests) == 1

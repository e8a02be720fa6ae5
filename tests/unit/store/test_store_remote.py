"""Object stores: what is uploaded is what was hashed, faults are waited out, secrets stay secret."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from store_testing import SECRET, MakeModel, tree_of

from tfx_pedigree.errors import ConflictError, UnavailableError
from tfx_pedigree.store import Store, leases, remote

_numbers = itertools.count()


@pytest.fixture
def memory() -> Store:
    return Store.open(f"memory://remote-{next(_numbers)}", create=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0.02")


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Memory stands for drivers that upload under a temporary name, S3 for those that commit."""
    if request.param == "memory":
        yield Store.open(f"memory://remote-{next(_numbers)}", create=True)
    else:
        options = request.getfixturevalue("s3_options")
        yield Store.open(f"s3://models/remote-{next(_numbers)}", create=True, storage_options=options)


def keys(store: Store) -> list[str]:
    backend: Any = store._backend
    return sorted(path.partition(backend._root.strip("/"))[2] for path in backend._fs.find(backend._root))


def test_a_large_file_that_changes_between_hash_and_upload_gets_no_name(
    store: Store, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model("m", {"big": bytes(12 << 20)})
    before = keys(store)
    real = remote._pour

    def meddling(read: Any, stream: Any) -> Any:
        with (model / "big").open("r+b") as file:
            file.seek(11 << 20)
            file.write(b"changed")
        return real(read, stream)

    monkeypatch.setattr(remote, "_pour", meddling)
    with pytest.raises(ConflictError, match="m/big changed"):
        store.put(model)
    assert keys(store) == before


def test_a_small_number_of_faults_is_waited_out(
    memory: Store, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pipe_file", "info", "cat_file", "ls"):
        monkeypatch.setattr(MemoryFileSystem, name, flaky(getattr(MemoryFileSystem, name)))
    digest = memory.put(model).digest
    assert tree_of(memory.materialise(digest, tmp_path / "out")) == tree_of(model)


def flaky(real: Any) -> Any:
    """Every third call fails."""
    calls = itertools.count(1)

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls) % 3 == 0:
            raise ConnectionResetError("reset by peer")
        return real(*args, **kwargs)

    return call


def test_faults_that_last_are_reported_and_nothing_is_referred_to(
    memory: Store, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise TimeoutError(f"no answer for key {SECRET}")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", broken)
    with pytest.raises(UnavailableError, match=r"cannot be reached now \(TimeoutError"):
        memory.put(model)
    monkeypatch.undo()
    assert memory.verify().versions == 0


def test_an_unreachable_endpoint_is_said_plainly_and_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0")
    options = {"key": "AKIAEXAMPLE", "secret": SECRET, "client_kwargs": {"endpoint_url": "http://127.0.0.1:1"}}
    with pytest.raises(UnavailableError, match="s3://models/x cannot be reached now") as caught:
        Store.open("s3://models/x", storage_options=options)
    assert SECRET not in str(caught.value)
    assert "AKIAEXAMPLE" not in str(caught.value)


def test_a_secret_that_the_driver_repeats_is_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(f"key {SECRET} is not known at https://me:{SECRET}@host/?X-Amz-Signature=1")

    monkeypatch.setattr(MemoryFileSystem, "info", broken)
    with pytest.raises(UnavailableError, match="does not let you in") as caught:
        Store.open("memory://x", storage_options={"secret": SECRET})
    assert SECRET not in str(caught.value)
    assert "Signature" not in str(caught.value)


def test_a_missing_bucket_is_named(s3_options: dict[str, Any]) -> None:
    with pytest.raises(UnavailableError, match="bucket or folder that does not exist"):
        Store.open("s3://no-such-bucket/store", create=True, storage_options=s3_options)


def test_an_uncommitted_upload_is_not_committed_by_a_later_transaction(
    s3_options: dict[str, Any], make_model: MakeModel
) -> None:
    store = Store.open(f"s3://models/remote-{next(_numbers)}", create=True, storage_options=s3_options)
    store.put(make_model("m", {"big": bytes(12 << 20)}))
    backend: Any = store._backend
    assert not backend._fs.transaction.files


def test_nothing_stays_behind_but_what_belongs_there(store: Store, make_model: MakeModel) -> None:
    store.put(make_model("m", {"big": bytes(12 << 20), "small": b"1"}))
    assert {key.split("/")[1] for key in keys(store)} == {"objects", "manifests", "pedigree-store.json"}


def test_a_put_waits_for_a_gc_and_a_gc_for_a_put(memory: Store, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "PATIENCE", 0.2)
    with memory._backend.deleting(), pytest.raises(UnavailableError, match="is busy: leases/gc-"):
        memory.put(model)
    assert memory.verify().versions == 0
    digest = memory.put(model).digest
    with memory._backend.publishing(), pytest.raises(UnavailableError, match="is busy: leases/put-"):
        memory.gc([], force=True, grace=leases_off(), dry_run=False)
    assert memory.verify([digest]).ok


def leases_off() -> Any:
    return timedelta(0)


def test_puts_do_not_wait_for_each_other(memory: Store, model: Path) -> None:
    with memory._backend.publishing():
        assert memory.put(model)


def test_the_lease_of_a_killed_process_is_ignored_after_a_while_and_removed(
    memory: Store, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem = fsspec.filesystem("memory")
    path = f"{memory.url.partition('://')[2]}/leases/gc-1-{'0' * 16}"
    filesystem.pipe_file(path, b"elsewhere 1\n")
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    with pytest.raises(UnavailableError, match="is ignored 10 minutes after"):
        memory.put(model)
    written = filesystem.store[f"/{path}"]
    written.created = written.modified = datetime.now(timezone.utc) - timedelta(minutes=11)
    digest = memory.put(model).digest
    assert memory.gc([digest], dry_run=False, grace=leases_off()).leftovers == 1
    assert not filesystem.exists(path)


def test_an_owner_that_slept_too_long_gives_up(memory: Store, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", -1.0)
    with pytest.raises(UnavailableError, match="its lease may have expired"):
        memory.put(model)
    assert memory.verify(set_aside=False).versions == 0

"""An object store that comes and goes: waited for a little, told plainly, healed by the same again."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import s3fs
from store_testing import SECRET, tree_of

from flapping_testing import FlappingProxy
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.store import Store

_numbers = itertools.count()


@pytest.fixture
def proxy(s3_options: dict[str, Any]) -> Iterator[FlappingProxy]:
    port = urlsplit(s3_options["client_kwargs"]["endpoint_url"]).port
    with FlappingProxy(lambda: socket.create_connection(("127.0.0.1", port))) as made:
        yield made


@pytest.fixture
def store(proxy: FlappingProxy, s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0.1")
    through = {"endpoint_url": f"http://127.0.0.1:{proxy.port}"}
    # The driver's own tries have pauses of their own; here it is ours that count.
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    options = {**s3_options, "client_kwargs": through, "config_kwargs": {"retries": {"total_max_attempts": 1}}}
    return Store.open(f"s3://models/flapping-{next(_numbers)}", create=True, storage_options=options)


def test_server_that_cuts_every_third_connection_keeps_what_it_was_given(
    store: Store, proxy: FlappingProxy, model: Path, tmp_path: Path
) -> None:
    proxy.refuse_each = 3
    proxy.cut()

    digest = store.put(model).digest

    assert tree_of(store.materialise(digest, tmp_path / "out")) == tree_of(model)


def test_server_that_stays_away_is_told_and_the_same_again_heals(
    store: Store, proxy: FlappingProxy, model: Path
) -> None:
    proxy.away = True
    proxy.cut()
    with pytest.raises(UnavailableError, match="cannot be reached now") as told:
        store.put(model)
    assert SECRET not in str(told.value)

    proxy.away = False
    digest = store.put(model).digest
    assert store.verify().ok
    assert store.put(model).digest == digest


def test_server_that_goes_away_in_the_middle_of_an_upload_leaves_no_version(
    store: Store, proxy: FlappingProxy, model: Path
) -> None:
    proxy.cut_at = b"PUT /models/flapping"
    digest = store.put(model).digest
    assert proxy.cut_at is None, "nothing was cut"

    assert store.verify().ok
    assert store.put(model).digest == digest

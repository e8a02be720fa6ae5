"""Models to store, and one S3 server for the whole test run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_testing import FILES, SECRET, MakeModel, write_files

from tfx_pedigree.store import Store


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    def make(name: str = "model", files: dict[str, bytes] | None = None) -> Path:
        return write_files(tmp_path / name, FILES if files is None else files)

    return make


@pytest.fixture
def model(make_model: MakeModel) -> Path:
    return make_model()


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


@pytest.fixture(scope="session")
def s3_options() -> Iterator[dict[str, Any]]:
    """Options for `s3://models`, a bucket on a real S3 server on this machine."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    options = {"key": "testing", "secret": SECRET, "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"}}
    import s3fs

    s3fs.S3FileSystem(**options, skip_instance_cache=True).makedirs("models", exist_ok=True)
    yield options
    server.stop()

"""Bytes straight from the bucket: only where it was configured and asked for, checked on arrival, and else through the
server. The bucket is moto's; one that lies or breaks off is played here."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pedigree_testing import candidate
from server_testing import NamedByToken, Switch, opened
from tfx_pedigree.client.store import RemoteStore
from tfx_pedigree.client.transport import Transport
from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.registry import Candidate, Registry
from tfx_pedigree.server import Server, ServerSettings, application
from tfx_pedigree.server.content import check_presigning
from tfx_pedigree.store import Manifest, Store
from tfx_pedigree.wire.store import ADDRESS

BIG = os.urandom((1 << 20) + 7)
MODEL = "flight-delay"
_numbers = itertools.count(1)


@pytest.fixture
def in_bucket(s3_options: dict[str, Any]) -> Store:
    return Store.open(f"s3://models/presigned-{next(_numbers)}", create=True, storage_options=s3_options)


@pytest.fixture
def registry(tmp_path: Path, in_bucket: Store) -> Iterator[Registry]:
    with Registry.create(tmp_path / "registry", actor="ada") as made:
        made._bytes.store = in_bucket
        made.revoke("*")
        yield made


@pytest.fixture
def version(registry: Registry, tmp_path: Path) -> Manifest:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "large").write_bytes(BIG)
    (folder / "small").write_bytes(b"small")
    manifest = registry.store.put(folder)
    registry.add(MODEL, Candidate(manifest.digest, candidate("x").description))
    return manifest


def serving(registry: Registry, switch: Switch, *, presigned: bool = True) -> Any:
    return switch.serving(application(Server(ServerSettings("", presigned=presigned), registry, NamedByToken())))


@pytest.fixture
def at(registry: Registry, switch: Switch, version: Manifest) -> Iterator[str]:
    with serving(registry, switch) as address:
        yield address


@pytest.fixture
def store(at: str) -> Iterator[RemoteStore]:
    client = opened(at, "ada")
    yield client.store  # type: ignore[misc]
    client.close()


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were fetched elsewhere."""
    found: list[str] = []
    plain = Transport.elsewhere

    def elsewhere(self: Transport, url: str, headers: Any) -> Any:
        found.append(url)
        return plain(self, url, headers)

    monkeypatch.setattr(Transport, "elsewhere", elsewhere)
    return found


def read(store: Store, version: Manifest) -> bytes:
    with store.open_file(version.digest, "large") as file:
        return file.read()


def sha256_of(version: Manifest, path: str = "large") -> str:
    return next(one.sha256 for one in version.files if one.path == path)


def test_large_files_come_from_the_bucket_and_small_ones_with_the_answer(  # noqa: PLR0917  fixtures
    store: RemoteStore,
    version: Manifest,
    fetched: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    through: list[str] = []
    pieces = Store.object_pieces
    monkeypatch.setattr(Store, "object_pieces", lambda self, *a: through.append(a[0]) or pieces(self, *a))  # type: ignore[func-returns-value]
    folder = store.materialise(version.digest, tmp_path / "out")
    assert (folder / "large").read_bytes() == BIG
    assert (folder / "small").read_bytes() == b"small"
    assert through == [sha256_of(version, "small")]
    (address,) = fetched
    said = parse_qs(urlsplit(address).query)
    assert (said["X-Amz-Algorithm"], said["X-Amz-Expires"]) == (["AWS4-HMAC-SHA256"], ["60"])
    assert said["X-Amz-Signature"][0] not in caplog.text
    assert "X-Amz" not in caplog.text


def test_only_who_asks_for_it_may_read_and_is_served_by_such_a_server_is_given_an_address(
    at: str, version: Manifest, registry: Registry, switch: Switch
) -> None:
    path = f"/api/v1/store/versions/{version.digest}/objects/{sha256_of(version)}"
    ada = {"authorization": "Bearer ada"}
    wants = {"pedigree-bytes": "direct"}
    told = httpx.get(at + path, headers={**ada, **wants})
    assert (told.headers["content-type"], told.headers["cache-control"]) == (ADDRESS, "no-store")
    assert httpx.get(told.json()["url"]).content == BIG
    assert httpx.get(at + path, headers=ada).content == BIG
    assert httpx.head(at + path, headers={**ada, **wants}).headers["content-length"] == str(len(BIG))
    assert httpx.get(at + path, headers={"authorization": "Bearer eve", **wants}).status_code == 403
    assert httpx.get(at + path, headers=wants).status_code == 401
    unknown = path.replace(sha256_of(version), "0" * 64)
    assert httpx.get(at + unknown, headers={**ada, **wants}).status_code == 404
    switch.app = application(Server(ServerSettings(""), registry, NamedByToken()))
    assert httpx.get(at + path, headers={**ada, **wants}).content == BIG


def test_a_store_in_no_bucket_is_refused_at_the_start(in_bucket: Store, tmp_path: Path) -> None:
    check_presigning(in_bucket)
    with pytest.raises(InvalidInputError, match="in no bucket of S3 or of Google.*Leave out --presigned"):
        check_presigning(Store.open(tmp_path / "store", create=True))


# Buckets that lie or break off


class Bucket:
    """Answers as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[dict[str, str]] = []
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bucket.asked.append({name.lower(): text for name, text in self.headers.items()})
                status, headers, content = bucket.answers.pop(0)
                self.send_response(status)
                for name, text in {"content-length": str(len(content)), **headers}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/bucket/object?X-Amz-Signature=secret"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    made = Bucket()
    monkeypatch.setattr(Store, "address_of", lambda *_: made.url)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_no_token_goes_to_the_bucket(store: RemoteStore, version: Manifest, bucket: Bucket) -> None:
    bucket.answers = [(200, {}, BIG)]
    assert read(store, version) == BIG
    assert "authorization" not in bucket.asked[0]
    assert "cookie" not in bucket.asked[0]


def test_other_bytes_than_those_that_were_asked_for_are_not_handed_out(
    store: RemoteStore, version: Manifest, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.answers = [(200, {}, b"x" * len(BIG))]
    with pytest.raises(DamagedError, match="Nothing of it was handed out"):
        store.materialise(version.digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "answer",
    [(403, {}, b"expired"), (302, {"location": "http://127.0.0.1:1/"}, b""), (206, {}, BIG), (500, {}, b"")],
)
def test_where_the_bucket_does_not_give_them_the_server_does(
    store: RemoteStore, version: Manifest, bucket: Bucket, answer: Any
) -> None:
    bucket.answers = [answer]
    assert read(store, version) == BIG
    assert read(store, version) == BIG
    assert len(bucket.asked) == 1, "it is not tried again and again"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "ftp://x.example/", "nonsense", "", "http://[::1", "//x"])
def test_an_address_that_leads_nowhere_does_no_harm(
    store: RemoteStore, version: Manifest, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(Store, "address_of", lambda *_: url)
    assert read(store, version) == BIG


def test_a_transfer_that_breaks_off_goes_on_with_a_new_address(
    store: RemoteStore, version: Manifest, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(Store, "address_of", lambda *_: given.append(bucket.url) or bucket.url)  # type: ignore[func-returns-value]
    half = 1 << 20
    bucket.answers = [(200, {"content-length": str(len(BIG))}, BIG[:half]), (206, {}, BIG[half:])]
    assert read(store, version) == BIG
    assert bucket.asked[1]["range"] == f"bytes={half}-"
    assert len(given) == 2


def test_a_server_behind_tls_sends_nobody_where_nothing_is_encrypted() -> None:
    class There:
        url, token = "https://pedigree.example.com", None

    with pytest.raises(Exception, match="would not be encrypted"):
        Transport(There()).elsewhere("http://bucket.example.com/x", {})  # type: ignore[arg-type]

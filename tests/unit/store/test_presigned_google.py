"""Addresses of Google's buckets: signed as its rules for V4 say (by a service account's key, or by IAM for a workload),
and taken by a bucket that checks them by these rules. The bucket and IAM are played here."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import gcsfs
import google.auth.transport.requests
import google.oauth2.credentials
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth import compute_engine
from google.auth.exceptions import TransportError

from pedigree_testing import candidate
from server_testing import NamedByToken, Switch, opened
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Candidate, Registry
from tfx_pedigree.server import Server, ServerSettings, application
from tfx_pedigree.server.content import check_presigning
from tfx_pedigree.store.presigning import GoogleSigner, signer_for

WHO = "registry@project.iam.gserviceaccount.com"
BIG = os.urandom((1 << 20) + 7)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def key_file(key: rsa.RSAPrivateKey) -> dict[str, str]:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    own = {"type": "service_account", "client_email": WHO, "token_uri": "https://oauth2.googleapis.com/token"}
    return {**own, "private_key": key.private_bytes(*form).decode()}


class Bucket:
    """Hands out files of a folder to whoever has an address that the account signed for them."""

    def __init__(self, folder: Path, key: rsa.RSAPublicKey) -> None:
        bucket, self.folder, self.key = self, folder, key
        self.given: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                good = signed_by(bucket.key, self.command, self.headers["host"], self.path)
                content = (
                    (bucket.folder / urlsplit(self.path).path.removeprefix("/models/")).read_bytes() if good else b""
                )
                bucket.given += [self.path] if good else []
                self.send_response(200 if good else 403)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


def signed_by(key: rsa.RSAPublicKey, method: str, host: str, target: str) -> bool:
    """https://cloud.google.com/storage/docs/authentication/canonical-requests, for an address without headers."""
    at = urlsplit(target)
    said = dict(parse_qsl(at.query, strict_parsing=True))
    signature = bytes.fromhex(said.pop("X-Goog-Signature"))
    query = urlencode(sorted(said.items()), safe="~")
    asked = "\n".join((method, at.path, query, f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"))
    scope = said["X-Goog-Credential"].partition("/")[2]
    digest = hashlib.sha256(asked.encode()).hexdigest()
    signed = "\n".join((said["X-Goog-Algorithm"], said["X-Goog-Date"], scope, digest))
    try:
        key.verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return said["X-Goog-Algorithm"] == "GOOG4-RSA-SHA256"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry.create(tmp_path / "registry", actor="ada") as made:
        yield made


@pytest.fixture
def bucket(key: rsa.RSAPrivateKey, registry: Registry) -> Iterator[Bucket]:
    made = Bucket(Path(registry.store.url), key.public_key())
    yield made
    made.server.shutdown()
    made.server.server_close()


def filesystem(token: Any, bucket: Bucket) -> gcsfs.GCSFileSystem:
    return gcsfs.GCSFileSystem(token=token, endpoint_url=bucket.address, skip_instance_cache=True)


@pytest.fixture
def in_bucket(registry: Registry, bucket: Bucket, key_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the registry's store can be fetched from the bucket."""
    sign = signer_for("gs", filesystem(key_file, bucket))
    assert sign is not None
    monkeypatch.setattr(registry.store._backend, "address", lambda name, seconds: sign(f"models/{name}", seconds))


@pytest.mark.usefixtures("in_bucket")
def test_large_files_come_from_the_bucket(registry: Registry, bucket: Bucket, switch: Switch, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "large").write_bytes(BIG)
    manifest = registry.store.put(tmp_path / "model")
    registry.add("m", Candidate(manifest.digest, candidate("x").description))
    check_presigning(registry.store)
    with switch.serving(application(Server(ServerSettings("", presigned=True), registry, NamedByToken()))) as at:
        store = opened(at, "ada").store
        assert (store.materialise(manifest.digest, tmp_path / "out") / "large").read_bytes() == BIG
    (given,) = bucket.given
    said = parse_qs(urlsplit(given).query)
    assert (said["X-Goog-Expires"], said["X-Goog-SignedHeaders"]) == (["60"], ["host"])
    assert said["X-Goog-Credential"][0].startswith(WHO)
    other = given.replace(manifest.files[0].sha256[2:], "0" * 62)
    assert not signed_by(bucket.key, "GET", urlsplit(bucket.address).netloc, other), "good for this one object"


@dataclass
class Answer:
    data: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


class Iam:
    """Signs for the account if it is asked with a token that was given for asking it."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.key, self.refuses = key, False
        self.scopes: list[Any] = []

    def __call__(self, url: str, method: str, headers: dict[str, str], body: str = "") -> Any:
        if "/computeMetadata/" in url:
            return Answer(b"googleapis.com", {"content-type": "text/plain"})
        assert (method, headers["Authorization"]) == ("POST", "Bearer for IAM")
        assert f"/serviceAccounts/{WHO}:signBlob" in url
        if self.refuses:
            raise TransportError("Permission 'iam.serviceAccounts.signBlob' denied")
        payload = base64.b64decode(json.loads(body)["payload"])
        signature = self.key.sign(payload, padding.PKCS1v15(), hashes.SHA256())
        return Answer(json.dumps({"signedBlob": base64.b64encode(signature).decode()}).encode())


@pytest.fixture
def iam(key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> Iam:
    found = Iam(key)

    def refresh(held: compute_engine.Credentials, _: Any) -> None:
        found.scopes.append(held._scopes)
        held.token, held._service_account_email = "for IAM", WHO

    monkeypatch.setattr(google.auth.transport.requests, "Request", lambda *_: found)
    monkeypatch.setattr(compute_engine.Credentials, "refresh", refresh)
    return found


@pytest.fixture
def workload(iam: Iam, bucket: Bucket) -> GoogleSigner:
    """One that runs where Google says who it is, and has no key."""
    held = compute_engine.Credentials(scopes=["https://www.googleapis.com/auth/devstorage.full_control"])
    return GoogleSigner(filesystem(held, bucket))


def test_iam_signs_for_a_workload_that_has_no_key(workload: GoogleSigner, iam: Iam, bucket: Bucket) -> None:
    for name in ("models/a", "models/b"):
        at = urlsplit(workload(name, 60))
        assert at.path == f"/{name}"
        assert signed_by(bucket.key, "GET", at.netloc, f"{at.path}?{at.query}")
    assert iam.scopes.count(["https://www.googleapis.com/auth/cloud-platform"]) == 1, "asked once, not for each object"


def test_what_iam_does_not_allow_is_said_with_the_role_that_is_missing(workload: GoogleSigner, iam: Iam) -> None:
    iam.refuses = True
    with pytest.raises(InvalidInputError, match=r"signBlob' denied.*iam\.serviceAccountTokenCreator"):
        workload("models/a", 60)


@pytest.mark.parametrize("token", ["anon", google.oauth2.credentials.Credentials("a person's own")])
def test_who_has_no_service_account_is_told_so(token: Any, bucket: Bucket) -> None:
    with pytest.raises(InvalidInputError, match="belong to no service account.*GOOGLE_APPLICATION_CREDENTIALS"):
        GoogleSigner(filesystem(token, bucket))("models/a", 60)

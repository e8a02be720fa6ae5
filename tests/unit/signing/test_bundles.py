"""Bundles: what is written is read again, what is none is refused in a sentence, and only trusted keys count."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing_testing import ONE_FILE, SIGNING, certificate, make_chain, make_key, public, signature_over
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.signing import (
    Bundle,
    CertificateKey,
    CommandKey,
    FileKey,
    TrustedKey,
    read_signed,
    read_trusted,
    sign_model,
    verify,
)
from tfx_pedigree.store import FileEntry, Manifest

NOW = datetime.now(timezone.utc)


def soon() -> datetime:
    """When a certificate that was just made is valid."""
    return datetime.now(timezone.utc) + timedelta(minutes=1)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name, curve in (("ours", "secp256r1"), ("theirs", "secp256r1"), ("p384", "secp384r1"), ("p521", "secp521r1")):
        make_key(folder, name, curve)
    return folder


@pytest.mark.parametrize("name", ["ours", "p384", "p521"])
def test_signature_holds_for_its_own_key_and_for_no_other(keys: Path, name: str) -> None:
    bundle = sign_model(ONE_FILE, "model", FileKey(keys / f"{name}.pem"))
    own, other = read_trusted(keys / f"{name}.pub"), read_trusted(keys / "theirs.pub")
    found = verify(Bundle.from_text(bundle.to_text(), "it"), [other, own], NOW)
    assert found is not None
    assert found.key == own
    assert verify(bundle, [other], NOW) is None
    assert verify(bundle, [], NOW) is None


def test_signed_statement_names_each_file_and_the_version(keys: Path) -> None:
    manifest = Manifest((FileEntry("a", 1, "1" * 64), FileEntry("b/c", 2, "2" * 64)))
    signed = read_signed(sign_model(manifest, "flight-delay", FileKey(keys / "ours.pem")).payload, "it")
    assert (signed.name, signed.digest, signed.files) == (
        "flight-delay",
        manifest.digest,
        {"a": "1" * 64, "b/c": "2" * 64},
    )
    assert signed.differences(manifest) == []
    other = Manifest((FileEntry("a", 1, "3" * 64), FileEntry("d", 2, "2" * 64)))
    assert signed.differences(other) == [
        "d is not signed",
        "b/c is signed and missing",
        "a was signed with other content",
    ]


@given(st.integers(0, 10_000))
def test_no_changed_byte_of_the_payload_or_the_signature_holds(keys: Path, at: int) -> None:
    bundle = sign_model(ONE_FILE, "model", FileKey(keys / "ours.pem"))
    trusted = [read_trusted(keys / "ours.pub")]
    place = at % len(bundle.payload)
    payload = bytes([*bundle.payload[:place], bundle.payload[place] ^ 1, *bundle.payload[place + 1 :]])
    assert verify(Bundle(payload, bundle.signature, bundle.hint), trusted, NOW) is None
    place = at % len(bundle.signature)
    signature = bytes([*bundle.signature[:place], bundle.signature[place] ^ 1, *bundle.signature[place + 1 :]])
    assert verify(Bundle(bundle.payload, signature, bundle.hint), trusted, NOW) is None


@pytest.mark.system
def test_command_signs_for_a_key_that_lies_elsewhere(keys: Path) -> None:
    key = CommandKey(f"openssl dgst -sha256 -sign {keys / 'ours.pem'}", keys / "ours.pub")
    bundle = sign_model(ONE_FILE, "model", key)
    assert verify(bundle, [read_trusted(keys / "ours.pub")], NOW) is not None


@pytest.mark.parametrize(
    ("command", "public_key", "refused", "says"),
    [
        ("openssl dgst -sha256 -sign {theirs}", "ours", InvalidInputError, "no signature by the given public key"),
        ("echo hello", "ours", InvalidInputError, "no signature by the given public key"),
        ("sh -c 'echo no slot >&2; exit 3'", "ours", UnavailableError, r"failed \(3\): no slot. Nothing was signed"),
        ("/nowhere/at/all", "ours", UnavailableError, "did not answer"),
        ("echo 'open", "ours", InvalidInputError, "cannot be read"),
        ("", "ours", InvalidInputError, "is empty"),
    ],
)
@pytest.mark.system
def test_command_that_signs_wrongly_is_found_at_once(
    keys: Path, command: str, public_key: str, refused: type[Exception], says: str
) -> None:
    with pytest.raises(refused, match=says):
        CommandKey(command.format(theirs=keys / "theirs.pem"), keys / f"{public_key}.pub").sign(b"bytes")


@pytest.mark.system
def test_certificate_counts_for_those_who_trust_its_authority_while_it_is_valid(tmp_path: Path) -> None:
    key, chain, root = make_chain(tmp_path)
    bundle = sign_model(ONE_FILE, "model", CertificateKey(FileKey(key), chain))
    trusted = read_trusted(root)
    found = verify(Bundle.from_text(bundle.to_text(), "it"), [trusted], soon())
    assert found is not None
    assert found.subject == "CN=release,O=Example"
    assert verify(bundle, [trusted], NOW + timedelta(days=500)) is None
    assert verify(bundle, [trusted], NOW - timedelta(days=2)) is None
    other = make_key(tmp_path, "other")
    assert verify(bundle, [read_trusted(public(other))], soon()) is None


@pytest.mark.system
def test_signer_is_no_authority_and_a_certificate_for_something_else_signs_nothing(tmp_path: Path) -> None:
    key, chain, root = make_chain(tmp_path)
    trusted, later = [read_trusted(root)], soon()
    evil = make_key(tmp_path, "evil")
    forged = certificate(tmp_path, evil, "forged", by=tmp_path / "release.crt", by_key=key, extensions=SIGNING)
    (tmp_path / "forged-chain.crt").write_text(forged.read_text() + chain.read_text())
    bundle = sign_model(ONE_FILE, "model", CertificateKey(FileKey(evil), tmp_path / "forged-chain.crt"))
    assert verify(bundle, trusted, later) is None
    team = {"by": tmp_path / "Team.crt", "by_key": tmp_path / "between.pem"}
    made = certificate(tmp_path, evil, "web", **team, extensions="keyUsage=keyEncipherment")
    (tmp_path / "web-chain.crt").write_text(made.read_text() + (tmp_path / "Team.crt").read_text())
    bundle = sign_model(ONE_FILE, "model", CertificateKey(FileKey(evil), tmp_path / "web-chain.crt"))
    assert verify(bundle, trusted, later) is None


@pytest.mark.system
def test_certificate_of_another_key_is_refused_before_anything_is_signed(tmp_path: Path) -> None:
    _, chain, _ = make_chain(tmp_path)
    with pytest.raises(InvalidInputError, match="is not that of the key"):
        CertificateKey(FileKey(make_key(tmp_path, "other")), chain)


def test_password_comes_from_the_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    locked = tmp_path / "locked.pem"
    hidden = BestAvailableEncryption(b"open sesame")
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    with pytest.raises(
        InvalidInputError, match="has a password. It is read from the environment variable PEDIGREE_KEY"
    ):
        FileKey(locked)
    monkeypatch.setenv("PEDIGREE_KEY_PASSWORD", "wrong")
    with pytest.raises(InvalidInputError, match="is not its password"):
        FileKey(locked)
    monkeypatch.setenv("PEDIGREE_KEY_PASSWORD", "open sesame")
    assert FileKey(locked).public_key == key.public_key()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("hello", "no public key that can be read"),
        (
            "-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----\n",
            "is a private key, which belongs to nobody",
        ),
        ("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "no certificate that can be read"),
        ("é", "is not PEM"),
        ("x" * 70_000, "larger than any key"),
    ],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "key"
    file.write_text(content)
    with pytest.raises(InvalidInputError, match=says):
        read_trusted(file)


def test_key_on_another_curve_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    odd = make_key(tmp_path, "odd", "secp256k1")
    for file in (odd, public(odd)):
        with pytest.raises(InvalidInputError, match="P-256, P-384 or P-521. Make one with `openssl ecparam"):
            FileKey(file) if file == odd else read_trusted(file)
    pem = (
        ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(InvalidInputError, match="not on the elliptic curve"):
        TrustedKey.from_text(pem.decode(), "It")


def _without(data: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = data
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return data


def _with(data: dict[str, Any], value: object, *path: str) -> dict[str, Any]:
    inner = data
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: [d], "`mediaType` must be"),
        (lambda d: _with(d, "text/plain", "mediaType"), "`mediaType` must be"),
        (lambda d: _without(d, "dsseEnvelope"), "must have a `dsseEnvelope`"),
        (lambda d: _with(d, "x/y", "dsseEnvelope", "payloadType"), "signs 'x/y', and not"),
        (lambda d: _with(d, [], "dsseEnvelope", "signatures"), "must have one signature"),
        (lambda d: _with(d, [{"sig": "é"}], "dsseEnvelope", "signatures"), "`sig` is not base64"),
        (lambda d: _with(d, 7, "dsseEnvelope", "payload"), "`payload` is missing"),
        (lambda d: _with(d, {"publicKey": {"hint": 7}}, "verificationMaterial"), "must be text"),
        (lambda d: _with(d, {"certificate": {}}, "verificationMaterial"), "short-lived certificate of Sigstore"),
        (lambda d: _with(d, {"x509CertificateChain": {}}, "verificationMaterial"), "from 1 to 10 certificates"),
    ],
)
def test_file_that_is_no_bundle_is_refused_with_what_is_wrong(
    keys: Path, spoil: Callable[[Any], Any], says: str
) -> None:
    data = json.loads(sign_model(ONE_FILE, "model", FileKey(keys / "ours.pem")).to_text())
    with pytest.raises(InvalidInputError, match=says):
        Bundle.from_text(json.dumps(spoil(data)), "The file")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: _with(d, "x", "_type"), "no in-toto statement"),
        (lambda d: _with(d, [], "subject"), "one subject"),
        (lambda d: _with(d, "https://example.com/other", "predicateType"), "signs no model"),
        (lambda d: _with(d, "shards", "predicate", "serialization", "method"), "signs the model in pieces"),
        (lambda d: _with(d, [], "predicate", "resources"), "from 1 to 100000 files"),
        (
            lambda d: _with(d, [{"name": "a", "algorithm": "md5", "digest": "0"}], "predicate", "resources"),
            "every file",
        ),
        (lambda d: _with(d, d["predicate"]["resources"] * 2, "predicate", "resources"), "twice"),
        (lambda d: _with(d, [{"name": "m", "digest": {"sha256": "1" * 64}}], "subject"), "contradicts itself"),
        (lambda d: _with(d, {"digest": "sha256:x"}, "predicate", "pedigree"), "not a digest"),
    ],
)
def test_statement_that_is_not_a_models_is_refused_whoever_signed_it(
    keys: Path, spoil: Callable[[Any], Any], says: str
) -> None:
    statement = json.loads(sign_model(ONE_FILE, "model", FileKey(keys / "ours.pem")).payload)
    bundle = Bundle.from_text(signature_over(json.dumps(spoil(statement)).encode(), keys / "ours.pem"), "it")
    with pytest.raises(InvalidInputError, match=says):
        read_signed(bundle.payload, "The signature")


@given(st.binary(max_size=200), st.binary(max_size=80), st.none() | st.text("0123456789abcdef", min_size=1))
def test_bundle_reads_what_it_wrote(payload: bytes, signature: bytes, hint: str | None) -> None:
    bundle = Bundle(payload, signature, hint)
    assert Bundle.from_text(bundle.to_text(), "it") == bundle
    assert base64.b64encode(payload).decode() in bundle.to_text()

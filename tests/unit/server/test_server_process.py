"""`pedigree server` as a process: with TLS, from its first word to a graceful end."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_testing import Pedigree
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pedigree_testing import candidate
from tfx_pedigree import connect
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.registry import Registry

pytestmark = pytest.mark.slow
MAIN = "from tfx_pedigree.cli.main import main; main()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a registry, and a certificate for localhost that nobody signed but itself."""
    with Registry.create(tmp_path / "registry", actor="ada") as registry:
        registry.add("flight-delay", candidate("a"))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    return tmp_path


def words(folder: Path, *more: str) -> list[str]:
    own = ["--registry", str(folder / "registry"), "server", "--port", "0", "--json", *more]
    return [sys.executable, "-c", MAIN, *own]


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    tls = ("--certificate", str(folder / "certificate.pem"), "--key", str(folder / "key.pem"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = words(folder, "--as", "ada", *tls)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        yield process, json.loads("".join(lines))["address"].replace("127.0.0.1", "localhost")
        process.kill()


def test_it_serves_over_tls_and_ends_when_it_is_told(
    folder: Path, server: tuple[subprocess.Popen[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, address = server
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0")
    assert address.startswith("https://")
    with connect(address) as stranger, pytest.raises(UnavailableError, match="is not trusted.*SSL_CERT_FILE"):
        stranger.registry.models()
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
    with connect(address) as workspace:
        assert workspace.registry.actor == "ada"
        assert workspace.registry.get("flight-delay@latest").version == "1.0.0"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--as", "ada", "--workers", "2"), "an SQLite file, which one process serves"),
        (("--as", "ada", "--host", "0.0.0.0"), "listens only on this computer"),  # noqa: S104
        (("--as", "ada", "--key", "key.pem"), "give --certificate and --key"),
    ],
)
def test_what_could_not_be_served_is_refused_in_a_sentence(folder: Path, more: tuple[str, ...], told: str) -> None:
    said = Pedigree(folder / "registry")("--json", "server", "--port", "0", *more, code=2, PEDIGREE_ACTOR=None)
    assert told in said.error["message"]

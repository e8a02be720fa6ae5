"""`pedigree server` as a process of its own, with TLS by a certificate that nobody signed but itself."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MAIN = "from tfx_pedigree.cli.main import main; main()"


def write_certificate(folder: Path) -> None:
    """certificate.pem and key.pem, for localhost."""
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
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


@contextlib.contextmanager
def server_process(folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serves `folder`/registry by the certificate there; what it says goes to `folder`/server.log."""
    tls = ["--certificate", str(folder / "certificate.pem"), "--key", str(folder / "key.pem")]
    own = ["--registry", str(folder / "registry"), "server", "--port", "0", "--json", *tls, *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", MAIN, *own]
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        try:
            yield process, json.loads("".join(lines))["address"].replace("127.0.0.1", "localhost")
        finally:
            process.kill()

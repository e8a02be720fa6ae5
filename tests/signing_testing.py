"""Keys, certificates and signatures for tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tfx_pedigree.digest import canonical_json
from tfx_pedigree.signing import Bundle, FileKey
from tfx_pedigree.signing.keys import hint_of
from tfx_pedigree.signing.statement import write_model
from tfx_pedigree.store import FileEntry, Manifest

SIGNING = "keyUsage=critical,digitalSignature"
CURVES = {one.name: one for one in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1())}
ONE_FILE = Manifest((FileEntry("saved_model.pb", 3, "0" * 64),))


def make_key(folder: Path, name: str, curve: str = "secp256r1") -> Path:
    """A private key `name.pem`, with its public key beside it in `name.pub`."""
    made, key = ec.generate_private_key(CURVES[curve]), folder / f"{name}.pem"
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    public(key).write_bytes(made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return key


def public(key: Path) -> Path:
    return key.with_suffix(".pub")


def make_chain(folder: Path) -> tuple[Path, Path, Path]:
    """The key of a signer, its certificate with that of the authority between, and the authority's own."""
    authority, between, signer = (make_key(folder, name) for name in ("authority", "between", "signer"))
    root = folder / "authority.crt"
    _openssl("req", "-x509", "-new", "-key", str(authority), "-days", "3650", "-subj", "/CN=Models", "-out", str(root))
    team = certificate(
        folder, between, "Team", by=root, by_key=authority, extensions="basicConstraints=critical,CA:true,pathlen:0"
    )
    own = certificate(folder, signer, "release", by=team, by_key=between, extensions=SIGNING)
    chain = folder / "chain.crt"
    chain.write_text(own.read_text() + team.read_text())
    return signer, chain, root


def certificate(folder: Path, key: Path, name: str, *, by: Path, by_key: Path, extensions: str) -> Path:
    request, rules, made = (folder / f"{name}.{kind}" for kind in ("csr", "ext", "crt"))
    rules.write_text(f"{extensions}\n")
    _openssl("req", "-new", "-key", str(key), "-subj", f"/O=Example/CN={name}", "-out", str(request))
    signing = ("-CA", str(by), "-CAkey", str(by_key), "-CAcreateserial", "-days", "365")
    _openssl("x509", "-req", "-in", str(request), *signing, "-extfile", str(rules), "-out", str(made))
    return made


def signature_of(digest: str, key: Path) -> str:
    """A signature of the version with this digest, whatever its files are."""
    statement = json.loads(write_model(ONE_FILE, "model"))
    statement["predicate"]["pedigree"]["digest"] = digest
    return signature_over(canonical_json(statement), key)


def signature_over(payload: bytes, key: Path) -> str:
    signer = FileKey(key)
    unsigned = Bundle(payload, b"", hint_of(signer.public_key))
    return Bundle(payload, signer.sign(unsigned.signed_bytes), unsigned.hint).to_text()


def _openssl(*arguments: str) -> None:
    subprocess.run(("openssl", *arguments), check=True, capture_output=True)

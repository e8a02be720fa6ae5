"""Keys that sign, and keys and certificates that are trusted. As OpenSSF has it: on the curves P-256, P-384, P-521.

A private key never passes through here but from its own file into the library that uses it. Where it lies in an HSM,
`pkcs11` reaches it; in a KMS, a command signs: whatever makes an ECDSA signature of its standard input.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.extras import not_installed
from tfx_pedigree.text import plain

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

PASSWORD = "PEDIGREE_KEY_PASSWORD"  # noqa: S105  the variable's name
LARGEST_KEY = 64 << 10
LONGEST_COMMAND = 60.0
_CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


class Signer(Protocol):
    """Signs bytes with one key."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey: ...

    @property
    def certificates(self) -> Sequence[bytes]:
        """The key's own certificate and those above it, as DER; none for a bare key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """An ECDSA signature as DER, over the hash that belongs to the key's curve."""
        ...


class FileKey:
    """A private key in a PEM file; its password, if it has one, stands in PEDIGREE_KEY_PASSWORD."""

    certificates: Sequence[bytes] = ()

    def __init__(self, path: Path) -> None:
        self._key = _private_key(path)
        self.public_key = checked_key(self._key.public_key(), f"The key {path}")

    def sign(self, data: bytes) -> bytes:
        return bytes(self._key.sign(data, _algorithm(self.public_key)))


class CertificateKey:
    """A signer whose key a certificate vouches for. `chain`: the certificate first, then those above it."""

    def __init__(self, key: Signer, chain: Path) -> None:
        found = read_certificates(read_text(chain, "certificates"), f"The file {chain}")
        if found[0].public_key() != key.public_key:
            raise InvalidInputError(
                f"The first certificate in {chain} is not that of the key. Put the key's own certificate first."
            )
        self._key = key
        self.public_key = key.public_key
        self.certificates: Sequence[bytes] = tuple(_der(one) for one in found)

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


class CommandKey:
    """A key that only a command reaches: it reads what to sign from its standard input and writes the signature."""

    certificates: Sequence[bytes] = ()

    def __init__(self, command: str, public_key: Path) -> None:
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise InvalidInputError(f"The signing command {plain(command)!r} cannot be read: {error}.") from None
        if not self._command:
            raise InvalidInputError("The signing command is empty. Name a program and its arguments.")
        self.public_key = read_public_key(public_key)

    def sign(self, data: bytes) -> bytes:
        program = self._command[0]
        try:
            done = subprocess.run(self._command, input=data, capture_output=True, timeout=LONGEST_COMMAND, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(
                f"The signing command {program} did not answer: {error}. Nothing was signed."
            ) from None
        if done.returncode != 0:
            told = plain(done.stderr.decode(errors="replace").strip(), 300)
            raise UnavailableError(
                f"The signing command {program} failed ({done.returncode}): {told}. Nothing was signed."
            )
        if not signed_by(self.public_key, done.stdout, data):
            raise InvalidInputError(
                f"What {program} wrote is no signature by the given public key. It must write the ECDSA signature as "
                f"DER over the {_hash_name(self.public_key)} of its standard input."
            )
        return done.stdout


@dataclass(frozen=True)
class TrustedKey:
    """A public key, or a certificate whose holders are trusted, as PEM. `id` names it in logs and commands."""

    pem: str

    @classmethod
    def from_text(cls, text: str, what: str) -> TrustedKey:
        """Refuses what is neither, and a private key above all. The PEM is written anew: one key has one id."""
        if "PRIVATE KEY" in text:
            raise InvalidInputError(f"{what} is a private key, which belongs to nobody else. Give the public one.")
        if _CERTIFICATE in text:
            found = read_certificates(text, what)
            if len(found) != 1:
                raise InvalidInputError(f"{what} holds {len(found)} certificates. Give one at a time.")
            return cls(_certificate_pem(found[0]))
        return cls(_pem(_public_key(text, what)))

    @property
    def is_certificate(self) -> bool:
        return self.pem.startswith(_CERTIFICATE)

    @property
    def id(self) -> str:
        return digest_of(self.pem.encode())

    def key(self) -> ec.EllipticCurvePublicKey:
        return _public_key(self.pem, "The trusted key")

    def certificate(self) -> x509.Certificate:
        return read_certificates(self.pem, "The trusted certificate")[0]


def read_trusted(path: Path) -> TrustedKey:
    require_cryptography()
    return TrustedKey.from_text(read_text(path, "key"), f"The file {path}")


def read_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    return _public_key(read_text(path, "public key"), f"The file {path}")


def hint_of(key: ec.EllipticCurvePublicKey) -> str:
    return hashlib.sha256(_pem(key).encode()).hexdigest()


def signed_by(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  an extra, and slow to load
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    try:
        key.verify(signature, data, ec.ECDSA(_hash(key)))
    except InvalidSignature:
        return False
    return True


def read_certificates(text: str, what: str) -> list[x509.Certificate]:
    from cryptography import x509  # noqa: PLC0415

    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise InvalidInputError(f"{what} holds no certificate that can be read. It must be PEM.") from None
    for one in found:
        checked_key(one.public_key(), f"A certificate in {what[0].lower()}{what[1:]}")
    return found


def require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401, PLC0415
    except ImportError:
        raise not_installed("Signatures need the package cryptography, which is", "sign") from None


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    password = os.environ.get(PASSWORD)
    try:
        key = load_pem_private_key(read_text(path, "key").encode(), password.encode() if password else None)
    except TypeError:
        need = "has no password" if password else "has a password"
        raise InvalidInputError(
            f"The key {path} {need}. It is read from the environment variable {PASSWORD}."
        ) from None
    except ValueError:
        raise InvalidInputError(
            f"{path} is no private key that can be read, or {PASSWORD} is not its password."
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInputError(_wrong_kind(f"The key {path}"))
    return key


def _public_key(text: str, what: str) -> ec.EllipticCurvePublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        return checked_key(load_pem_public_key(text.encode()), what)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInputError(f"{what} is no public key that can be read. It must be PEM.") from None


def checked_key(key: Any, what: str) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise InvalidInputError(_wrong_kind(what))
    return key


def _wrong_kind(what: str) -> str:
    return (
        f"{what} is not on the elliptic curve P-256, P-384 or P-521. Make one with "
        "`openssl ecparam -name prime256v1 -genkey -noout -out key.pem`."
    )


def read_text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_KEY + 1)
    except OSError as error:
        raise InvalidInputError(f"The {what} file {path} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST_KEY:
        raise InvalidInputError(f"{path} is larger than any {what}. Give a PEM file.")
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path} is not PEM: it holds other characters than ASCII.") from None


def _hash_name(key: ec.EllipticCurvePublicKey) -> str:
    return _CURVES[key.curve.name]


def _hash(key: ec.EllipticCurvePublicKey) -> Any:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    return getattr(hashes, _hash_name(key))()


def digest_for(key: ec.EllipticCurvePublicKey, data: bytes) -> bytes:
    """The hash that belongs to the key's curve."""
    return hashlib.new(_hash_name(key).lower(), data).digest()


def _algorithm(key: ec.EllipticCurvePublicKey) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    return ec.ECDSA(_hash(key))


def _pem(key: ec.EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _certificate_pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return certificate.public_bytes(Encoding.PEM).decode()


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return certificate.public_bytes(Encoding.DER)

"""The file around a signature: a Sigstore bundle with a DSSE envelope, read field by field and written in one way."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.signing.statement import PAYLOAD_TYPE
from tfx_pedigree.text import plain

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# Stated in docs/limits.md: a model of 100,000 files needs 20 MB.
LARGEST_BUNDLE = 32 << 20
MOST_CERTIFICATES = 10


@dataclass(frozen=True)
class Bundle:
    """One signature over one payload. `hint` is the SHA-256 of the public key, where there is no certificate."""

    payload: bytes
    signature: bytes
    hint: str | None = None
    certificates: Sequence[bytes] = ()

    @property
    def signed_bytes(self) -> bytes:
        """What the key signs: the payload's type and length belong to it."""
        return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(self.payload), self.payload)

    def to_text(self) -> str:
        material: dict[str, Any] = {"tlogEntries": []}
        if self.certificates:
            chain = [{"rawBytes": _encoded(certificate)} for certificate in self.certificates]
            material["x509CertificateChain"] = {"certificates": chain}
        else:
            material["publicKey"] = {"hint": self.hint}
        envelope = {
            "payload": _encoded(self.payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": _encoded(self.signature), "keyid": ""}],
        }
        return canonical_json(
            {"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope}
        ).decode()

    @property
    def digest(self) -> str:
        return digest_of(self.to_text().encode())

    @classmethod
    def from_text(cls, text: str | bytes, what: str) -> Bundle:
        data = parse_json(text, what, largest=LARGEST_BUNDLE)
        if not isinstance(data, dict) or data.get("mediaType") != MEDIA_TYPE:
            raise InvalidInputError(f"{what} is no signature that can be read: its `mediaType` must be {MEDIA_TYPE}.")
        envelope, material = data.get("dsseEnvelope"), data.get("verificationMaterial")
        if not isinstance(envelope, dict) or not isinstance(material, dict):
            raise InvalidInputError(f"{what} must have a `dsseEnvelope` and a `verificationMaterial`.")
        if envelope.get("payloadType") != PAYLOAD_TYPE:
            kind = plain(str(envelope.get("payloadType")), 80)
            raise InvalidInputError(f"{what} signs {kind!r}, and not {PAYLOAD_TYPE}.")
        signatures = envelope.get("signatures")
        if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
            raise InvalidInputError(f"{what} must have one signature.")
        return cls(
            _decoded(envelope.get("payload"), what, "payload"),
            _decoded(signatures[0].get("sig"), what, "sig"),
            _hint(material, what),
            _certificates(material, what),
        )


def _hint(material: dict[str, Any], what: str) -> str | None:
    key = material.get("publicKey")
    hint = key.get("hint") if isinstance(key, dict) else None
    if hint is not None and not isinstance(hint, str):
        raise InvalidInputError(f"{what}: the `hint` of its public key must be text.")
    return hint or None


def _certificates(material: dict[str, Any], what: str) -> tuple[bytes, ...]:
    chain = material.get("x509CertificateChain")
    if chain is None:
        if "certificate" in material:
            raise InvalidInputError(
                f"{what} was signed with a short-lived certificate of Sigstore, which only a transparency log proves. "
                "Pedigree verifies signatures by a key and by a certificate chain."
            )
        return ()
    listed = chain.get("certificates") if isinstance(chain, dict) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_CERTIFICATES:
        raise InvalidInputError(f"{what} must have from 1 to {MOST_CERTIFICATES} certificates in its chain.")
    return tuple(_decoded(one.get("rawBytes") if isinstance(one, dict) else None, what, "rawBytes") for one in listed)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(value: object, what: str, field: str) -> bytes:
    if not isinstance(value, str):
        raise InvalidInputError(f"{what}: `{field}` is missing.")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError(f"{what}: `{field}` is not base64.") from None

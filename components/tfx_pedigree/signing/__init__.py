"""Signatures of versions, as OpenSSF model signing writes them.

In come a manifest and somebody's key, out comes a bundle that `model_signing` verifies; in come a bundle and the keys
that are trusted, out comes who signed which files. It never hashes a file: the manifest has every digest already.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tfx_pedigree.signing.bundle import LARGEST_BUNDLE, Bundle
from tfx_pedigree.signing.keys import (
    CertificateKey,
    CommandKey,
    FileKey,
    Signer,
    TrustedKey,
    read_trusted,
    require_cryptography,
)
from tfx_pedigree.signing.statement import Attestation, SignedModel, read_attestation, read_signed
from tfx_pedigree.signing.verification import Verified, sign_model, sign_statement, verify

if TYPE_CHECKING:
    from tfx_pedigree.signing.pkcs11 import SCHEME, TokenKey

__all__ = [
    "LARGEST_BUNDLE",
    "SCHEME",
    "Attestation",
    "Bundle",
    "CertificateKey",
    "CommandKey",
    "FileKey",
    "SignedModel",
    "Signer",
    "TokenKey",
    "TrustedKey",
    "Verified",
    "read_attestation",
    "read_signed",
    "read_trusted",
    "require_cryptography",
    "sign_model",
    "sign_statement",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Keys in a device are read by who has one."""
    if name not in ("SCHEME", "TokenKey"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.pkcs11"), name)

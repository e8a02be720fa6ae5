"""Signatures of versions, as OpenSSF model signing writes them.

In come a manifest and somebody's key, out comes a bundle that `model_signing` verifies; in come a bundle and the keys
that are trusted, out comes who signed which files. It never hashes a file: the manifest has every digest already.
"""

from __future__ import annotations

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
from tfx_pedigree.signing.pkcs11 import SCHEME, TokenKey
from tfx_pedigree.signing.statement import Attestation, SignedModel, read_attestation, read_signed
from tfx_pedigree.signing.verification import Verified, sign_model, sign_statement, verify

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

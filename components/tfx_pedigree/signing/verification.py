"""Signing a version, and checking whether a trusted key or certificate signed a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.signing.bundle import Bundle
from tfx_pedigree.signing.keys import Signer, TrustedKey, hint_of, require_cryptography, signed_by
from tfx_pedigree.signing.statement import Attestation, write_attestation, write_model

if TYPE_CHECKING:
    from cryptography import x509

    from tfx_pedigree.store import Manifest


@dataclass(frozen=True)
class Verified:
    """Who signed: the trusted key or certificate, and the name in the signer's own certificate."""

    key: TrustedKey
    subject: str | None = None


def sign_model(manifest: Manifest, name: str, signer: Signer) -> Bundle:
    return _sign(write_model(manifest, name), signer)


def sign_statement(attestation: Attestation, signer: Signer) -> Bundle:
    return _sign(write_attestation(attestation), signer)


def _sign(payload: bytes, signer: Signer) -> Bundle:
    unsigned = Bundle(payload, b"", hint_of(signer.public_key), signer.certificates)
    return Bundle(payload, signer.sign(unsigned.signed_bytes), unsigned.hint, unsigned.certificates)


def verify(bundle: Bundle, trusted: Sequence[TrustedKey], when: datetime) -> Verified | None:
    """Which of the trusted keys or certificates made this signature; None if none of them did. A certificate must have
    been valid at `when`."""
    require_cryptography()
    for one in trusted:
        if bundle.certificates and one.is_certificate:
            leaf = _leaf(bundle, one, when)
            if leaf is not None and signed_by(leaf.public_key(), bundle.signature, bundle.signed_bytes):  # type: ignore[arg-type]
                return Verified(one, leaf.subject.rfc4514_string())
        elif not one.is_certificate and signed_by(one.key(), bundle.signature, bundle.signed_bytes):
            return Verified(one)
    return None


def _leaf(bundle: Bundle, root: TrustedKey, when: datetime) -> x509.Certificate | None:
    """The signer's certificate, if a chain leads from it to the trusted certificate and it is meant for signing."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509 import verification as path  # noqa: PLC0415

    try:
        leaf, *others = (x509.load_der_x509_certificate(one) for one in bundle.certificates)
    except ValueError as error:
        raise InvalidInputError(f"A certificate in the signature cannot be read: {error}.") from None
    anything = path.ExtensionPolicy.permit_all()
    # The web's rules for authorities ask for more than a company's own authority has, and these two are what counts.
    authority = anything.require_present(x509.BasicConstraints, path.Criticality.AGNOSTIC, _is_authority)
    authority = authority.may_be_present(x509.KeyUsage, path.Criticality.AGNOSTIC, _may_certify)
    builder = path.PolicyBuilder().store(path.Store([root.certificate()])).time(when)
    try:
        verifier = builder.extension_policies(ca_policy=authority, ee_policy=anything).build_client_verifier()
        verifier.verify(leaf, others)
    except path.VerificationError:
        return None
    return leaf if _may_sign(leaf) else None


def _is_authority(_policy: object, _certificate: object, basic: x509.BasicConstraints) -> None:
    if not basic.ca:
        raise ValueError("it is no authority")


def _may_certify(_policy: object, _certificate: object, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its key may not sign certificates")


def _may_sign(certificate: x509.Certificate) -> bool:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415

    def extension(kind: type) -> x509.ExtensionType | None:
        try:
            return certificate.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    usage, extended = extension(x509.KeyUsage), extension(x509.ExtendedKeyUsage)
    if isinstance(usage, x509.KeyUsage) and usage.digital_signature:
        return True
    return isinstance(extended, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.CODE_SIGNING in extended

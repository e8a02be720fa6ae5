"""Signatures and trusted keys of a local registry (see `api.Signatures`)."""

from __future__ import annotations

from tfx_pedigree.registry import reading, signatures
from tfx_pedigree.registry.api import Signatures
from tfx_pedigree.registry.names import Reference
from tfx_pedigree.registry.records import VersionChange
from tfx_pedigree.registry.roles import Action
from tfx_pedigree.registry.signatures import Signature, Trust, TrustChange
from tfx_pedigree.registry.transactions import Transactions
from tfx_pedigree.signing import Bundle, TrustedKey, require_cryptography


class LocalSignatures(Signatures):
    transactions: Transactions

    def sign(self, reference: str | Reference, bundle: str) -> VersionChange:
        read, reference = Bundle.from_text(bundle, "The signature"), Reference.of(reference)
        with self.transactions.changing(reference.model, Action.SIGN, reading.selecting(reference)) as write:
            found = reading.resolve(write.connection, reference, write.rows[0])
            after = signatures.attach(write, found, read)
            return VersionChange(after.version, found.version, None, write.written > 0)

    def signatures(self, reference: str | Reference) -> tuple[Signature, ...]:
        reference = Reference.of(reference)
        with self.transactions.reading(reference.model) as connection:
            found = reading.resolve(connection, reference)
            rows = signatures.SIGNATURES.rows(connection, id=found.id)
            return signatures.signatures(rows, signatures.trusted_keys(connection, reference.model))

    def trust_key(self, model: str, pem: str, *, reason: str | None = None) -> TrustChange:
        require_cryptography()
        key = TrustedKey.from_text(pem, "The key")
        self.transactions.ensure_model(model)
        with self.transactions.changing(model, Action.TRUST_KEY) as write:
            changed = signatures.add_trust(write, reading.find_model(write.connection, model).id, key, reason)
            write.ask()
            return TrustChange(model, signatures.trusted_keys(write.connection, model), changed)

    def distrust_key(self, model: str, key: str, *, reason: str) -> TrustChange:
        with self.transactions.changing(model, Action.TRUST_KEY) as write:
            signatures.take_trust(write, reading.find_model(write.connection, model).id, key, reason)
            write.ask()
            return TrustChange(model, signatures.trusted_keys(write.connection, model), changed=True)

    def trusted_keys(self, model: str) -> tuple[Trust, ...]:
        with self.transactions.reading(model) as connection:
            reading.find_model(connection, model)
            return signatures.trusted_keys(connection, model)

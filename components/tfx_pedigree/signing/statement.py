"""What is signed: in-toto statements, as bytes and as values.

A model's statement names every file with its SHA-256, and the SHA-256 of all these digests in their order. Pedigree
adds the digest of its manifest, which other verifiers pass over: a signature can then be held to a version without
reading the manifest again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import canonical_json, check_digest, is_digest
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import plain

if TYPE_CHECKING:
    # The bytes behind a manifest concern only who signs, and loading their room takes its time.
    from tfx_pedigree.store import Manifest

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
MODEL_SIGNATURE = "https://model_signing/signature/v1.0"
# What is no part of a model, by the convention of the others: where a folder holds it, it is not signed.
IGNORED = ("model.sig",)
# As many as a manifest may have.
MOST_FILES = 100_000


@dataclass(frozen=True)
class SignedModel:
    """What a model's signature says: the SHA-256 of each file, and the manifest's digest if Pedigree wrote it."""

    name: str
    files: Mapping[str, str]
    digest: str | None

    def differences(self, manifest: Manifest) -> list[str]:
        """What the manifest has and the signature does not say, or the other way round."""
        here = {entry.path: entry.sha256 for entry in manifest.files}
        found = [f"{path} is not signed" for path in sorted(here.keys() - self.files.keys())]
        found += [f"{path} is signed and missing" for path in sorted(self.files.keys() - here.keys())]
        common = sorted(here.keys() & self.files.keys())
        return found + [f"{path} was signed with other content" for path in common if here[path] != self.files[path]]


@dataclass(frozen=True)
class Attestation:
    """Any other statement about a version: its kind as a URI, and what it says."""

    kind: str
    name: str
    digest: str
    predicate: Mapping[str, Any]


def write_model(manifest: Manifest, name: str) -> bytes:
    root = hashlib.sha256(bytes.fromhex("".join(entry.sha256 for entry in manifest.files)))
    return canonical_json(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": root.hexdigest()}}],
            "predicateType": MODEL_SIGNATURE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": list(IGNORED),
                },
                "resources": [
                    {"name": entry.path, "algorithm": "sha256", "digest": entry.sha256} for entry in manifest.files
                ],
                "pedigree": {"digest": manifest.digest},
            },
        }
    )


def write_attestation(attestation: Attestation) -> bytes:
    return canonical_json(
        {
            "_type": STATEMENT,
            "subject": [{"name": attestation.name, "digest": {"sha256": attestation.digest.removeprefix("sha256:")}}],
            "predicateType": attestation.kind,
            "predicate": dict(attestation.predicate),
        }
    )


def read_signed(payload: bytes, what: str) -> SignedModel:
    """Refuses a statement that contradicts itself, or that is not about the files of a model."""
    name, root, kind, predicate = _statement(payload, what)
    if kind != MODEL_SIGNATURE:
        raise InvalidInputError(
            f"{what} signs no model: its predicate is {plain(kind, 80)!r}, and a model's is {MODEL_SIGNATURE}."
        )
    serialization = predicate.get("serialization")
    if not isinstance(serialization, dict):
        raise InvalidInputError(f"{what} does not say how the model was put in order: `serialization` is missing.")
    if (serialization.get("method"), serialization.get("hash_type")) != ("files", "sha256"):
        raise InvalidInputError(
            f"{what} signs the model in pieces, or with another hash than SHA-256. Sign whole files: "
            "`model_signing sign` does so unless it is told otherwise."
        )
    files = _files(predicate.get("resources"), what)
    told = hashlib.sha256(bytes.fromhex("".join(files.values())))
    if told.hexdigest() != root:
        raise InvalidInputError(f"{what} contradicts itself: its files do not add up to the digest that it names.")
    ours = predicate.get("pedigree")
    digest = ours.get("digest") if isinstance(ours, dict) else None
    return SignedModel(name, files, check_digest(digest) if isinstance(digest, str) else None)


def read_attestation(payload: bytes, what: str) -> Attestation:
    name, digest, kind, predicate = _statement(payload, what)
    return Attestation(kind, name, f"sha256:{digest}", predicate)


def _statement(payload: bytes, what: str) -> tuple[str, str, str, dict[str, Any]]:
    data = parse_json(payload, what)
    if not isinstance(data, dict) or data.get("_type") != STATEMENT:
        raise InvalidInputError(f"{what} holds no in-toto statement: its `_type` must be {STATEMENT}.")
    subjects, kind, predicate = data.get("subject"), data.get("predicateType"), data.get("predicate")
    subject = subjects[0] if isinstance(subjects, list) and len(subjects) == 1 else None
    if not isinstance(subject, dict) or not isinstance(kind, str) or not isinstance(predicate, dict):
        raise InvalidInputError(f"{what} must have one subject, a predicateType and a predicate.")
    title, digests = subject.get("name"), subject.get("digest")
    digest = digests.get("sha256") if isinstance(digests, dict) else None
    if not isinstance(title, str) or not isinstance(digest, str) or not is_sha256(digest):
        raise InvalidInputError(f"{what}: its subject must have a name and a SHA-256.")
    return title, digest, kind, predicate


def is_sha256(text: object) -> bool:
    return isinstance(text, str) and is_digest(f"sha256:{text}")


def _files(resources: object, what: str) -> dict[str, str]:
    if not isinstance(resources, list) or not 0 < len(resources) <= MOST_FILES:
        raise InvalidInputError(f"{what} must list from 1 to {MOST_FILES} files.")
    files: dict[str, str] = {}
    for item in resources:
        name, digest = (item.get("name"), item.get("digest")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not is_sha256(digest) or item.get("algorithm") != "sha256":
            raise InvalidInputError(f"{what}: every file needs a name, `sha256` as algorithm, and a digest.")
        if name in files:
            raise InvalidInputError(f"{what} names {plain(name, 80)!r} twice.")
        files[name] = str(digest)
    return files

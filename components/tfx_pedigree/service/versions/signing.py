"""Signing a version, and checking a signature against its bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from tfx_pedigree.errors import ConflictError, InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import Action, Reference, Signature, State, Version, VersionChange
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.signing import Bundle, Signer, TrustedKey, Verified, read_signed, sign_model, verify
from tfx_pedigree.text import listed, plural


@dataclass(frozen=True)
class SignatureReport(JsonForm):
    """A signature that holds: whose it is, and that the stored bytes are the signed ones."""

    version: Version
    key: str
    subject: str | None
    files: int


def sign_version(workspace: Workspace, reference: str | Reference, signer: Signer) -> tuple[VersionChange, Bundle]:
    """Signs what the store's manifest says of the version, and keeps the signature with it."""
    registry = workspace.registry
    version = registry.get(reference)
    registry.require(Action.SIGN, version.model)
    bundle = sign_model(workspace.store.manifest(version.digest), version.model, signer)
    return registry.sign(Reference(version.model, version.version), bundle.to_text()), bundle


def check_signature(
    workspace: Workspace,
    reference: str | Reference,
    bundle: Bundle,
    trusted: Sequence[TrustedKey] = (),
    progress: Progress = silent,
) -> SignatureReport:
    """Whether somebody trusted signed these bytes: the signature names every file's digest, and every file is read.
    Without `trusted`, the keys count that the model trusts."""
    version = workspace.registry.get(reference)
    keys = list(trusted) or [TrustedKey(one.pem) for one in workspace.registry.trusted_keys(version.model)]
    if not keys:
        raise InvalidInputError(
            f"{version.model} trusts no key, so that nobody's signature can be checked. Name one with --trusted FILE, "
            f"or once for all with `pedigree trust add {version.model} FILE`."
        )
    by = _verified(bundle, keys, version)
    manifest = workspace.store.manifest(version.digest)
    differences = read_signed(bundle.payload, "The signature").differences(manifest)
    if differences:
        more = f", and {plural(len(differences) - 3, 'more file')}" if len(differences) > 3 else ""
        raise InvalidInputError(f"The signature is not that of {version.name}: {listed(differences[:3])}{more}.")
    report = workspace.store.verify([version.digest], progress=progress)
    if not report.ok:
        raise InvalidInputError(
            f"{version.name} was signed as it should be, but its stored bytes are damaged. See "
            f"`pedigree verify {version.model}@{version.version}`."
        )
    return SignatureReport(version, by.key.id, by.subject, len(manifest.files))


def _verified(bundle: Bundle, keys: Sequence[TrustedKey], version: Version) -> Verified:
    found = verify(bundle, keys, datetime.now(timezone.utc))
    if found is None:
        raise InvalidInputError(
            f"No trusted key made this signature: {plural(len(keys), 'key')} of {version.model} or of the command "
            "line would count. The bytes may be those of somebody else."
        )
    return found


@dataclass(frozen=True)
class Pulled(JsonForm):
    """Where a version's files are now, and the signature that lies beside them."""

    path: str
    version: Version
    signature: str | None


def pull_version(
    workspace: Workspace,
    reference: str | Reference,
    target: Path,
    *,
    signed: bool | None = None,
    trusted: Sequence[TrustedKey] = (),
    link: Literal["copy", "hardlink", "reflink"] = "copy",
    progress: Progress = silent,
) -> Pulled:
    """Lays the files out, verified, and a trusted signature beside them. With `signed` or `trusted` it is refused
    without one; where neither is said, as the model asks for it. Where the keys come from the caller, nobody can pass
    off other bytes who writes to the database."""
    version = workspace.registry.get(reference)
    found = workspace.registry.signatures(Reference(version.model, version.version))
    newest = next((one for one in reversed(found) if _counts(one, version, trusted)), None)
    if newest is None and (trusted or (_must_be_signed(workspace, version) if signed is None else signed)):
        state = "is signed, but by no trusted key" if found else "is not signed"
        told = "" if signed or trusted else " To look at it unsigned: --unsigned."
        raise ConflictError(
            f"{version.name} {state}, and was not laid out. See `pedigree trust list {version.model}`, and sign it "
            f"with `pedigree sign {version.model}@{version.version} --key FILE`.{told}"
        )
    folder = workspace.store.materialise(version.digest, target, link=link, progress=progress)
    if newest is None:
        return Pulled(str(folder), version, None)
    beside = folder.with_name(f"{folder.name}.sig")
    _write(beside, newest.bundle)
    return Pulled(str(folder), version, str(beside))


def _must_be_signed(workspace: Workspace, version: Version) -> bool:
    """Of the champion the promotion has asked already; one that a rollback brought back may be older than the keys."""
    return version.state is not State.PRODUCTION and bool(workspace.registry.trusted_keys(version.model))


def _counts(signature: Signature, version: Version, trusted: Sequence[TrustedKey]) -> bool:
    if not trusted:
        return signature.key is not None
    bundle = Bundle.from_text(signature.bundle, "The stored signature")
    signed = read_signed(bundle.payload, "The stored signature")
    return signed.digest == version.digest and verify(bundle, trusted, signature.created_at) is not None


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        draft.write(text)
    Path(draft.name).replace(path)

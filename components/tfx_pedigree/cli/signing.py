"""`sign`, `trust`: who signed which version, and whose signature counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tfx_pedigree.cli import changes, output
from tfx_pedigree.cli.app import App, pass_app
from tfx_pedigree.cli.columns import Column, Columns
from tfx_pedigree.cli.complete import model_names, references
from tfx_pedigree.cli.inputs import reason_option, write_new
from tfx_pedigree.cli.lazy import PedigreeCommand, PedigreeGroup
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import short_digest

if TYPE_CHECKING:
    from tfx_pedigree.registry import Signature, Trust
    from tfx_pedigree.signing import Signer

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)


def key_options(command: F) -> F:
    """Whose key signs; `signer_of` takes them."""
    for option in reversed(
        (
            click.option(
                "--key",
                metavar="FILE|URI",
                help="Private key (PEM), or pkcs11:token=…;object=… for one in an HSM. Its password or PIN is read "
                "from PEDIGREE_KEY_PASSWORD.",
            ),
            click.option("--key-command", metavar="COMMAND", help="Signs its standard input, for a key in a KMS."),
            click.option("--public-key", type=_FILE, help="The public key of --key-command, or of a URI (PEM)."),
            click.option("--certificates", type=_FILE, help="The key's certificate and those above it (PEM)."),
        )
    ):
        command = option(command)
    return command


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@key_options
@click.option("--output", "out", type=_FILE, help="Write the signature to this new file too.")
@click.option("--list", "listing", is_flag=True, help="List the signatures of the version instead.")
@pass_app
def sign(
    app: App,
    /,
    ref: str,
    *,
    out: Path | None,
    listing: bool,
    **key: Any,
) -> None:
    """Sign a version, and keep the signature with it.

    The signature is an OpenSSF model signing bundle over the digest of every file; `model_signing verify` takes it.
    """
    if listing:
        with app.open().registry as registry:
            found = registry.signatures(ref)
        _SIGNATURES.answer_all(found, None, nothing=f"{ref} has no signature.", then=("sign", ref, "--key", "FILE"))
        return
    from tfx_pedigree.service.versions.signing import sign_version

    signer = signer_of(**key)
    with app.open() as workspace:
        change, bundle = sign_version(workspace, ref, signer)
    version = change.version
    if out is not None:
        write_new(out, bundle.to_text())
    changes.answer(
        change,
        done=f"{version.name} is signed: {short_digest(bundle.digest)}.",
        already=f"{version.name} has this signature already",
        signature=bundle.digest,
    )


def signer_of(key: str | None, key_command: str | None, public_key: Path | None, certificates: Path | None) -> Signer:
    from tfx_pedigree.signing import SCHEME, CertificateKey, CommandKey, FileKey, TokenKey, require_cryptography

    require_cryptography()
    if (key is None) == (key_command is None):
        raise InvalidInputError("Name the key that signs: --key FILE, or --key-command COMMAND with --public-key FILE.")
    signer: Signer
    if key is not None and key.startswith(SCHEME):
        signer = TokenKey(key, public_key)
    elif (key_command is None) != (public_key is None):
        raise InvalidInputError("--key-command and --public-key FILE belong together: what was signed is checked.")
    elif key_command is not None and public_key is not None:
        signer = CommandKey(key_command, public_key)
    else:
        assert key is not None  # noqa: S101  one of the two is there, see above
        signer = FileKey(Path(key))
    return signer if certificates is None else CertificateKey(signer, certificates)


_SIGNATURES: Columns[Signature] = Columns(
    {
        "at": Column(lambda one: one.created_at),
        "by": Column(lambda one: one.created_by),
        "trusted key": Column(lambda one: short_digest(one.key) if one.key else output.NOTHING),
        "certificate": Column(lambda one: one.subject or output.NOTHING),
        "signature": Column(lambda one: short_digest(one.digest)),
    }
)


@click.group(cls=PedigreeGroup)
def trust() -> None:
    """Say whose signature a model needs."""


@trust.command("add")
@click.argument("model", shell_complete=model_names)
@click.argument("file", type=_FILE)
@reason_option(required=False)
@pass_app
def add(app: App, model: str, file: Path, reason: str | None) -> None:
    """Let only versions become champion that this key signed, or another one that the model trusts.

    FILE holds a public key, or the certificate of an authority (PEM). What serves now goes on serving.
    """
    from tfx_pedigree.signing import read_trusted

    key = read_trusted(file)
    with app.open().registry as registry:
        change = registry.trust_key(model, key.pem, reason=reason)
    name = short_digest(key.id)
    text = f"{model} trusts {name} now." if change.changed else f"{model} trusts {name} already; nothing changed."
    output.answer(change, lambda _: output.done(text))


@trust.command("remove")
@click.argument("model", shell_complete=model_names)
@click.argument("key")
@reason_option(required=True)
@pass_app
def remove(app: App, model: str, key: str, reason: str) -> None:
    """Take a key's trust away. KEY is its id, or the beginning of it."""
    with app.open().registry as registry:
        change = registry.distrust_key(model, key, reason=reason)
    left = "" if change.keys else f" {model} needs no signature any more."
    output.answer(change, lambda _: output.done(f"{model} does not trust {key} any more.{left}"))


_KEYS: Columns[Trust] = Columns(
    {
        "key": Column(lambda one: short_digest(one.key)),
        "kind": Column(lambda one: "certificate" if "CERTIFICATE" in one.pem else "public key"),
        "added": Column(lambda one: one.added_at),
        "by": Column(lambda one: one.added_by),
    }
)


@trust.command("list")
@click.argument("model", shell_complete=model_names)
@_KEYS.option
@pass_app
def list_(app: App, model: str, columns: list[str] | None) -> None:
    """List the keys whose signatures count for a model."""
    with app.open().registry as registry:
        found = registry.trusted_keys(model)
    nothing = f"{model} trusts no key: its versions need no signature."
    _KEYS.answer_all(found, columns, nothing=nothing, then=("trust", "add", model, "FILE"))

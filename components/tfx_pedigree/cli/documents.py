"""`bom`, `card`, `attest`: what others ask of a version, in their formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfx_pedigree.cli import output
from tfx_pedigree.cli.app import App, asked, pass_app
from tfx_pedigree.cli.complete import references
from tfx_pedigree.cli.inputs import write_new
from tfx_pedigree.cli.lazy import PedigreeCommand
from tfx_pedigree.cli.signing import key_options, signer_of

if TYPE_CHECKING:
    from tfx_pedigree.service.versions.dossier import Dossier

_OUT = click.option("--output", "out", type=click.Path(path_type=Path), help="Write it to this new file.")


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.option(
    "--format",
    "form",
    type=click.Choice(["cyclonedx", "spdx"]),
    default="cyclonedx",
    show_default=True,
    help="CycloneDX 1.6, or SPDX 3.0 with its AI profile.",
)
@_OUT
@pass_app
def bom(app: App, ref: str, form: str, out: Path | None) -> None:
    """Write a version's bill of materials.

    Files, data, packages, parameters, metrics and the ancestor. It is made from lineage and evidence, and the
    same each time as long as these are.
    """
    from tfx_pedigree.integrations import bill_of_materials, spdx_document

    dossier = _gathered(app, ref)
    _write(_json(bill_of_materials(dossier) if form == "cyclonedx" else spdx_document(dossier)), out)


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "html", "json"]),
    help="How it is written; Markdown unless --json is given.",
)
@_OUT
@pass_app
def card(app: App, ref: str, form: str | None, out: Path | None) -> None:
    """Write a version's model card.

    Purpose, data, metrics by slice, the gate's decision, limits, who approved. Its last part says which points of
    the AI Act's technical documentation the card answers, and which need a person.
    """
    from tfx_pedigree.integrations import card_as_html, card_as_markdown, card_of
    from tfx_pedigree.json_form import to_json

    made = card_of(_gathered(app, ref))
    wanted = form or ("json" if asked().json else "markdown")
    if wanted == "json":
        _write(_json(to_json(made)), out)
    else:
        _write(card_as_html(made) if wanted == "html" else card_as_markdown(made), out)


@click.command(cls=PedigreeCommand)
@click.argument("ref", shell_complete=references)
@click.option(
    "--of",
    "what",
    type=click.Choice(["evidence", "provenance"]),
    default="evidence",
    show_default=True,
    help="The gate's decision, or how the version was made (SLSA).",
)
@key_options
@_OUT
@pass_app
def attest(app: App, /, ref: str, *, what: str, out: Path | None, **key: Any) -> None:
    """Sign a statement about a version.

    It is an in-toto statement in the same envelope as the version's signature.
    """
    from tfx_pedigree.integrations import evidence_statement, provenance_statement
    from tfx_pedigree.signing import sign_statement

    signer = signer_of(**key)
    dossier = _gathered(app, ref)
    statement = evidence_statement(dossier) if what == "evidence" else provenance_statement(dossier)
    _write(f"{sign_statement(statement, signer).to_text()}\n", out)


def _gathered(app: App, ref: str) -> Dossier:
    from tfx_pedigree.service.versions.dossier import gather

    with app.open() as workspace:
        return gather(workspace, ref)


def _json(value: Any) -> str:
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n"


def _write(text: str, out: Path | None) -> None:
    """As it is: a document is no table, and no line of it is broken."""
    if out is None:
        click.echo(text, nl=False)
        return
    write_new(out, text)
    output.done(f"Written to {out}.")

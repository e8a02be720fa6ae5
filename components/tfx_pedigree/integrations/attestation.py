"""What is on file of a version as in-toto statements: the gate's decision, and how the version was made. Pure.

The subject of both is the version's digest. `signing` puts them into a signed envelope.
"""

from __future__ import annotations

from typing import Any

from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.lineage.graph import Node, NodeKind
from tfx_pedigree.service.versions.dossier import Dossier
from tfx_pedigree.signing import Attestation
from tfx_pedigree.text import format_timestamp

EVIDENCE = "urn:tfx-pedigree:evidence:v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD = "urn:tfx-pedigree:training:v1"


def evidence_statement(dossier: Dossier) -> Attestation:
    """The newest evidence, as it stands in the registry."""
    version = dossier.version
    if dossier.evidence is None:
        raise NotFoundError(
            f"{version.name} has no evidence that could be attested. Attach it with `pedigree evidence attach "
            f"{version.model}@{version.version} FILE`."
        )
    return Attestation(EVIDENCE, version.model, version.digest, dossier.evidence.to_json())


def provenance_statement(dossier: Dossier) -> Attestation:
    """SLSA provenance: what the version was made from, where and by which run."""
    version = dossier.version
    if not dossier.recorded:
        raise NotFoundError(
            f"No lineage was recorded of {version.name}, so nothing can be attested of how it was made. See "
            f"`pedigree explain {version.model}@{version.version}`."
        )
    run = dossier.runs[0] if dossier.runs else None
    metadata: dict[str, Any] = {"finishedOn": format_timestamp(version.created_at)}
    if run is not None:
        metadata["invocationId"] = run.fact("id") or run.key
    predicate = {
        "buildDefinition": {
            "buildType": BUILD,
            "externalParameters": {"model": version.model, "parameters": dict(version.parameters)},
            "internalParameters": {"version": version.version, "reasons": list(version.reasons)},
            "resolvedDependencies": [
                *(_dependency(node) for node in (*dossier.data, *dossier.code, *dossier.preparation)),
                *({"uri": f"pkg:pypi/{name}@{release}"} for name, release in dossier.packages.items()),
            ],
        },
        "runDetails": {"builder": {"id": _builder(run)}, "metadata": metadata},
    }
    return Attestation(PROVENANCE, version.model, version.digest, predicate)


def _dependency(node: Node) -> dict[str, Any]:
    """Named by its key in the graph; its digest is that of its content where it has one."""
    described: dict[str, Any] = {"name": node.key, "annotations": {"kind": node.kind.value}}
    if node.kind is NodeKind.CODE:
        described["digest"] = {"gitCommit": str(node.content.get("commit"))}
        if remote := node.fact("remote"):
            described["uri"] = f"git+{remote}"
        if diff := node.content.get("diff_digest"):
            described["annotations"]["uncommitted"] = str(diff)
        return described
    digest = str(node.content.get("fingerprint") or node.content.get("digest") or "")
    if digest.startswith("sha256:"):
        described["digest"] = {"sha256": digest.removeprefix("sha256:")}
    return described


def _builder(run: Node | None) -> str:
    pipeline = run.fact("pipeline") if run is not None else None
    return f"urn:tfx-pedigree:pipeline:{pipeline or 'unknown'}"

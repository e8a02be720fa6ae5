"""A version as a bill of materials in CycloneDX 1.6: the model, its files, its data, its packages, its ancestor. Pure.

What Pedigree knows and CycloneDX has no field for stands in properties whose names begin with `pedigree:`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tfx_pedigree import __version__
from tfx_pedigree.integrations.measured import Measurement, measurements
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.graph import Node, NodeKind
from tfx_pedigree.registry import Event
from tfx_pedigree.service.versions.dossier import Dossier
from tfx_pedigree.text import format_timestamp
from tfx_pedigree.versioning import TensorSpec

SPEC = "1.6"
_NAMESPACE = uuid.UUID("5f0f5f68-7f0d-5d0c-9a3e-0b8a5b6d2c11")
_DECISIONS = ("promote", "rollback", "archive", "restore")


def bill_of_materials(dossier: Dossier) -> dict[str, Any]:
    version = dossier.version
    model_ref = f"model:{version.digest}"
    data = [*_data(dossier.data, "training"), *_data(dossier.evaluated_on, "evaluation")]
    parts = [*_once(data), *_packages(dossier.packages)]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{version.model}@{version.digest}')}",
        "version": 1,
        "metadata": {
            "timestamp": format_timestamp(version.created_at),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "tfx-pedigree", "version": __version__}]},
            "component": _model(dossier, model_ref),
        },
        "components": parts,
        "dependencies": [
            {"ref": model_ref, "dependsOn": sorted(part["bom-ref"] for part in parts)},
            *({"ref": part["bom-ref"]} for part in parts),
        ],
        "annotations": [_annotation(event, model_ref) for event in dossier.events if event.action in _DECISIONS],
    }


def _model(dossier: Dossier, ref: str) -> dict[str, Any]:
    version = dossier.version
    made: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": ref,
        "name": version.model,
        "version": version.version,
        "properties": list(_properties(dossier)),
        "modelCard": _card(dossier),
    }
    if dossier.model.description:
        made["description"] = dossier.model.description
    if dossier.files is not None:
        made["components"] = [
            {
                "type": "file",
                "bom-ref": f"file:{version.digest}:{entry.path}",
                "name": entry.path,
                "hashes": [{"alg": "SHA-256", "content": entry.sha256}],
            }
            for entry in dossier.files
        ]
    if origin := _origin(dossier):
        made["pedigree"] = origin
    return made


def _origin(dossier: Dossier) -> dict[str, Any]:
    """The version before, and the commits."""
    version, found = dossier.version, {}
    if version.predecessor:
        before = {"type": "machine-learning-model", "name": version.model, "version": version.predecessor}
        found["ancestors"] = [before]
    commits = [commit for node in dossier.code if (commit := _commit(node))]
    return found | ({"commits": commits} if commits else {})


def _commit(node: Node) -> dict[str, Any] | None:
    if node.kind is not NodeKind.CODE or not node.content.get("commit"):
        return None
    commit = {"uid": str(node.content["commit"])}
    remote = node.fact("remote") or ""
    if remote.startswith(("https://", "ssh://", "git://")):
        commit["url"] = remote
    if diff := node.content.get("diff_digest"):
        commit["message"] = f"with uncommitted changes, whose digest is {diff}"
    return commit


def _properties(dossier: Dossier) -> Iterator[dict[str, str]]:
    version = dossier.version
    yield _property("digest", version.digest)
    yield _property("state", version.state.value)
    for reason in version.reasons:
        yield _property("reason", reason)
    for name, value in sorted(version.parameters.items()):
        yield _property(f"parameter:{name}", wording.value(value))
    for name, value in sorted(version.tags.items()):
        yield _property(f"tag:{name}", value)
    if dossier.evidence is not None:
        yield _property("verdict", dossier.evidence.verdict.value)
        yield _property("verdict:reason", dossier.evidence.reason)
        yield _property("evidence", dossier.evidence.digest)
    for signature in dossier.signatures:
        yield _property("signature", signature.digest)
    for node in (*dossier.code, *dossier.preparation):
        if node.kind is not NodeKind.CODE:
            yield _property(node.kind.value, wording.label(node))


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"pedigree:{name}", "value": value}


def _card(dossier: Dossier) -> dict[str, Any]:
    """Without the parts of which nothing is known."""
    signatures = dossier.description.signatures
    serving = signatures.get("serving_default") or next((signatures[name] for name in sorted(signatures)), None)
    parameters: dict[str, Any] = {}
    if refs := sorted({f"data:{_digest(node)}" for node in dossier.data}):
        parameters["datasets"] = [{"ref": ref} for ref in refs]
    if serving is not None:
        parameters["inputs"] = _tensors(serving.inputs)
        parameters["outputs"] = _tensors(serving.outputs)
    card: dict[str, Any] = {"modelParameters": parameters} if parameters else {}
    if measured := measurements(dossier.version, dossier.evidence):
        card["quantitativeAnalysis"] = {"performanceMetrics": [_metric(one) for one in measured]}
    warnings = dossier.evidence.details.get("warnings") if dossier.evidence else None
    if isinstance(warnings, list | tuple) and warnings:
        card["considerations"] = {"technicalLimitations": [str(one) for one in warnings]}
    return card


def _tensors(tensors: Mapping[str, TensorSpec]) -> list[dict[str, str]]:
    return [{"format": f"{name}: {spec}"} for name, spec in sorted(tensors.items())]


def _metric(measured: Measurement) -> dict[str, Any]:
    row: dict[str, Any] = {"type": measured.metric, "value": repr(measured.value)}
    if measured.slice is not None:
        row["slice"] = measured.slice
    if measured.low is not None and measured.high is not None:
        row["confidenceInterval"] = {"lowerBound": repr(measured.low), "upperBound": repr(measured.high)}
    return row


def _data(nodes: tuple[Node, ...], use: str) -> Iterator[dict[str, Any]]:
    for node in nodes:
        facts = [
            ("use", use),
            *((name, value) for name in ("split", "rows", "span") for value in node.facts.get(name, ())),
        ]
        made: dict[str, Any] = {
            "type": "data",
            "bom-ref": f"data:{_digest(node)}",
            "name": wording.label(node),
            "data": [{"type": "dataset", "name": wording.label(node)}],
            "properties": [_property(name, value) for name, value in facts],
        }
        fingerprint = str(node.content.get("fingerprint") or node.content.get("digest") or "")
        if fingerprint.startswith("sha256:"):
            made["hashes"] = [{"alg": "SHA-256", "content": fingerprint.removeprefix("sha256:")}]
        yield made


def _digest(node: Node) -> str:
    return node.key.partition(":")[2]


def _once(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same data may have been trained on and measured on; then the properties of both uses stand there."""
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        if (first := found.setdefault(part["bom-ref"], part)) is not part:
            first["properties"] += [one for one in part["properties"] if one not in first["properties"]]
    return list(found.values())


def _packages(packages: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, version in packages.items():
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _annotation(event: Event, ref: str) -> dict[str, Any]:
    way = f" ({event.from_state} → {event.to_state})" if event.from_state and event.to_state else ""
    return {
        "bom-ref": f"event:{event.chain}:{event.position}",
        "subjects": [ref],
        "annotator": {"individual": {"name": event.actor}},
        "timestamp": format_timestamp(event.at),
        "text": f"{event.action}{way}: {event.reason or 'no reason was given'}",
    }

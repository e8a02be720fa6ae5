"""A version as a document of SPDX 3.0.1, with its AI and Dataset profiles, as JSON-LD. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from tfx_pedigree import __version__
from tfx_pedigree.integrations.measured import Measurement, measurements
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.graph import Node
from tfx_pedigree.service.versions.dossier import Dossier

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
_INFO = "_:creationinfo"


def spdx_document(dossier: Dossier) -> dict[str, Any]:
    version = dossier.version
    base = f"urn:tfx-pedigree:{version.digest}:"
    agent, tool, model = f"{base}creator", f"{base}tool", f"{base}model"
    data = {node.key: node for node in (*dossier.data, *dossier.evaluated_on)}
    elements: list[dict[str, Any]] = [
        _element("SoftwareAgent", agent, name=version.created_by),
        _element("Tool", tool, name=f"tfx-pedigree {__version__}"),
        _model(dossier, model, agent),
        *(_dataset(node, base, agent, version.created_at) for node in data.values()),
        *(_package(name, release, base) for name, release in dossier.packages.items()),
        *_relationships(dossier, base, model),
    ]
    info = {
        "type": "CreationInfo",
        "@id": _INFO,
        "specVersion": "3.0.1",
        "created": _second(version.created_at),
        "createdBy": [agent],
        "createdUsing": [tool],
    }
    document = _element(
        "SpdxDocument",
        f"{base}document",
        name=version.name,
        profileConformance=["core", "software", "ai", "dataset"],
        rootElement=[model],
        element=[element["spdxId"] for element in elements],
    )
    return {"@context": CONTEXT, "@graph": [info, document, *elements]}


def _model(dossier: Dossier, name: str, agent: str) -> dict[str, Any]:
    version, evidence = dossier.version, dossier.evidence
    measured = measurements(version, evidence)
    model = _element(
        "ai_AIPackage",
        name,
        name=version.model,
        software_packageVersion=version.version,
        software_primaryPurpose="model",
        software_downloadLocation=f"urn:tfx-pedigree:{version.digest}",
        releaseTime=_second(version.created_at),
        suppliedBy=agent,
        verifiedUsing=[_hash(version.digest)],
        ai_hyperparameter=_entries({key: wording.value(value) for key, value in version.parameters.items()}),
        ai_metric=_entries({_name(one): repr(one.value) for one in measured}),
        ai_informationAboutTraining="; ".join(wording.data(node) for node in dossier.data),
        description=dossier.model.description,
    )
    if evidence is not None:
        warnings = evidence.details.get("warnings")
        model["ai_limitation"] = "; ".join(str(one) for one in warnings) if isinstance(warnings, list) else ""
        model["comment"] = f"{evidence.verdict.value}: {evidence.reason}"
    return {key: value for key, value in model.items() if value not in ("", [])}


def _name(one: Measurement) -> str:
    return one.metric if one.slice is None else f"{one.metric} on {one.slice}"


def _dataset(node: Node, base: str, agent: str, known_since: datetime) -> dict[str, Any]:
    fingerprint = str(node.content.get("fingerprint") or node.content.get("digest") or "")
    dataset = _element(
        "dataset_DatasetPackage",
        f"{base}{node.key}",
        name=wording.label(node),
        software_primaryPurpose="data",
        software_downloadLocation=f"urn:tfx-pedigree:{node.key}",
        # Neither says more than that nobody recorded it.
        dataset_datasetType=["noAssertion"],
        originatedBy=[agent],
        releaseTime=_second(known_since),
    )
    rows = node.fact("rows") or ""
    if rows.isdecimal():
        dataset["dataset_datasetSize"] = int(rows)
    if fingerprint.startswith("sha256:"):
        dataset["verifiedUsing"] = [_hash(fingerprint)]
    return dataset


def _package(name: str, release: str, base: str) -> dict[str, Any]:
    return _element(
        "software_Package",
        f"{base}package:{name}",
        name=name,
        software_packageVersion=release,
        software_packageUrl=f"pkg:pypi/{name.lower().replace('_', '-')}@{release}",
    )


def _relationships(dossier: Dossier, base: str, model: str) -> Iterator[dict[str, Any]]:
    for kind, nodes in (("trainedOn", dossier.data), ("testedOn", dossier.evaluated_on)):
        if nodes:
            yield _relation(f"{base}{kind}", model, kind, [f"{base}{node.key}" for node in nodes])
    if dossier.packages:
        yield _relation(f"{base}dependsOn", model, "dependsOn", [f"{base}package:{name}" for name in dossier.packages])


def _relation(name: str, source: str, kind: str, targets: list[str]) -> dict[str, Any]:
    return _element("Relationship", name, **{"from": source, "to": targets, "relationshipType": kind})


def _element(kind: str, spdx_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "spdxId": spdx_id, "creationInfo": _INFO, **fields}


def _hash(digest: str) -> dict[str, str]:
    return {"type": "Hash", "algorithm": "sha256", "hashValue": digest.removeprefix("sha256:")}


def _entries(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"type": "DictionaryEntry", "key": key, "value": value} for key, value in sorted(values.items())]


def _second(when: datetime) -> str:
    """SPDX knows no fractions of a second."""
    return f"{when.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"

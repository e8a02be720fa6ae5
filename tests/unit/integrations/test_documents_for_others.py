"""Documents for others: valid by the others' own validators, complete, and the same each time."""

from __future__ import annotations

import io
import json
import lzma
import re
import shlex
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cli_testing import Pedigree
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from documents_testing import DOCS

from pedigree_testing import candidate
from signing_testing import make_key, public
from tfx_pedigree.integrations import bill_of_materials, card_as_html, card_as_markdown, card_of, spdx_document
from tfx_pedigree.lineage import wording
from tfx_pedigree.registry import Evidence, Facts, Registry, Verdict
from tfx_pedigree.service.versions.dossier import Dossier, gather
from tfx_pedigree.service.workspace import connect
from tfx_pedigree.signing import Bundle, read_attestation, read_trusted, verify

ARCHIVE = Path(__file__).parents[2] / "goldens" / "flight-delay.tar.xz"
HOSTILE = "<script>alert(1)</script> | `x` [a](javascript:b) \u202e\n# no heading"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo left in its registry."""
    made = tmp_path_factory.mktemp("flights")
    (made / "flights.tar").write_bytes(lzma.decompress(ARCHIVE.read_bytes()))
    pedigree = Pedigree(made / "registry", "you")
    pedigree("init")
    pedigree("import", made / "flights.tar")
    return made


@pytest.fixture
def flights(folder: Path) -> Pedigree:
    return Pedigree(folder / "registry", "you")


@pytest.fixture(params=["1.0.0", "1.0.1", "1.1.0"])
def dossier(request: pytest.FixtureRequest, folder: Path) -> Dossier:
    with connect(folder / "registry", actor="you") as workspace:
        return gather(workspace, f"flight-delay@{request.param}")


@pytest.fixture
def hostile(registry_folder: Path) -> Dossier:
    """Registered by hand, with names that would be markup, and without any lineage or bytes."""
    with Registry.create(registry_folder, actor="<b>you</b>") as registry:
        made = registry.add(
            "m", candidate("a", **{HOSTILE: HOSTILE}), facts=Facts({HOSTILE: 0.5}, {"t": HOSTILE})
        ).version
        details = {"warnings": [HOSTILE], "checks": [{"name": HOSTILE, "outcome": "holds", "sentence": HOSTILE}, 7]}
        found = Evidence(made.digest, None, Verdict.PASS, HOSTILE, details=details)
        registry.attach_evidence("m@latest", found)
    with connect(registry_folder, actor="you") as workspace:
        return gather(workspace, "m@latest")


@pytest.fixture
def registry_folder(tmp_path: Path) -> Path:
    return tmp_path / "hostile"


def check_cyclonedx(document: dict[str, object]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None


def check_spdx(document: dict[str, object]) -> set[str]:
    from spdx_python_model import v3_0_1 as spdx

    found, written = spdx.SHACLObjectSet(), io.BytesIO()
    spdx.JSONLDDeserializer().read(io.BytesIO(json.dumps(document).encode()), found)
    assert not found.missing_ids
    # Writing refuses what lacks something that it must have; reading only what is of the wrong kind.
    spdx.JSONLDSerializer().write(found, written)
    assert elements(json.loads(written.getvalue())) == elements(document)
    return {type(one).__name__ for one in found.foreach()}


def elements(document: dict[str, Any]) -> list[str]:
    """In an order of their own. What begins with `_:` is a name within one file only; another writes another."""
    return sorted(re.sub('"_:[^"]*"', '"_:"', json.dumps(one, sort_keys=True)) for one in document["@graph"])


def test_bill_of_materials_is_valid_and_names_all_that_went_in(dossier: Dossier) -> None:
    document = bill_of_materials(dossier)
    check_cyclonedx(document)
    model = document["metadata"]["component"]
    assert (model["name"], model["version"]) == ("flight-delay", dossier.version.version)
    assert [one["name"] for one in model["components"]] == [entry.path for entry in dossier.files or ()]
    assert len(document["components"]) == len(dossier.packages) + len(
        {node.key for node in (*dossier.data, *dossier.evaluated_on)}
    )
    assert {one["type"] for one in document["components"]} == {"data", "library"}
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert {"type": "auc", "value": repr(dossier.version.metrics["auc"])} in metrics
    assert any(one.get("slice", "").startswith("origin=") for one in metrics)
    assert document["annotations"] if dossier.periods else not document["annotations"]


def test_documents_name_the_rows_on_which_a_version_was_measured(dossier: Dossier) -> None:
    (rows,) = dossier.evaluated_on
    assert dossier.evidence is not None
    assert rows.content["fingerprint"] == dossier.evidence.evaluation_data
    assert rows.key not in {node.key for node in dossier.data}
    (part,) = (part for part in card_of(dossier).parts if part.name == "data")
    assert f"Measured on {wording.data(rows)}." in part.sentences
    assert "evaluation" in json.dumps(bill_of_materials(dossier))
    assert '"testedOn"' in json.dumps(spdx_document(dossier))


def test_spdx_document_has_all_that_its_model_asks_for_and_nothing_else(dossier: Dossier) -> None:
    assert {"ai_AIPackage", "dataset_DatasetPackage", "software_Package", "Relationship"} <= check_spdx(
        spdx_document(dossier)
    )


def test_card_says_where_the_numbers_and_the_decision_are_from(dossier: Dossier) -> None:
    card = card_of(dossier)
    parts = {part.name: part for part in card.parts}
    assert dossier.evidence is not None
    assert dossier.evidence.reason in parts["decision"].sentences[0]
    assert ("learning_rate", "0.002") in parts["making"].table
    annex = parts["annex-iv"].table
    assert len(annex) == 1 + 8 + 8 + 7
    named = {word for row in annex for word in re.findall(r"[a-z]+", row[2])} & {*parts, "ancestry"}
    assert {"data", "metrics", "decision"} <= named
    assert ("5", "risk management system", "a person") in annex


def test_every_document_is_the_same_each_time(folder: Path) -> None:
    def made() -> list[str]:
        with connect(folder / "registry", actor="you") as workspace:
            found = gather(workspace, "flight-delay@champion")
        card = card_of(found)
        return [json.dumps(bill_of_materials(found)), json.dumps(spdx_document(found)), card_as_html(card)]

    assert made() == made()


def test_names_that_would_be_markup_stay_text(hostile: Dossier) -> None:
    check_cyclonedx(bill_of_materials(hostile))
    check_spdx(spdx_document(hostile))
    card = card_of(hostile)
    page = card_as_html(card)
    assert "<script>" not in page
    assert "\u202e" not in page
    lines = card_as_markdown(card).splitlines()
    assert {line for line in lines if line.startswith("#")} == {
        "# m 1.0.0",
        *(f"## {part.title}" for part in card.parts),
    }
    assert not any(re.search(r"(?<!\\)<script", line) for line in lines)
    tables = [line for line in lines if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} <= {3, 4, 5, 6}


def test_what_nobody_recorded_is_said_and_not_made_up(hostile: Dossier) -> None:
    text = card_as_markdown(card_of(hostile))
    assert "Nobody has described what this model is for" in text
    assert "No lineage was recorded" in text
    assert "datasets" not in json.dumps(bill_of_materials(hostile))


def test_page_about_documents_runs_as_it_is_printed(
    flights: Pedigree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    key = make_key(tmp_path, "release")
    for block in re.findall(r"^```console\n(.*?)^```$", (DOCS / "documents.md").read_text(), re.S | re.M):
        for line in block.splitlines():
            flights(*shlex.split(line.removeprefix("$ pedigree ")))
    for name, kind in (("evidence", "urn:tfx-pedigree:evidence:v1"), ("provenance", "https://slsa.dev/provenance/v1")):
        bundle = Bundle.from_text((tmp_path / f"{name}.json").read_text(), name)
        assert verify(bundle, [read_trusted(public(key))], datetime.now(timezone.utc)) is not None
        said = read_attestation(bundle.payload, name)
        assert said.kind == kind
        assert said.digest == flights("show", "flight-delay@champion", "--json").json["digest"]


def test_attesting_what_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_key(tmp_path, "release")
    with Registry.create(tmp_path / "registry", actor="you") as registry:
        registry.add("m", candidate("a"))
    pedigree = Pedigree(tmp_path / "registry", "you")
    assert "m 1.0.0 has no evidence" in pedigree("attest", "m@latest", "--key", "release.pem", code=3).err
    refusal = pedigree("attest", "m@latest", "--of", "provenance", "--key", "release.pem", code=3).err
    assert "No lineage was recorded of m 1.0.0" in refusal

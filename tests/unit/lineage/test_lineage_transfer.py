"""A model that goes to another registry takes its lineage along; an archive whose lineage was touched is refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from graph_testing import MODEL, counted, data, making

from pedigree_testing import Clock, description
from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.lineage.graph import Fragment
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.transfer import LineageOfModel
from tfx_pedigree.registry import Candidate, Registry
from tfx_pedigree.registry.transfer import export_model, import_model

WITH_LINEAGE = [LineageOfModel()]


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Path:
    """Of a model with two versions that have bytes and a lineage; the registry holds other lineage besides."""
    lineage, before = Lineage(registry), None
    for number in range(2):
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        (folder / "weights.bin").write_bytes(bytes([number]) * 500)
        manifest = registry.store.put(folder)
        version = registry.add(MODEL, Candidate(manifest.digest, description(), 500, 1))
        lineage.record(making(version, number, before), model=MODEL)
        before = version
    lineage.record(Fragment((data(99),)))
    export_model(registry, MODEL, tmp_path / "model.tar", attachments=WITH_LINEAGE)
    return tmp_path / "model.tar"


@pytest.fixture
def elsewhere(tmp_path: Path, clock: Clock) -> Registry:
    return Registry.create(tmp_path / "elsewhere", actor="grace", clock=clock)


def test_lineage_arrives_whole_and_nothing_of_others_with_it(
    registry: Registry, archive: Path, elsewhere: Registry
) -> None:
    import_model(elsewhere, archive, attachments=WITH_LINEAGE)
    here, there = Lineage(registry), Lineage(elsewhere)
    for ask in ("get_upstream", "get_lineage"):
        assert getattr(there, ask)(f"{MODEL}@1.0.1") == getattr(here, ask)(f"{MODEL}@1.0.1")
    nodes, facts, edges = counted(registry)
    assert counted(elsewhere) == (nodes - 1, facts - len(data(99).facts), edges), "but for the data of nobody"
    assert elsewhere.verify_audit().problems == ()


def test_importing_twice_adds_nothing(archive: Path, elsewhere: Registry) -> None:
    import_model(elsewhere, archive, attachments=WITH_LINEAGE)
    rows, log = counted(elsewhere), elsewhere.history(None).items
    assert import_model(elsewhere, archive, attachments=WITH_LINEAGE).added == 0
    assert (counted(elsewhere), elsewhere.history(None).items) == (rows, log)


def test_lineage_is_not_dropped_without_a_word(archive: Path, elsewhere: Registry) -> None:
    with pytest.raises(InvalidInputError, match="also holds lineage, which would be lost here"):
        import_model(elsewhere, archive)
    assert elsewhere.models().items == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace(b'"rate":0.1', b'"rate":0.2'), "leads to a node that is not in it"),
        (lambda text: text.replace(b'"trained_on"', b'"never_on"'), "cannot be read"),
        (lambda text: text[:-20], "cannot be read"),
    ],
)
def test_altered_lineage_is_refused_and_nothing_is_imported(
    archive: Path, elsewhere: Registry, tmp_path: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    forged = tmp_path / "forged.tar"
    rewrite(archive, forged, change, mend=True)
    with pytest.raises(DamagedError, match=told):
        import_model(elsewhere, forged, attachments=WITH_LINEAGE)
    rewrite(archive, tmp_path / "careless.tar", change, mend=False)
    with pytest.raises(DamagedError, match="its lineage has another digest"):
        import_model(elsewhere, tmp_path / "careless.tar", attachments=WITH_LINEAGE)
    assert elsewhere.models().items == ()
    assert counted(elsewhere) == (0, 0, 0)


def test_model_without_any_lineage_travels_as_well(registry: Registry, elsewhere: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"w")
    manifest = registry.store.put(folder)
    registry.add("bare", Candidate(manifest.digest, description(), 1, 1))
    export_model(registry, "bare", tmp_path / "bare.tar", attachments=WITH_LINEAGE)
    assert import_model(elsewhere, tmp_path / "bare.tar", attachments=WITH_LINEAGE).versions == 1


def rewrite(source: Path, target: Path, change: Callable[[bytes], bytes], *, mend: bool) -> None:
    """The archive with another lineage; `mend` also gives the header its digest, as a forger would."""
    with tarfile.open(source) as old:
        members = [(member.name, old.extractfile(member).read()) for member in old]  # type: ignore[union-attr]
    before = dict(members)["lineage.jsonl"]
    after = change(before)
    assert after != before
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as new:
        for name, old_content in members:
            content = after if name == "lineage.jsonl" else old_content
            if mend and name == "pedigree-export.json":
                content = content.replace(digest_of(before).encode(), digest_of(after).encode())
            member = tarfile.TarInfo(name)
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))

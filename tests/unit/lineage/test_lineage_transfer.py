"""A model that goes to another registry takes its lineage along; an archive whose lineage was touched is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from graph_testing import MODEL, counted, data, making

from archive_testing import HEADER, LINEAGE, members, pack
from pedigree_testing import Clock, description, lineage_of
from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.lineage.graph import Fragment
from tfx_pedigree.registry import Candidate, Registry
from tfx_pedigree.service.archive import export_to_file, import_from_file


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Path:
    """Of a model with two versions that have bytes and a lineage; the registry holds other lineage besides."""
    lineage, before = lineage_of(registry), None
    for number in range(2):
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        (folder / "weights.bin").write_bytes(bytes([number]) * 500)
        manifest = registry.store.put(folder)
        version = registry.add(MODEL, Candidate(manifest.digest, description(), 500, 1)).version
        lineage.record(making(version, number, before), model=MODEL)
        before = version
    lineage.record(Fragment((data(99),)))
    export_to_file(registry, MODEL, tmp_path / "model.tar")
    return tmp_path / "model.tar"


@pytest.fixture
def elsewhere(tmp_path: Path, clock: Clock) -> Registry:
    return Registry.create(tmp_path / "elsewhere", actor="grace", clock=clock)


def test_lineage_arrives_whole_and_nothing_of_others_with_it(
    registry: Registry, archive: Path, elsewhere: Registry
) -> None:
    import_from_file(elsewhere, archive)
    here, there = lineage_of(registry), lineage_of(elsewhere)
    for ask in ("get_upstream", "get_lineage"):
        assert getattr(there, ask)(f"{MODEL}@1.0.1") == getattr(here, ask)(f"{MODEL}@1.0.1")
    nodes, facts, edges = counted(registry)
    assert counted(elsewhere) == (nodes - 1, facts - len(data(99).facts), edges), "but for the data of nobody"
    assert elsewhere.verify_audit().problems == ()


def test_importing_twice_adds_nothing(archive: Path, elsewhere: Registry) -> None:
    import_from_file(elsewhere, archive)
    rows, log = counted(elsewhere), elsewhere.history(None).items
    assert import_from_file(elsewhere, archive).added == 0
    assert (counted(elsewhere), elsewhere.history(None).items) == (rows, log)


def test_what_this_release_does_not_know_is_not_dropped_without_a_word(
    archive: Path, elsewhere: Registry, tmp_path: Path
) -> None:
    content = members(archive)
    header = json.loads(content[HEADER])
    header["attachments"]["rollouts"] = "sha256:" + "0" * 64
    later = pack(tmp_path / "later.tar", {**content, HEADER: json.dumps(header).encode()})
    with pytest.raises(InvalidInputError, match="also holds rollouts, which would be lost here"):
        import_from_file(elsewhere, later)
    assert elsewhere.models().items == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace(b'"rate":0.1', b'"rate":0.2'), "leads to a node that is not in it"),
        (lambda text: text.replace(b'"trained_on"', b'"never_on"'), "`edge` must be one of"),
        (lambda text: text[:-20], "is not JSON"),
        (lambda text: text + text.splitlines(keepends=True)[-1], "stands there twice"),
        (lambda text: text.splitlines(keepends=True)[0] + text, "stands there twice"),
        (lambda text: b"[]\n" + text, "must be an object"),
        (lambda text: text.replace(b'"facts":{', b'"facts":{"x":5,', 1), "must be a list"),
        (lambda text: text.replace(b'"content":{', b'"content":{"promotion":1e999,', 1), "1e999 is larger"),
    ],
)
def test_altered_lineage_is_refused_and_nothing_is_imported(
    archive: Path, elsewhere: Registry, tmp_path: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    forged = tmp_path / "forged.tar"
    content = members(archive)
    before, after = content[LINEAGE], change(content[LINEAGE])
    header = content[HEADER].replace(digest_of(before).encode(), digest_of(after).encode())
    pack(forged, {**content, LINEAGE: after, HEADER: header})
    with pytest.raises(DamagedError, match=f"forged.tar: line .* of lineage.jsonl: .*{told}"):
        import_from_file(elsewhere, forged)
    assert elsewhere.models().items == ()
    assert counted(elsewhere) == (0, 0, 0)


def test_model_without_any_lineage_travels_as_well(registry: Registry, elsewhere: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"w")
    manifest = registry.store.put(folder)
    registry.add("bare", Candidate(manifest.digest, description(), 1, 1))
    export_to_file(registry, "bare", tmp_path / "bare.tar")
    assert import_from_file(elsewhere, tmp_path / "bare.tar").versions == 1


def test_lineage_that_does_not_have_its_digest_is_refused(archive: Path, elsewhere: Registry, tmp_path: Path) -> None:
    content = members(archive)
    content[LINEAGE] = content[LINEAGE].replace(b'"trained_on"', b'"derived_from"')
    with pytest.raises(DamagedError, match=r"lineage\.jsonl has another digest"):
        import_from_file(elsewhere, pack(tmp_path / "careless.tar", content))
    assert elsewhere.models().items == ()


def test_lineage_that_cannot_be_recorded_keeps_the_model_out_as_well(
    archive: Path, elsewhere: Registry, tmp_path: Path
) -> None:
    content = members(archive)
    long = json.dumps({"kind": "data", "content": {"a": "x" * 1_000_000, "b": "x" * 100_000}, "facts": {}}).encode()
    after = long + b"\n" + content[LINEAGE]
    header = content[HEADER].replace(digest_of(content[LINEAGE]).encode(), digest_of(after).encode())
    with pytest.raises(DamagedError, match=r"lineage\.jsonl: .*characters"):
        import_from_file(elsewhere, pack(tmp_path / "long.tar", {**content, LINEAGE: after, HEADER: header}))
    assert elsewhere.models().items == ()
    assert counted(elsewhere) == (0, 0, 0)

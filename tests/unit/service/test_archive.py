"""A model with its history as one archive: whole, verified, and refused where it was touched."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pedigree_testing import Clock, description
from tfx_pedigree.errors import ConflictError, DamagedError, ForbiddenError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import Candidate, Evidence, Facts, NewObservation, PromotionRequest, Registry, Verdict
from tfx_pedigree.service.archive import export_to_file, import_from_file

MODEL = "flight-delay"


@pytest.fixture
def storied(registry: Registry, tmp_path: Path, clock: Clock) -> Registry:
    """Three versions with bytes, two champions, a rollback, evidence, an alias, and metrics of every kind."""
    shared = tmp_path / "shared.bin"
    shared.write_bytes(b"the same in all" * 1000)
    for number in range(3):
        clock.advance(minutes=5)
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        (folder / "weights.bin").write_bytes(bytes([number]) * 5000)
        (folder / "vocabulary.txt").write_bytes(shared.read_bytes())
        manifest = registry.store.put(folder)
        found = Candidate(manifest.digest, description(rate=0.1), manifest.total_size, len(manifest.files))
        facts = Facts({"auc": 0.7 + number / 100, "loss": float("nan")}, {"team": "ops"})
        registry.add(MODEL, found, facts=facts)
    first = registry.get(f"{MODEL}@1.0.0")
    registry.attach_evidence(f"{MODEL}@1.0.0", Evidence(first.digest, None, Verdict.PASS, "meets the floors"))
    registry.promote(f"{MODEL}@1.0.0")
    registry.promote(f"{MODEL}@1.0.1", PromotionRequest(expect="1.0.0", reason="better"))
    registry.rollback(MODEL, reason="slow")
    registry.set_alias("canary", f"{MODEL}@1.0.2")
    began = clock.advance(hours=1)
    registry.observe(MODEL, NewObservation({"auc": 0.71, "loss": 2}, began, clock.advance(hours=1), 1200))
    return registry


@pytest.fixture
def archive(storied: Registry, tmp_path: Path) -> Path:
    path = tmp_path / "flight-delay.tar"
    export_to_file(storied, MODEL, path)
    return path


@pytest.fixture
def elsewhere(tmp_path: Path, clock: Clock) -> Registry:
    """An empty registry with a store of its own; files, whatever the first one is kept in."""
    return Registry.create(tmp_path / "elsewhere", actor="grace", clock=clock)


def test_model_arrives_whole_with_its_history_and_goes_on_there(
    storied: Registry, archive: Path, elsewhere: Registry
) -> None:
    report = import_from_file(elsewhere, archive)
    assert (report.versions, report.objects) == (3, 4)
    assert elsewhere.versions(MODEL).items == storied.versions(MODEL).items
    assert elsewhere.history(MODEL, limit=500).items == storied.history(MODEL, limit=500).items
    assert elsewhere.reigns(MODEL) == storied.reigns(MODEL)
    assert elsewhere.observations(MODEL) == storied.observations(MODEL)
    assert [one.value for one in elsewhere.observations(MODEL).items] == [2, 0.71]
    assert elsewhere.evidence(f"{MODEL}@1.0.0") == storied.evidence(f"{MODEL}@1.0.0")
    assert elsewhere.search(MODEL, ["metric.auc>0.705", "tag.team=ops"]).items[0].version == "1.0.2"
    assert elsewhere.verify_audit().problems == ()
    assert elsewhere.store.verify().ok
    assert elsewhere.rollback(MODEL, to="1.0.1", reason="moved").version.version == "1.0.1"
    assert elsewhere.verify_audit().problems == ()


def test_importing_twice_is_importing_once(archive: Path, elsewhere: Registry) -> None:
    import_from_file(elsewhere, archive)
    log = elsewhere.history(None).items
    again = import_from_file(elsewhere, archive)
    assert again.added == 0
    assert elsewhere.history(None).items == log


def test_longer_history_continues_the_one_that_is_there(
    storied: Registry, archive: Path, elsewhere: Registry, tmp_path: Path
) -> None:
    import_from_file(elsewhere, archive)
    storied.promote(f"{MODEL}@1.0.2", PromotionRequest(expect="1.0.0"))
    later = tmp_path / "later.tar"
    export_to_file(storied, MODEL, later)
    assert import_from_file(elsewhere, later).added == 2
    assert elsewhere.model(MODEL).champion == "1.0.2"
    assert elsewhere.verify_audit().problems == ()
    assert import_from_file(elsewhere, archive).added == 0, "an older archive takes nothing back"
    assert elsewhere.model(MODEL).champion == "1.0.2"


def test_what_is_done_here_while_an_archive_is_read_is_not_lost(
    storied: Registry, archive: Path, elsewhere: Registry, tmp_path: Path
) -> None:
    import_from_file(elsewhere, archive)
    storied.archive(f"{MODEL}@1.0.2", reason="old")
    export_to_file(storied, MODEL, tmp_path / "longer.tar")

    def meanwhile(done: int, total: int, what: str) -> None:
        if done < total:
            elsewhere.set_alias("meanwhile", f"{MODEL}@1.0.0")

    with pytest.raises(ConflictError, match=r"was changed here while its archive was read.*Run the import again"):
        import_from_file(elsewhere, tmp_path / "longer.tar", meanwhile)
    assert elsewhere.get(f"{MODEL}@meanwhile").version == "1.0.0"
    assert elsewhere.verify_audit().problems == ()
    with pytest.raises(ConflictError, match="another history"):
        import_from_file(elsewhere, tmp_path / "longer.tar")


def test_other_history_under_the_same_name_is_refused(archive: Path, elsewhere: Registry) -> None:
    elsewhere.add(MODEL, Candidate("sha256:" + "a" * 64, description()))
    with pytest.raises(ConflictError, match="exists here with another history"):
        import_from_file(elsewhere, archive)
    assert elsewhere.model(MODEL).versions == 1
    assert elsewhere.verify_audit().problems == ()


def altered(archive: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The archive with its members changed; None leaves one out."""
    target = archive.with_name("altered.tar")
    with tarfile.open(archive) as old, tarfile.open(target, "w") as new:
        for member in old:
            stream = old.extractfile(member)
            content = change(member.name, stream.read() if stream else b"")
            if content is not None:
                member.size = len(content)
                new.addfile(member, io.BytesIO(content))
    return target


def replacing(name: str, old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    def change(member: str, content: bytes) -> bytes:
        if member != name:
            return content
        assert old in content
        return content.replace(old, new, 1)

    return change


ALTERATIONS: dict[str, Callable[[str, bytes], bytes | None]] = {
    "an event": replacing("events.jsonl", b'"reason":"slow"', b'"reason":"fast"'),
    "the last event left out": lambda n, c: b"\n".join(c.splitlines()[:-1]) if n == "events.jsonl" else c,
    "a state in the rows": replacing("rows.jsonl", b'"state":"archived"', b'"state":"staging"'),
    "a metric in the rows": replacing("rows.jsonl", b'"auc":0.71', b'"auc":0.99'),
    "evidence in the rows": replacing("rows.jsonl", b"PASS", b"FAIL"),
    "a description in the rows": replacing("rows.jsonl", b"float32", b"float64"),
    "a version left out": lambda n, c: (
        b"\n".join(x for x in c.splitlines() if b'"1.0.2"' not in x) if "rows" in n else c
    ),
    "bytes of an object": lambda n, c: b"X" + c[1:] if n.startswith("objects/") else c,
    "an object left out": lambda n, c: None if n.startswith("objects/") else c,
    "a manifest": lambda n, c: c.replace(b"weights", b"weighty") if n.startswith("manifests/") else c,
    "a manifest left out": lambda n, c: None if n.startswith("manifests/") else c,
    "the header's format": replacing("pedigree-export.json", b"export/1", b"export/9"),
    "the header left out": lambda n, c: None if n == "pedigree-export.json" else c,
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_archive_that_was_altered_is_refused_and_the_registry_is_as_before(
    archive: Path, elsewhere: Registry, what: str
) -> None:
    path = altered(archive, ALTERATIONS[what])
    with pytest.raises((DamagedError, InvalidInputError, NotFoundError)):
        import_from_file(elsewhere, path)
    assert elsewhere.models().items == ()
    assert elsewhere.verify_audit().problems == ()
    assert elsewhere.store.verify().ok
    assert import_from_file(elsewhere, archive).versions == 3, "the right one still arrives"


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "objects/../../x", "extra.txt"])
def test_member_that_no_export_writes_is_refused(archive: Path, elsewhere: Registry, name: str) -> None:
    with tarfile.open(archive, "a") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    with pytest.raises(InvalidInputError, match="which no export writes"):
        import_from_file(elsewhere, archive)
    assert elsewhere.models().items == ()


def test_what_is_no_archive_is_refused(elsewhere: Registry, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear registry")
    with pytest.raises(InvalidInputError, match="not an archive"):
        import_from_file(elsewhere, tmp_path / "letter.txt")
    with pytest.raises(NotFoundError, match="no file"):
        import_from_file(elsewhere, tmp_path / "nothing.tar")


def test_export_never_overwrites_and_leaves_nothing_half(storied: Registry, tmp_path: Path) -> None:
    target = tmp_path / "out" / "x.tar"
    with pytest.raises(InvalidInputError, match="folder .* does not exist"):
        export_to_file(storied, MODEL, target)
    target.parent.mkdir()
    target.write_text("mine")
    with pytest.raises(ConflictError, match="exists already"):
        export_to_file(storied, MODEL, target)
    assert target.read_text() == "mine"
    damaged = next((tmp_path / "store" / "objects").rglob("*"), None)
    assert damaged is not None
    for path in (tmp_path / "store" / "objects").rglob("*"):
        if path.is_file() and path.stat().st_size == 5000:
            path.chmod(0o644)
            path.write_bytes(b"x" * 5000)
    with pytest.raises(DamagedError):
        export_to_file(storied, MODEL, target.with_name("y.tar"))
    assert [p.name for p in target.parent.iterdir()] == ["x.tar"]


def test_only_an_admin_imports(archive: Path, elsewhere: Registry, tmp_path: Path) -> None:
    with Registry.open(tmp_path / "elsewhere", actor="bob") as bob, pytest.raises(ForbiddenError, match="needs admin"):
        import_from_file(bob, archive)

"""What an archive may cost whoever reads it: nothing in it is larger than itself, and what is too large is not read."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from archive_testing import EVENTS, HEADER, LINEAGE, ROWS, members, pack
from pedigree_testing import Clock, description
from tfx_pedigree.errors import ConflictError, DamagedError, InvalidInputError, UnavailableError
from tfx_pedigree.registry import Candidate, Registry
from tfx_pedigree.service.archive import export_model, export_to_file, import_from_file, import_model, limits
from tfx_pedigree.service.archive.new_file import appearing

MODEL = "flight-delay"
LARGE = 5 << 20
# A refusal takes no more than a buffer or two, whatever the archive claims.
MOST_MEMORY = 64 << 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with one version, of which one file is large."""
    folder = tmp_path_factory.mktemp("home")
    with Registry.create(folder, actor="ada", clock=Clock()) as registry:
        model = folder / "model"
        model.mkdir()
        (model / "weights.bin").write_bytes(b"w" * LARGE)
        (model / "vocabulary.txt").write_bytes(b"words")
        manifest = registry.store.put(model)
        registry.add(MODEL, Candidate(manifest.digest, description(), manifest.total_size, 2))
        export_to_file(registry, MODEL, folder / "model.tar")
    return folder


@pytest.fixture
def registry(home: Path) -> Registry:
    return Registry.open(home, actor="ada", clock=Clock())


@pytest.fixture
def elsewhere(tmp_path: Path) -> Registry:
    return Registry.create(tmp_path / "elsewhere", actor="grace", clock=Clock())


def header_block(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def claiming(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> Callable[[Path, dict[str, bytes]], None]:
    """The archive up to a member of that name, which then claims a size. On disk the file has it, as a hole."""

    def write(path: Path, content: dict[str, bytes]) -> None:
        before = dict(list(content.items())[: list(content).index(name)])
        pack(path, before)
        with path.open("r+b") as file:
            file.seek(sum(512 + -(-len(data) // 512) * 512 for data in before.values()))
            file.write(header_block(name, size, kind))
            file.truncate(file.tell() + size)

    return write


def replaced(name: str, data: bytes) -> Callable[[Path, dict[str, bytes]], None]:
    return lambda path, content: pack(path, {**content, name: data}) and None


def sparse(path: Path, content: dict[str, bytes]) -> None:
    """A member of 4 GiB in a few bytes, as GNU tar writes a file with a hole."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(HEADER)
        member.pax_headers = {
            "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": HEADER,
            "GNU.sparse.realsize": str(1 << 32),
        }  # fmt: skip
        data = b"1\n4294967296\n0\n".ljust(512, b"\0")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def chain_of_headers(path: Path, content: dict[str, bytes]) -> None:
    record = b"14 size=00512\n"
    block = header_block("././@PaxHeader", len(record), tarfile.XHDTYPE) + record.ljust(512, b"\0")
    path.write_bytes(block * 20_000)


def large_pax_header(path: Path, content: dict[str, bytes]) -> None:
    path.write_bytes(header_block("././@PaxHeader", 1 << 33, tarfile.XHDTYPE))
    with path.open("r+b") as file:
        file.truncate(1 << 33)


def manifest_of_a_gibibyte(path: Path, content: dict[str, bytes]) -> None:
    claiming(next(name for name in content if name.startswith("manifests/")), 1 << 30)(path, content)


def object_of_a_tebibyte(path: Path, content: dict[str, bytes]) -> None:
    claiming(next(name for name in content if name.startswith("objects/")), 1 << 32)(path, content)


def many_rows_of_lineage(path: Path, content: dict[str, bytes]) -> None:
    pack(path, {**content, LINEAGE: b"{}\n" * 4_000_000})


BOMBS: dict[str, tuple[Callable[[Path, dict[str, bytes]], object], str]] = {
    "a sparse member": (sparse, "says more than a size|longer than any"),
    "an old sparse member": (claiming(HEADER, 1 << 32, tarfile.GNUTYPE_SPARSE), "no plain file"),
    "20,000 headers before one member": (chain_of_headers, "no plain file"),
    "a header of 8 GiB": (large_pax_header, "longer than any that an export writes"),
    "a header of the archive of 4 GiB": (claiming(HEADER, 1 << 32), "1048576 are the most"),
    "events of 4 GiB": (claiming(EVENTS, 1 << 32), "are the most"),
    "rows of 8 GiB less a byte": (claiming(ROWS, (1 << 33) - 1), "are the most"),
    "a line without an end": (replaced(EVENTS, b'{"a":"' + b"x" * (limits.MOST_LINE + 1)), "a line of more than"),
    "4 million empty rows": (replaced(ROWS, b"{}\n" * 4_000_000), "line 1 of rows.jsonl"),
    "4 million empty lines": (replaced(ROWS, b"\n" * 4_000_000), "line 1 of rows.jsonl"),
    "4 million events": (replaced(EVENTS, b"[]\n" * 4_000_000), "line 1 of events.jsonl"),
    "4 million rows of lineage": (many_rows_of_lineage, "line 1 of lineage.jsonl"),
    "JSON nested deeply": (replaced(EVENTS, b"[" * 1_000_000), "line 1 of events.jsonl"),
    "a manifest of 1 GiB": (manifest_of_a_gibibyte, "manifests have more than"),
    "an object of 4 GiB": (object_of_a_tebibyte, "its manifest says"),
    "a link": (claiming(HEADER, 0, tarfile.SYMTYPE), "no plain file"),
    "a folder": (claiming(HEADER, 0, tarfile.DIRTYPE), "no plain file"),
    "nothing": (lambda path, content: path.write_bytes(b""), "it is empty"),
    "only an end": (lambda path, content: pack(path, {}), "pedigree-export.json is missing"),
    "half of it": (lambda path, content: pack(path, content).write_bytes(path.read_bytes()[:3000]), "it is cut off"),
    "no events": (
        lambda path, content: pack(path, {**content, EVENTS: b"", ROWS: b"", HEADER: without_events(content)}),
        "it holds no event of flight-delay",
    ),
    "infinity in the header": (
        lambda path, content: pack(path, {**content, HEADER: with_events(content, b"Infinity")}),
        "bomb.tar is not .*Infinity is no number",
    ),
    "1e999 in the header": (
        lambda path, content: pack(path, {**content, HEADER: with_events(content, b"1e999")}),
        "bomb.tar is not .*1e999 is larger",
    ),
    "a header that is a list": (replaced(HEADER, b"[]"), "header must be an object"),
}  # fmt: skip


def with_events(content: dict[str, bytes], number: bytes) -> bytes:
    return content[HEADER].replace(b'"events": 3', b'"events": ' + number)


def without_events(content: dict[str, bytes]) -> bytes:
    header = json.loads(content[HEADER])
    return json.dumps({**header, "versions": 0, "events": 0, "head": "sha256:" + "0" * 64}).encode()


@pytest.mark.parametrize("what", BOMBS)
def test_bomb_is_refused_with_a_sentence_and_without_memory(
    home: Path, elsewhere: Registry, tmp_path: Path, what: str
) -> None:
    write, told = BOMBS[what]
    path = tmp_path / "bomb.tar"
    write(path, members(home / "model.tar"))
    tracemalloc.start()
    try:
        with pytest.raises((InvalidInputError, DamagedError), match=told):
            import_from_file(elsewhere, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    path.unlink()
    assert peak < MOST_MEMORY
    assert elsewhere.models().items == ()


def test_what_import_would_refuse_for_its_size_is_not_exported(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_ROWS", 1000)
    with pytest.raises(InvalidInputError, match=r"rows\.jsonl would have \d+ bytes"):
        export_to_file(registry, MODEL, tmp_path / "x.tar")
    assert list(tmp_path.iterdir()) == []


def test_docs_state_the_limits() -> None:
    page = (Path(__file__).parents[3] / "docs" / "registry.md").read_text()
    table = page[page.index("Limits: what is larger") : page.index("## What it costs")]
    stated = {int(line.split("|")[2].split()[0]) for line in table.splitlines() if line.endswith("MiB |")}
    held = {getattr(limits, name) >> 20 for name in dir(limits) if name.startswith("MOST_")}
    assert held <= stated


def test_object_of_more_than_8_gib_has_a_header_that_tar_reads() -> None:
    from tfx_pedigree.service.archive.tar_stream import TarReader, TarWriter

    out = io.BytesIO()
    TarWriter(out).begin("objects/x", 9 << 30)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert tar.next().size == 9 << 30  # type: ignore[union-attr]
    found = TarReader(io.BytesIO(out.getvalue()), "it").next()
    assert found is not None
    assert (found.name, found.size) == ("objects/x", 9 << 30)


def test_archive_is_what_tar_knows(home: Path) -> None:
    with tarfile.open(home / "model.tar") as tar:
        assert tar.getnames()[:4] == [HEADER, EVENTS, ROWS, LINEAGE]


# Streams, progress, files


def test_archive_goes_through_a_pipe(registry: Registry, home: Path, elsewhere: Registry) -> None:
    """Neither end is ever sought."""

    class Pipe(io.RawIOBase):
        def __init__(self, data: bytes = b"") -> None:
            self.data = bytearray(data)

        def writable(self) -> bool:
            return True

        def readable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += data
            return len(data)

        def read(self, size: int = -1) -> bytes:
            part = bytes(self.data[: min(size, 1000)])
            del self.data[: len(part)]
            return part

    pipe = Pipe()
    report = export_model(registry, MODEL, pipe)  # type: ignore[arg-type]
    assert bytes(pipe.data) == (home / "model.tar").read_bytes()
    assert (report.path, report.size) == ("-", len(pipe.data))
    assert import_model(elsewhere, pipe, "Standard input").objects == 2  # type: ignore[arg-type]
    assert elsewhere.store.verify().ok


@pytest.mark.system
def test_archive_is_read_from_what_is_no_regular_file(home: Path, elsewhere: Registry, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["/bin/sh", "-c", 'cat "$0" > "$1"', str(home / "model.tar"), str(tmp_path / "pipe")]):
        assert import_from_file(elsewhere, tmp_path / "pipe").versions == 1
    with pytest.raises(InvalidInputError, match="cannot be read: Is a directory"):
        import_from_file(elsewhere, tmp_path)


@pytest.mark.parametrize("way", ["export", "import"])
def test_progress_counts_bytes_and_moves_within_a_large_file(
    registry: Registry, elsewhere: Registry, home: Path, tmp_path: Path, way: str
) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int, what: str) -> None:
        seen.append((done, total))

    if way == "export":
        export_to_file(registry, MODEL, tmp_path / "x.tar", progress)
    else:
        import_from_file(elsewhere, home / "model.tar", progress)
    assert {total for _, total in seen} == {LARGE + 5}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == LARGE + 5
    assert len([done for done, _ in seen if 0 < done < LARGE]) >= 3


@pytest.mark.system
def test_file_of_a_killed_export_goes_with_the_next_one_and_that_of_a_living_one_stays(
    registry: Registry, tmp_path: Path
) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tfx_pedigree.service.archive.new_file import appearing\n"
        "with appearing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'x' * 100_000); file.flush(); print('written', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "killed.tar")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        with appearing(tmp_path / "first.tar") as file:
            file.write(b"x")
        assert len(list(tmp_path.glob(".*"))) == 1, "who still writes is left alone"
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.glob(".*"))) == 1
    export_to_file(registry, MODEL, tmp_path / "second.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.tar", "second.tar"]


def test_full_disk_is_told_and_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    def full(done: int, total: int, what: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UnavailableError, match=r"x\.tar cannot be written: No space left on device"):
        export_to_file(registry, MODEL, tmp_path / "x.tar", full)
    assert list(tmp_path.iterdir()) == []


def test_file_that_appears_meanwhile_is_left_as_it_is(registry: Registry, tmp_path: Path) -> None:
    def meanwhile(done: int, total: int, what: str) -> None:
        (tmp_path / "x.tar").write_text("mine")

    with pytest.raises(ConflictError, match="made by somebody else meanwhile"):
        export_to_file(registry, MODEL, tmp_path / "x.tar", meanwhile)
    assert (tmp_path / "x.tar").read_text() == "mine"


def test_damaged_bytes_are_not_exported(home: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(home, tmp_path / "copy")
    for path in (copy / "store" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"x" * path.stat().st_size)
    with Registry.open(copy, actor="ada", clock=Clock()) as registry, pytest.raises(DamagedError):
        export_to_file(registry, MODEL, tmp_path / "x.tar")
    assert not (tmp_path / "x.tar").exists()

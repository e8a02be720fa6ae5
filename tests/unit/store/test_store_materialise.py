"""A target appears whole, or is left as it was."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from store_testing import FILES, MakeModel, objects_in, tree_of

from tfx_pedigree.errors import ConflictError, DamagedError, InvalidInputError
from tfx_pedigree.store import Store
from tfx_pedigree.store import materialise as module


@pytest.fixture
def digest(local: Store, model: Path) -> str:
    return local.put(model).digest


def test_an_identical_target_is_left_as_it_is(local: Store, digest: str, tmp_path: Path) -> None:
    first = local.materialise(digest, tmp_path / "out")
    inode = first.stat().st_ino
    assert local.materialise(digest, tmp_path / "out").stat().st_ino == inode


def test_an_empty_folder_is_filled(local: Store, digest: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert tree_of(local.materialise(digest, tmp_path / "out")) == tree_of(model)


@pytest.mark.parametrize(
    "files",
    [
        {"other": b"x"},
        {**FILES, "more": b"x"},
        {**FILES, "saved_model.pb": b"grapH"},
        {path: data for path, data in FILES.items() if path != "saved_model.pb"},
    ],
    ids=["something else", "one file more", "one byte differs", "one file less"],
)
@pytest.mark.parametrize("link", ["copy", "hardlink"])
def test_an_occupied_target_is_refused_and_unchanged(
    local: Store, digest: str, make_model: MakeModel, files: dict[str, bytes], link: Any
) -> None:
    target = make_model("out", files)
    before = tree_of(target)
    with pytest.raises(ConflictError, match="exists and is not version sha256:"):
        local.materialise(digest, target, link=link)
    assert tree_of(target) == before


def test_a_file_or_a_dangling_link_in_the_way_is_refused(local: Store, digest: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to-folder").symlink_to("folder")
    for name in ("file", "link", "to-folder"):
        with pytest.raises(ConflictError, match="It was left as it is"):
            local.materialise(digest, tmp_path / name)
    assert (tmp_path / "file").read_bytes() == b"x"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "to-folder").is_symlink()


def test_a_target_that_somebody_else_makes_meanwhile_is_not_touched(local: Store, digest: str, tmp_path: Path) -> None:
    def meddle(done: int, total: int, what: str) -> None:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "theirs").write_bytes(b"x")

    with pytest.raises(ConflictError, match="created by somebody else meanwhile"):
        local.materialise(digest, tmp_path / "out", progress=meddle)
    assert tree_of(tmp_path / "out") == {"theirs": b"x"}
    assert not list(tmp_path.glob(".pedigree*"))


def test_a_target_inside_the_store_is_refused(local: Store, digest: str) -> None:
    with pytest.raises(InvalidInputError, match="inside the store"):
        local.materialise(digest, Path(local.url) / "objects" / "out")


def test_parents_are_made_and_relative_targets_work(
    local: Store, digest: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert local.materialise(digest, "serving/flight-delay/3") == tmp_path / "serving" / "flight-delay" / "3"
    assert tree_of(tmp_path / "serving" / "flight-delay" / "3") == tree_of(model)


def test_copies_can_be_written_to_without_harm_to_the_store(local: Store, digest: str, tmp_path: Path) -> None:
    out = local.materialise(digest, tmp_path / "out")
    (out / "saved_model.pb").write_bytes(b"mine")
    assert local.verify().ok


def test_hard_links_take_no_room_and_are_read_only(local: Store, digest: str, tmp_path: Path) -> None:
    out = local.materialise(digest, tmp_path / "out", link="hardlink")
    inodes = {path.stat().st_ino for path in objects_in(Path(local.url))}
    for path in FILES:
        assert (out / path).stat().st_ino in inodes
        assert (out / path).stat().st_mode & 0o777 == 0o444


def test_harm_done_through_a_hard_link_is_found(local: Store, digest: str, tmp_path: Path) -> None:
    out = local.materialise(digest, tmp_path / "out", link="hardlink")
    (out / "saved_model.pb").chmod(0o644)
    (out / "saved_model.pb").write_bytes(b"grapH")
    (problem,) = local.verify().problems
    assert problem.versions == (digest,)


def test_a_damaged_object_is_not_linked(local: Store, digest: str, tmp_path: Path) -> None:
    damaged = next(path for path in objects_in(Path(local.url)) if path.read_bytes() == b"graph")
    damaged.chmod(0o644)
    damaged.write_bytes(b"grapH")
    with pytest.raises(DamagedError, match="is damaged"):
        local.materialise(digest, tmp_path / "out", link="hardlink")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("link", ["hardlink", "reflink"])
def test_links_to_another_disk_are_refused_with_a_way_out(
    local: Store, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: Any
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    with pytest.raises(InvalidInputError, match="Use link='copy'"):
        local.materialise(digest, tmp_path / "out", link=link)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".pedigree*"))


def test_a_reflink_is_verified_and_whole_where_the_disk_can(
    local: Store, digest: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(target: int, request: int, source: int) -> int:
        assert request == 0x40049409
        os.pwrite(target, os.pread(source, os.fstat(source).st_size, 0), 0)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", clone)
    assert tree_of(local.materialise(digest, tmp_path / "out", link="reflink")) == tree_of(model)


def test_links_out_of_an_object_store_are_refused(model: Path, tmp_path: Path) -> None:
    store = Store.open(f"memory://links{tmp_path}", create=True)
    digest = store.put(model).digest
    with pytest.raises(InvalidInputError, match="Use link='copy'"):
        store.materialise(digest, tmp_path / "out", link="hardlink")
    with pytest.raises(InvalidInputError, match="is not a way"):
        store.materialise(digest, tmp_path / "out", link="symlink")  # type: ignore[arg-type]


@pytest.mark.system
def test_what_killed_processes_left_is_removed_and_what_living_ones_use_is_not(
    local: Store, digest: str, tmp_path: Path
) -> None:
    script = (
        "import sys, time; from tfx_pedigree.store import materialise\n"
        "with materialise._staging(sys.argv[1]) as path: print(path, flush=True); time.sleep(60)"
    )
    parent = tmp_path / "serving"
    parent.mkdir()
    process = subprocess.Popen([sys.executable, "-c", script, str(parent)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    stage = Path(process.stdout.readline().strip())
    local.materialise(digest, parent / "1")
    assert stage.is_dir()
    process.kill()
    process.communicate()
    local.materialise(digest, parent / "2")
    assert sorted(path.name for path in parent.iterdir()) == ["1", "2"]


def test_names_of_staging_folders_are_never_taken_for_a_version_by_a_server(tmp_path: Path) -> None:
    with module._staging(str(tmp_path)) as stage:
        assert Path(stage).name.startswith(".pedigree-staging-")
        assert Path(stage).parent == tmp_path

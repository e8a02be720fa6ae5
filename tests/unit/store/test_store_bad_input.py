"""What is not a model, or changes while it is read, is refused by name, and nothing of it is kept."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_testing import MakeModel, objects_in, tree_of

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, PedigreeError
from tfx_pedigree.store import Store, manifest_of


@pytest.fixture(params=["put", "manifest_of"])
def take(request: pytest.FixtureRequest, local: Store) -> Callable[..., Any]:
    """Both ways to look at a model refuse the same."""
    return local.put if request.param == "put" else manifest_of


def refused(take: Callable[..., Any], source: Path, kind: type[PedigreeError], says: str) -> None:
    with pytest.raises(kind, match=says):
        take(source)


def test_a_missing_folder_is_named(take: Callable[..., Any], tmp_path: Path) -> None:
    refused(take, tmp_path / "no-model", NotFoundError, r"no-model does not exist\. Check the path")


@pytest.mark.parametrize("folders", ["", "assets", "assets/deep/er"])
def test_a_folder_without_files_is_no_model(take: Callable[..., Any], tmp_path: Path, folders: str) -> None:
    (tmp_path / "empty" / folders).mkdir(parents=True)
    refused(take, tmp_path / "empty", InvalidInputError, "empty holds no file")


def test_a_link_to_a_file_inside_counts_as_that_file(take: Callable[..., Any], make_model: MakeModel) -> None:
    model = make_model("m", {"a": b"1", "deep/b": b"2"})
    (model / "deep" / "link").symlink_to("../a")
    (model / "other").symlink_to(model / "deep" / "b")
    files = {file.path: file.size for file in take(model).files}
    assert files == {"a": 1, "deep/b": 1, "deep/link": 1, "other": 1}


def test_a_link_to_the_model_is_the_model(take: Callable[..., Any], model: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(model)
    assert take(tmp_path / "latest") == take(model)


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "../../outside", "../model-2/secret"])
def test_a_link_out_of_the_model_is_refused(
    take: Callable[..., Any], make_model: MakeModel, tmp_path: Path, target: str
) -> None:
    (tmp_path / "outside").write_text("secret")
    (tmp_path.parent / "outside").write_text("secret")
    make_model("model-2", {"secret": b"secret"})
    model = make_model()
    (model / "link").symlink_to(target)
    refused(take, model, InvalidInputError, r"model/link leads out of the model")


@pytest.mark.parametrize("target", ["link", "nowhere", "assets/vocabulary.txt/below"])
def test_a_link_that_leads_nowhere_is_refused(take: Callable[..., Any], model: Path, target: str) -> None:
    (model / "link").symlink_to(target)
    refused(take, model, InvalidInputError, "model/link leads nowhere")


@pytest.mark.parametrize("target", [".", "assets", ".."])
def test_a_link_to_a_folder_is_refused(take: Callable[..., Any], model: Path, target: str) -> None:
    (model / "link").symlink_to(target)
    refused(take, model, InvalidInputError, "model/link leads")


def test_a_named_pipe_is_refused_without_waiting_for_it(take: Callable[..., Any], model: Path) -> None:
    os.mkfifo(model / "pipe")
    refused(take, model, InvalidInputError, "model/pipe is a named pipe")
    refused(take, model / "pipe", InvalidInputError, "model/pipe is a named pipe")
    (model / "link").symlink_to("pipe")
    (model / "pipe").rename(model / "zzz")
    (model / "link").unlink()
    (model / "link").symlink_to("zzz")
    refused(take, model, InvalidInputError, "is a named pipe")


def test_a_socket_is_refused(take: Callable[..., Any], make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model("m", {"a": b"1"})
    monkeypatch.chdir(model)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        refused(take, model, InvalidInputError, "m/s is a socket")


def test_a_device_is_refused(take: Callable[..., Any]) -> None:
    refused(take, Path("/dev/null"), InvalidInputError, "/dev/null is a device")


def test_a_file_that_may_not_be_read_is_named(
    take: Callable[..., Any], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def guarded(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if path == "vocabulary.txt":
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", guarded)
    refused(take, model, InvalidInputError, r"vocabulary\.txt cannot be read \(Permission denied\)")


def test_a_name_that_is_not_utf8_is_refused(take: Callable[..., Any], model: Path) -> None:
    Path(os.fsdecode(os.fsencode(model) + b"/caf\xe9")).write_bytes(b"x")
    refused(take, model, InvalidInputError, r"'caf\\udce9' cannot stand in a version: it is not UTF-8")


@pytest.mark.parametrize("name", ["back\\slash", "line\nfeed", "c:drive"])
def test_a_name_that_other_systems_cannot_write_is_refused(take: Callable[..., Any], model: Path, name: str) -> None:
    (model / name).write_bytes(b"x")
    refused(take, model, InvalidInputError, "cannot stand in a version")


def test_a_path_that_is_too_long_is_refused(take: Callable[..., Any], model: Path) -> None:
    deep = model.joinpath(*["x" * 200] * 6)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x")
    refused(take, model, InvalidInputError, "longer than 1024 bytes")


def test_names_that_differ_only_in_case_are_refused(take: Callable[..., Any], make_model: MakeModel) -> None:
    model = make_model("m", {"Assets/vocabulary": b"1", "assets/vocabulary": b"2"})
    refused(take, model, InvalidInputError, "'Assets.*' and 'assets.*' would be one name|'assets.*' and 'Assets")


def test_a_file_that_changes_while_it_is_read_is_named_and_no_version_appears(
    local: Store, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model("m", {"big": bytes(9 << 20), "small": b"1"})
    real, begun = os.readv, []

    def meddling(fd: int, views: Any) -> int:
        count = real(fd, views)
        if not begun and os.fstat(fd).st_size > 1:
            begun.append(fd)
            with (model / "big").open("r+b") as stream:
                stream.seek(8 << 20)
                stream.write(b"changed")
        return count

    monkeypatch.setattr(os, "readv", meddling)
    with pytest.raises(ConflictError, match=r"m/big changed while the model was being read"):
        local.put(model)
    report = local.verify()
    assert (report.versions, report.ok) == (0, True)
    assert not any((Path(local.url) / "tmp").iterdir())
    monkeypatch.undo()
    assert local.verify([local.put(model).digest]).ok


@pytest.mark.parametrize(
    "change",
    [
        lambda model: (model / "new").write_bytes(b"x"),
        lambda model: (model / "saved_model.pb").unlink(),
        lambda model: (model / "assets" / "vocabulary.txt").replace(model / "saved_model.pb"),
        lambda model: (model / "saved_model.pb").write_bytes(b"hparg"),
    ],
    ids=["added", "removed", "replaced", "rewritten"],
)
def test_a_model_that_is_still_being_written_is_refused(
    take: Callable[..., Any], model: Path, change: Callable[[Path], Any]
) -> None:
    done: list[int] = []

    def meddle(count: int, total: int, what: str) -> None:
        if count == total and not done:
            done.append(count)
            change(model)

    with pytest.raises(ConflictError, match="changed while the model was being read"):
        take(model, progress=meddle)


def test_a_link_put_in_the_place_of_a_file_is_not_followed(
    local: Store, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(b"graph")
    real = os.scandir

    def swap(path: Any) -> Any:
        listing = list(real(path))
        if any(entry.name == "saved_model.pb" for entry in listing):
            for entry in listing:
                entry.stat(follow_symlinks=False)
            (model / "saved_model.pb").unlink()
            (model / "saved_model.pb").symlink_to(tmp_path / "secret")
        return _Listing(listing)

    monkeypatch.setattr(os, "scandir", swap)
    with pytest.raises(ConflictError, match=r"saved_model\.pb changed"):
        local.put(model)


class _Listing(list):  # type: ignore[type-arg]
    def __enter__(self) -> _Listing:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_store_and_a_model_may_not_lie_inside_each_other(model: Path, tmp_path: Path) -> None:
    inside = Store.open(model / "store", create=True)
    with pytest.raises(InvalidInputError, match="inside each other"):
        inside.put(model)
    with pytest.raises(InvalidInputError, match="inside each other"):
        inside.put(model / "store" / "objects" if (model / "store" / "objects").exists() else inside.url)


def test_refused_input_leaves_no_trace(local: Store, model: Path) -> None:
    before = tree_of(Path(local.url))
    os.mkfifo(model / "pipe")
    with pytest.raises(InvalidInputError):
        local.put(model)
    assert tree_of(Path(local.url)) == before
    assert objects_in(Path(local.url)) == []


def test_a_model_at_a_url_is_refused_with_a_way_out(take: Callable[..., Any]) -> None:
    refused(take, "gs://bucket/model", InvalidInputError, "gs:// addresses are not read.*mount the bucket")  # type: ignore[arg-type]


def test_empty_folders_are_no_part_of_a_version(take: Callable[..., Any], model: Path, make_model: MakeModel) -> None:
    other = make_model("other")
    (other / "empty" / "deep").mkdir(parents=True)
    assert take(other) == take(model)


def test_neither_place_nor_time_nor_permissions_change_the_digest(model: Path, make_model: MakeModel) -> None:
    other = make_model("somewhere/else")
    os.utime(other / "saved_model.pb", (1, 1))
    (other / "saved_model.pb").chmod(0o755)
    assert manifest_of(other) == manifest_of(model)

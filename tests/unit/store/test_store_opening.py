"""A store is found again for ever; what is not a store is refused and left alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from store_testing import FILES, SECRET, tree_of

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.extras import install_command
from tfx_pedigree.store import Store, manifest_of
from tfx_pedigree.store.failures import without_secrets

GOLDEN = Path(__file__).parent / "golden" / "store-1"
GOLDEN_DIGEST = "sha256:9e6af643b0b240a9be432962a301a1700a3d2254f461812e995de4c82af85e51"


def test_a_store_of_format_1_opens_for_ever(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert store.verify().ok
    assert tree_of(store.materialise(GOLDEN_DIGEST, tmp_path / "out")) == {
        "assets": b"",
        "assets/vocabulary.txt": "Zürich\nOslo\n".encode(),
        "saved_model.pb": b"graph",
        "variables": b"",
        "variables/variables.index": b"",
    }
    assert manifest_of(tmp_path / "out").digest == GOLDEN_DIGEST
    assert store.put(tmp_path / "out").digest == GOLDEN_DIGEST
    assert store.verify().objects == 3


def test_what_is_written_today_is_format_1(tmp_path: Path) -> None:
    out = Store.open(GOLDEN).materialise(GOLDEN_DIGEST, tmp_path / "out")
    store = Store.open(tmp_path / "store", create=True)
    store.put(out)
    written = {name: data for name, data in tree_of(tmp_path / "store").items() if Path(store.url, name).is_file()}
    assert written.pop("lock") == b""
    assert written == {name: data for name, data in tree_of(GOLDEN).items() if Path(GOLDEN, name).is_file()}


def test_a_read_only_store_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree_of(GOLDEN)
    store = Store.open(GOLDEN)
    store.materialise(GOLDEN_DIGEST, tmp_path / "out")
    store.open_file(GOLDEN_DIGEST, "saved_model.pb").close()
    assert store.verify().ok
    assert tree_of(GOLDEN) == before


def test_there_is_no_store_until_one_is_created(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(NotFoundError, match="There is no store at"):
            Store.open(path)
    assert not (tmp_path / "absent").exists()
    Store.open(tmp_path / "absent" / "deep", create=True)
    Store.open(tmp_path / "absent" / "deep")


@pytest.mark.parametrize("create", [False, True])
def test_a_folder_that_is_something_else_is_refused_and_left_alone(tmp_path: Path, create: bool) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInputError, match=r"not a Pedigree store: it holds 'thesis\.tex'"):
        Store.open(tmp_path, create=create)
    with pytest.raises(InvalidInputError, match="is a file"):
        Store.open(tmp_path / "thesis.tex", create=create)
    assert tree_of(tmp_path) == {"thesis.tex": b"x"}


def test_a_tmp_folder_of_somebody_else_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "important").write_text("x")
    with pytest.raises(InvalidInputError, match="not a Pedigree store"):
        Store.open(tmp_path, create=True)


def test_a_newer_format_is_refused_with_the_remedy(tmp_path: Path) -> None:
    Store.open(tmp_path, create=True)
    (tmp_path / "pedigree-store.json").unlink()
    (tmp_path / "pedigree-store.json").write_text('{"format":"pedigree-store","version":2}')
    before = tree_of(tmp_path)
    for create in (False, True):
        with pytest.raises(ConflictError, match=r"has format 2.*Install a newer tfx-pedigree"):
            Store.open(tmp_path, create=create)
    assert tree_of(tmp_path) == before


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"format":"zip","version":1}', '{"format":"pedigree-store"}', "\x00"]
)
def test_a_marker_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pedigree-store.json").write_text(text)
    with pytest.raises(InvalidInputError, match="cannot be understood"):
        Store.open(tmp_path, create=True)


@pytest.mark.parametrize(
    "url", ["", "a\x00b", "nonsense://bucket/x", "simplecache::s3://b/x", "memory://", "memory:///"]
)
def test_a_url_that_means_nothing_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError):
        Store.open(url, create=True)


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    Store.open(f"file://{tmp_path}/store", create=True)
    assert Store.open(tmp_path / "store").url == str(tmp_path / "store")


@pytest.mark.parametrize(("protocol", "module", "extra"), [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs")])
@pytest.mark.system
def test_a_missing_driver_is_named_with_the_command_that_installs_it(protocol: str, module: str, extra: str) -> None:
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from tfx_pedigree.errors import UnavailableError\nfrom tfx_pedigree.store import Store\n"
        f"try: Store.open('{protocol}://bucket/store', create=True)\n"
        "except UnavailableError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert install_command(extra) in said


def test_credentials_in_a_url_are_refused_and_never_repeated() -> None:
    with pytest.raises(InvalidInputError, match="holds credentials") as caught:
        Store.open(f"s3://AKIA:{SECRET}@bucket/store", create=True)
    assert SECRET not in str(caught.value)
    assert "AKIA" not in str(caught.value)


def test_no_part_of_a_url_that_may_be_secret_is_shown() -> None:
    assert without_secrets("sftp://me:pa:ss@host/x?token=abc#y") == "sftp://host/x"
    assert without_secrets("s3://bucket/x") == "s3://bucket/x"
    assert without_secrets("/plain/a@b?c") == "/plain/a@b?c"


@pytest.mark.system
def test_importing_the_store_loads_no_driver_and_no_framework() -> None:
    script = (
        "import sys, tfx_pedigree.store; heavy = ('fsspec', 's3fs', 'gcsfs', 'asyncio', 'tensorflow')\n"
        "print(*(name for name in heavy if name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"


def test_files_of_the_golden_store_are_those_of_any_model() -> None:
    assert FILES["saved_model.pb"] == b"graph"

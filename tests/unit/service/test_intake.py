"""A candidate's description belongs to exactly the bytes that were stored, whatever happens to the folder meanwhile."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from cli_testing import MODELS

from tfx_pedigree.errors import DamagedError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.intake import candidate_of, check_bytes
from tfx_pedigree.store import Store
from tfx_pedigree.versioning.saved_model import describe


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


def test_candidate_is_what_the_folder_holds(store: Store) -> None:
    found = candidate_of(store, MODELS / "keras", parameters={"lr": 0.1})
    manifest = store.manifest(found.digest)
    assert (found.size, found.files) == (manifest.total_size, len(manifest.files))
    assert found.description == describe(MODELS / "keras", parameters={"lr": 0.1})


def test_same_folder_again_is_the_same_candidate(store: Store) -> None:
    assert candidate_of(store, MODELS / "keras") == candidate_of(store, MODELS / "keras")


def test_files_without_a_saved_model_are_opaque(store: Store, new_model: Path) -> None:
    assert candidate_of(store, new_model).description.is_opaque
    assert candidate_of(store, new_model / "weights.bin").description.is_opaque


def test_folder_that_changes_before_it_is_stored_is_described_as_stored(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(MODELS / "keras", tmp_path / "model"))
    put = store.put

    def changed_and_put(source: Path, **options: object) -> object:
        shutil.rmtree(folder)
        shutil.copytree(MODELS / "keras_wider", folder)
        return put(source, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "put", changed_and_put)
    assert candidate_of(store, folder).description == describe(MODELS / "keras_wider")


def test_saved_model_that_appears_before_storing_is_described(
    store: Store, new_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.put

    def grown_and_put(source: Path, **options: object) -> object:
        shutil.copytree(MODELS / "keras", new_model, dirs_exist_ok=True)
        return put(source, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "put", grown_and_put)
    assert candidate_of(store, new_model).description == describe(MODELS / "keras")


def test_given_description_stands_but_for_the_parameters(store: Store, new_model: Path) -> None:
    given = describe(MODELS / "keras", parameters={"lr": 0.1, "layers": 2})
    found = candidate_of(store, new_model, parameters={"lr": 0.2}, description=given).description
    assert found == dataclasses.replace(given, parameters={"lr": 0.2, "layers": 2})


def test_broken_model_and_missing_folder_are_refused(store: Store, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(MODELS / "keras", tmp_path / "broken"))
    (broken / "saved_model.pb").write_bytes(b"garbage")
    with pytest.raises(InvalidInputError, match=r"saved_model\.pb cannot be read"):
        candidate_of(store, broken)
    with pytest.raises((InvalidInputError, NotFoundError), match="nowhere"):
        candidate_of(store, tmp_path / "nowhere")


def test_lost_manifest_is_damage_with_a_way_out(store: Store, new_model: Path, tmp_path: Path) -> None:
    with Registry.create(tmp_path / "registry", actor="mia") as opened:
        version = opened.add("flight-delay", candidate_of(opened.store, new_model)).version
        check_bytes(opened.store, version)
    with pytest.raises(DamagedError, match=r"its manifest is missing.*pedigree register flight-delay FOLDER"):
        check_bytes(store, version)

"""Artifacts in a bucket: read through a copy, written so that a reader never takes a part for the whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from components_testing import MODELS, NAME, Place, record, tree
from tfx.dsl.io import filesystem, filesystem_registry
from tfx.types import standard_artifacts

from tfx_pedigree.errors import ConflictError
from tfx_pedigree.registry import Registry
from tfx_pedigree.tfx_components import files

ROOT: list[Path] = []


def _path(uri: Any) -> str:
    text = os.fspath(uri)
    return str(ROOT[0] / text.removeprefix("bucket://")) if text.startswith("bucket://") else text


class Bucket(filesystem.Filesystem):
    """Stands for gs://: another scheme, no rename of folders."""

    SUPPORTED_SCHEMES = ["bucket://"]  # noqa: RUF012
    copied: list[str] = []  # noqa: RUF012
    fails_after: int | None = None

    @staticmethod
    def open(name: Any, mode: str = "r") -> Any:
        if "w" in mode:
            if Bucket.fails_after is not None and len(Bucket.copied) >= Bucket.fails_after:
                raise OSError("the network went away")
            Bucket.copied.append(Path(_path(name)).name)
        return Path(_path(name)).open(mode)

    @staticmethod
    def exists(path: Any) -> bool:
        return Path(_path(path)).exists()

    @staticmethod
    def isdir(path: Any) -> bool:
        return Path(_path(path)).is_dir()

    @staticmethod
    def makedirs(path: Any) -> None:
        Path(_path(path)).mkdir(parents=True, exist_ok=True)

    @staticmethod
    def stat(path: Any) -> Any:
        return Path(_path(path)).stat()

    @staticmethod
    def walk(top: Any, topdown: bool = True, onerror: Any = None) -> Iterator[Any]:
        for folder, folders, names in os.walk(_path(top)):
            yield "bucket://" + str(Path(folder).relative_to(ROOT[0])), folders, names

    copy = glob = listdir = mkdir = remove = rename = rmtree = staticmethod(lambda *_: pytest.fail("not used"))


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Path]:
    ROOT[:] = [tmp_path / "bucket"]
    ROOT[0].mkdir()
    Bucket.copied, Bucket.fails_after = [], None
    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    registry.register(Bucket, priority=0)
    yield ROOT[0]


def test_a_run_whose_artifacts_lie_in_a_bucket(place: Place, local_registry: Registry, bucket: Path) -> None:
    model = place.trained("keras")
    shutil.copytree(model.uri, bucket / "model")
    model.uri = "bucket://model"
    version = place.version(model)
    assert record(version)["digest"] == local_registry.versions(NAME).items[0].digest
    output = place.push(version, {"serving_base": "bucket://serving"}, comparison=place.compared(version))
    assert output.get_string_custom_property("pushed_destination") == f"bucket://serving/{NAME}/1"
    assert tree(bucket / "serving" / NAME / "1") == tree(MODELS / "keras")
    champion = standard_artifacts.Model()
    champion.uri = "bucket://champion"
    from tfx_pedigree.tfx_components.champion_provider.executor import Executor

    place.run(Executor, {}, {"model": champion})
    assert tree(bucket / "champion" / "Format-Serving") == tree(MODELS / "keras")


def test_the_file_that_makes_it_a_model_comes_last(place: Place, local_registry: Registry, bucket: Path) -> None:
    digest = local_registry.store.put(MODELS / "keras").digest
    files.lay_out(local_registry.store, digest, "bucket://serving/1")
    assert Bucket.copied[-1] == "saved_model.pb"
    Bucket.copied.clear()
    files.lay_out(local_registry.store, digest, "bucket://serving/1")
    assert Bucket.copied == []


@pytest.mark.parametrize("after", range(4))
def test_a_copy_that_broke_off_is_no_model_and_is_completed(local_registry: Registry, bucket: Path, after: int) -> None:
    digest = local_registry.store.put(MODELS / "keras").digest
    Bucket.fails_after = after
    with pytest.raises(OSError, match="network"):
        files.lay_out(local_registry.store, digest, "bucket://serving/1")
    assert "saved_model.pb" not in tree(bucket / "serving")
    Bucket.fails_after = None
    files.lay_out(local_registry.store, digest, "bucket://serving/1")
    assert tree(bucket / "serving" / "1") == tree(MODELS / "keras")


def test_what_is_something_else_is_left_alone(local_registry: Registry, bucket: Path) -> None:
    shutil.copytree(MODELS / "keras_tanh", bucket / "serving" / "1")
    digest = local_registry.store.put(MODELS / "keras").digest
    with pytest.raises(ConflictError, match="left as it is"):
        files.lay_out(local_registry.store, digest, "bucket://serving/1")
    assert tree(bucket / "serving" / "1") == tree(MODELS / "keras_tanh")

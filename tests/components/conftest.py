"""What the tests of the TFX components share. TensorFlow is imported once, by the first of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tfx_pedigree.registry import Registry

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

if TYPE_CHECKING:
    from components_testing import Place


@pytest.fixture
def local_registry(migrated: Path, tmp_path: Path) -> Registry:
    """A registry in files, made and administrated by ada."""
    (tmp_path / "registry").mkdir()
    shutil.copy(migrated, tmp_path / "registry")
    registry = Registry.create(tmp_path / "registry", actor="ada", store=str(tmp_path / "store"))
    yield registry
    registry.close()


@pytest.fixture
def place(local_registry: Registry, tmp_path: Path) -> Place:
    from components_testing import Place

    return Place(tmp_path, str(tmp_path / "registry"), str(tmp_path / "store"))


@pytest.fixture
def shared_place(registry: Registry, address: str, tmp_path: Path) -> Place:
    """As `place`, on both databases."""
    from components_testing import Place

    return Place(tmp_path, address, str(tmp_path / "store"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For services that are certain to stay away: a moment's patience decides as five seconds would."""
    monkeypatch.setenv("PEDIGREE_PATIENCE", "0.3")


@pytest.fixture
def history(local_registry: Registry) -> Callable[[], list[str]]:
    """What the model's audit log says, oldest first."""

    def read() -> list[str]:
        return [event.action for event in local_registry.history("flight-delay").items][::-1]

    return read

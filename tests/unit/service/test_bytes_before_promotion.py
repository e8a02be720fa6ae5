"""Bytes are read before a version moves, by those who may move it, and what was lost comes back from the same files."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfx_pedigree.errors import DamagedError, ForbiddenError
from tfx_pedigree.registry import PromotionRequest, Registry, State, Version
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.promotion import check_or_heal, promote
from tfx_pedigree.service.workspace import Workspace


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Registry]:
    with Registry.create(tmp_path / "registry", actor="mia") as registry:
        yield registry


@pytest.fixture
def version(opened: Registry, new_model: Path) -> Version:
    return opened.add("m", candidate_of(opened.store, new_model)).version


def damage(opened: Registry) -> None:
    for path in (Path(opened.store.url) / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"other")


def test_damaged_version_does_not_move(opened: Registry, version: Version) -> None:
    damage(opened)
    with pytest.raises(DamagedError, match="cannot be used"):
        promote(Workspace(opened), "m@1.0.0", PromotionRequest())
    assert opened.get("m@1.0.0").state is State.DEVELOPMENT
    assert promote(Workspace(opened), "m@1.0.0", PromotionRequest(), verify=False).version.state is State.PRODUCTION


def test_version_that_is_there_already_is_not_read_again(opened: Registry, version: Version) -> None:
    promote(Workspace(opened), "m@1.0.0", PromotionRequest())
    damage(opened)
    assert promote(Workspace(opened), "m@1.0.0", PromotionRequest()).version.state is State.PRODUCTION


def test_who_may_not_promote_reads_no_bytes(opened: Registry, version: Version, tmp_path: Path) -> None:
    damage(opened)
    with Registry.open(tmp_path / "registry", actor="eve") as hers, pytest.raises(ForbiddenError):
        promote(Workspace(hers), "m@1.0.0", PromotionRequest())


def test_lost_bytes_come_back_from_the_same_files_and_from_no_others(
    opened: Registry, version: Version, new_model: Path, tmp_path: Path
) -> None:
    assert check_or_heal(opened.store, version, None) is False
    damage(opened)
    with pytest.raises(DamagedError):
        check_or_heal(opened.store, version, None)
    other = Path(shutil.copytree(new_model, tmp_path / "other"))
    (other / "weights.bin").write_bytes(b"something else")
    with pytest.raises(DamagedError):
        check_or_heal(opened.store, version, lambda: contextlib.nullcontext(other))
    assert check_or_heal(opened.store, version, lambda: contextlib.nullcontext(new_model)) is True

"""A folder becomes a version once, and what is said of it is what the registry did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tfx_pedigree.errors import ForbiddenError, InvalidInputError
from tfx_pedigree.registry import Facts, Registry, Role, State
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.versions.registering import register_model
from tfx_pedigree.service.workspace import Workspace


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Registry]:
    with Registry.create(tmp_path / "registry", actor="mia") as registry:
        yield registry


def test_new_files_are_a_new_version(opened: Registry, new_model: Path) -> None:
    done = register_model(Workspace(opened), "m", new_model, parameters={"layers": 3}, facts=Facts({"auc": 0.9}))
    assert (done.is_new, done.ignored, done.change.changed, done.change.before) == (True, (), True, None)
    assert done.change.version == opened.get("m@1.0.0")


def test_number_that_was_reserved_is_used(opened: Registry, new_model: Path) -> None:
    opened.reserve("m", candidate_of(opened.store, new_model))
    done = register_model(Workspace(opened), "m", new_model)
    assert done.is_new
    assert done.change.before is not None
    assert (done.change.before.state, done.change.version.state) == (State.RESERVED, State.DEVELOPMENT)


def test_same_files_again_only_add_what_is_new(opened: Registry, new_model: Path) -> None:
    register_model(Workspace(opened), "m", new_model, parameters={"layers": 3}, facts=Facts({"auc": 0.9}))
    again = register_model(Workspace(opened), "m", new_model, parameters={"layers": 3}, facts=Facts({"auc": 0.9}))
    assert (again.is_new, again.change.changed, again.ignored) == (False, False, ())
    more = register_model(Workspace(opened), "m", new_model, parameters={"layers": 4}, facts=Facts({"loss": 1}))
    assert (more.is_new, more.change.changed, more.ignored) == (False, True, ("layers",))
    assert dict(more.change.version.parameters) == {"layers": 3}


def test_who_may_not_register_is_told_before_anything_is_read(opened: Registry, tmp_path: Path) -> None:
    opened.grant("eve", Role.VIEWER)
    with Registry.open(tmp_path / "registry", actor="eve") as eve, pytest.raises(ForbiddenError):
        register_model(Workspace(eve), "m", tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="lower-case"):
        register_model(Workspace(opened), "Not A Name", tmp_path / "nowhere")

"""The part of the self-check that only an environment with TFX has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

import tfx_pedigree
from tfx_pedigree import self_check, tfx_components
from tfx_pedigree.tfx_components.artifacts import ModelVersion


def test_components_and_artifact_types_are_there_by_the_names_in_a_compiled_pipeline() -> None:
    assert "VersionComparator" in self_check.check_components()
    assert "TFX 1." in self_check.check_tasks()


def test_an_artifact_type_that_a_container_would_not_find_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfx_pedigree, "ModelVersion", standard_artifacts.Model, raising=False)
    assert tfx_components.ModelVersion is ModelVersion
    with pytest.raises(self_check.UnsoundError, match=r"tfx_pedigree\.ModelVersion is not found"):
        self_check.check_components()


def test_a_module_file_can_be_packed_and_installed_beside_the_packages() -> None:
    before = set(Path(sys.prefix).glob("lib/python3*/site-packages/*"))
    assert self_check.check_user_modules() == "a module file was packed and installed"
    assert set(Path(sys.prefix).glob("lib/python3*/site-packages/*")) == before

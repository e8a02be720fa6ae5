"""The Python API is what docs/python.md shows, and every public method says what it does."""

from __future__ import annotations

import doctest
import inspect
import re
import shutil
from pathlib import Path

import pytest

from tfx_pedigree import errors
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.registry import Registry, api
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.store import Store

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python.md"


def test_example_of_the_page_runs_and_answers_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "tests" / "goldens" / "saved_models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    test = doctest.DocTestParser().get_doctest(PAGE.read_text(), {}, PAGE.name, str(PAGE), 0)
    done = runner.run(test, out=told.append)
    assert "".join(told) == ""
    assert done.attempted > 20


def methods(kind: type) -> dict[str, object]:
    return {name: one for name, one in inspect.getmembers(kind) if not name.startswith("_") and callable(one)}


@pytest.mark.parametrize("kind", [Registry, Lineage, Store, Workspace, api.RegistryApi])
def test_every_public_method_says_what_it_does(kind: type) -> None:
    """In its own words, or in those of the Protocol that its class implements."""
    found = methods(kind)
    assert found
    assert [name for name, one in found.items() if not inspect.getdoc(one)] == []


@pytest.mark.parametrize("protocol", [one for one in api.RegistryApi.__mro__[1:] if one.__module__ == api.__name__])
def test_page_lists_the_methods_of_each_protocol(protocol: type) -> None:
    (row,) = re.findall(rf"^\| `{protocol.__name__}` \| (.+) \|$", PAGE.read_text(), re.M)
    own = [name for name in vars(protocol) if not name.startswith("_")]
    assert re.findall(r"`(\w+)`", row) == own
    assert len(own) <= 15


def test_page_lists_every_error() -> None:
    kinds = {name for name, one in vars(errors).items() if inspect.isclass(one) and issubclass(one, Exception)}
    assert set(re.findall(r"^\| `(\w+Error)`", PAGE.read_text(), re.M)) == kinds - {"PedigreeError"}

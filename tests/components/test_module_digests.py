"""The code that a component runs is known by its bytes, wherever TFX keeps it, and never stops a pipeline."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from components_testing import NAME, Place, record

from tfx_pedigree.tfx_components.modules import imported_digests, modules_of

MODEL, HELP = b"def run_fn(args): ...\n", b"UNITS = 4\n"


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digests(components: list[Any]) -> dict[str, str]:
    return {name: module.digest for name, module in modules_of(components).items()}


def component(name: str = "Trainer", **properties: Any) -> Any:
    return SimpleNamespace(id=name, exec_properties=properties)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "flights"
    package.mkdir()
    (package / "__init__.py").write_bytes(b"raise RuntimeError('imported')\n")
    (package / "model.py").write_bytes(MODEL)
    (package / "flights_help.py").write_bytes(HELP)
    (package / "notes.txt").write_bytes(b"no code")
    return package


def test_a_module_file_and_what_tfx_packs_beside_it(folder: Path) -> None:
    found = digests([component(module_file=str(folder / "model.py"))])
    assert found.keys() == {"__init__.py", "flights_help.py", "model.py"}
    assert (found["model.py"], found["flights_help.py"]) == (digest(MODEL), digest(HELP))


def test_a_module_in_a_wheel_is_known_by_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "code.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.write(folder / "model.py", "model.py")
        packed.writestr("code.dist-info/METADATA", "Name: code")
    assert digests([component(module_path=f"model@{wheel}")]) == {"model.py": digest(MODEL)}


@pytest.mark.parametrize("properties", [{"run_fn": "flights.model.run_fn"}, {"module_path": "flights.model"}])
def test_a_module_by_its_name_is_read_and_not_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, properties: dict[str, str]
) -> None:
    monkeypatch.syspath_prepend(str(folder.parent))
    assert digests([component(**properties)]) == {"model.py": digest(MODEL)}


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"module_file": None, "module_path": ""},
        {"module_file": "/nowhere/model.py"},
        {"module_path": "model@/nowhere/code.whl"},
        {"module_path": "no_such_package.model"},
        {"run_fn": "json.decoder.no.such.run_fn"},
        {"run_fn": "sys.run_fn"},
        {"module_file": SimpleNamespace(name="a runtime parameter")},
        {"module_file": "nosuchscheme://bucket/model.py"},
    ],
)
def test_what_cannot_be_read_is_left_out(properties: dict[str, Any]) -> None:
    assert digests([component(**properties)]) == {}


def test_a_wheel_that_is_none_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "code.whl").write_bytes(b"to be made")
    assert digests([component(module_path=f"model@{tmp_path / 'code.whl'}")]) == {}


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text(name)
    found = digests(
        [
            component(one, module_file=str(tmp_path / name / "module.py"))
            for one, name in (("Trainer", "a"), ("Transform", "b"))
        ]
    )
    assert found == {"module.py": digest(b"a"), "Transform/module.py": digest(b"b")}


@pytest.mark.parametrize("imported", [True, False])
def test_what_a_run_imports_counts_where_it_is_not_what_the_pipeline_was_built_from(
    folder: Path, place: Place, monkeypatch: pytest.MonkeyPatch, imported: bool
) -> None:
    (folder / "__init__.py").write_bytes(b"")
    monkeypatch.syspath_prepend(str(folder.parent))
    built = modules_of(
        [component(run_fn="flights.model.run_fn"), component("T", module_file=str(folder / "flights_help.py"))]
    )
    names = {name: module.imported_as for name, module in built.items() if module.imported_as}
    assert names == {"model.py": "flights.model", "flights_help.py": "flights_help"}
    (folder / "model.py").write_bytes(b"# what the image holds\n" + MODEL)
    if imported:
        monkeypatch.setitem(sys.modules, "flights.model", SimpleNamespace(__file__=str(folder / "model.py")))
    claimed = {name: module.digest for name, module in built.items()}
    properties = {"modules": json.dumps(claimed), "module_names": json.dumps(names)}
    found = record(place.version(place.trained("keras"), properties))
    assert found["modules"] == {**claimed, "model.py": digest(b"# what the image holds\n" + MODEL)}
    assert found["modules_as_built"] == {"model.py": digest(MODEL)}
    assert found["model"] == NAME, "the version belongs to the model, whatever its modules are called"
    assert imported_digests({"nowhere.py": "no_such_package.nowhere", "sys": "sys"}) == {}

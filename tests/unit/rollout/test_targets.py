"""Where a model is served: read from a config, found by its model or its name, refused with the next step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tfx_pedigree.errors import InvalidInputError, NotFoundError, PedigreeError
from tfx_pedigree.rollout.targets import find_target, load_targets
from tfx_pedigree.rollout.traffic.api import ManagerContext
from tfx_pedigree.rollout.traffic.memory import MemoryBalancer, MemoryTraffic
from tfx_pedigree.rollout.traffic.opening import open_manager

YAML = """
registry: here
serving:
  eu: {model: penguin, kind: python, factory: "test_targets:made", port: 8500, socket: "${here}/${NAME}.sock"}
  us: {model: penguin, kind: python, factory: "test_targets:made"}
  flights: {model: flight-delay, kind: python, factory: "test_targets:made"}
"""
TOML = '[serving.eu]\nmodel = "penguin"\nkind = "python"\nfactory = "test_targets:made"\n'
CONTEXT = ManagerContext("penguin", lambda version, folder: None, {}, lambda: 0.0)
MADE: list[Mapping[str, Any]] = []


def made(settings: Mapping[str, Any], context: ManagerContext) -> MemoryTraffic:
    MADE.append(settings)
    return MemoryTraffic(MemoryBalancer())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "pedigree.yaml"
    file.write_text(YAML)
    return file


def test_a_target_is_found_by_its_model_or_by_its_name(config: Path) -> None:
    assert find_target(config, {"NAME": "x"}, model="flight-delay", name=None).name == "flights"
    assert find_target(config, {"NAME": "x"}, model="penguin", name="us").name == "us"


def test_toml_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "pedigree.toml"
    file.write_text(TOML)
    assert find_target(file, {}, model="penguin", name=None).kind == "python"


def test_a_manager_of_ones_own_is_made_with_the_settings_of_the_target(config: Path) -> None:
    manager = open_manager(find_target(config, {"NAME": "ha"}, model="penguin", name="eu"), CONTEXT)
    assert isinstance(manager, MemoryTraffic)
    assert MADE[-1] == {"port": 8500, "socket": f"{config.parent}/ha.sock"}


@pytest.mark.parametrize(
    ("model", "name", "kind", "message"),
    [
        ("penguin", None, InvalidInputError, "served by eu and us. Name one of them with --target"),
        ("penguin", "flights", InvalidInputError, "serves flight-delay, not penguin"),
        ("penguin", "flight", NotFoundError, "Did you mean `flights`"),
        ("other", None, NotFoundError, "does not say where other is served"),
    ],
)
def test_no_target_is_chosen_by_guessing(
    config: Path, model: str, name: str | None, kind: type[PedigreeError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        find_target(config, {"NAME": "x"}, model=model, name=name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serving: [1]", "`serving` must be"),
        ("serving: {eu: 1}", "`eu` is 1, but must be a table"),
        ("serving: {eu: {kind: python}}", "lacks `model`"),
        ("serving: {eu: {model: penguin, kind: [1]}}", "`eu.kind` is a list, but must be a text"),
    ],
)
def test_a_config_that_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        load_targets(file, {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("kind: haprox, map: x", "unknown kind 'haprox'"),
        ("kind: python", "lacks `factory`"),
        ("kind: python, factory: nowhere", "must be module:function"),
        ("kind: python, factory: 'no_such_module:make'", "cannot be loaded"),
    ],
)
def test_a_kind_that_cannot_be_opened_is_refused(tmp_path: Path, settings: str, message: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"serving: {{eu: {{model: penguin, {settings}}}}}")
    with pytest.raises(InvalidInputError, match=message):
        open_manager(find_target(file, {}, model="penguin", name=None), CONTEXT)


def test_without_a_config_the_message_says_what_to_name() -> None:
    with pytest.raises(NotFoundError, match="--config"):
        find_target(None, {}, model="penguin", name=None)
